"""Failed runs that were acknowledged, with the notes. Survives a rebuild of the index."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.catalog.codec import from_timestamp, to_timestamp
from orchestrator.catalog.kinds import reads, writes
from orchestrator.model.run import Acknowledgement

if TYPE_CHECKING:
    from orchestrator.catalog.database import Database


@writes
def acknowledge_run(database: Database, run_id: str, note: str | None, now: datetime) -> None:
    """Records an acknowledgement of this failure. A later one replaces an earlier one."""
    with database.transaction():
        database.execute("DELETE FROM acknowledged_runs WHERE run_id = ?", [run_id])
        database.execute("INSERT INTO acknowledged_runs VALUES (?, ?, ?)", [run_id, to_timestamp(now), note])


@reads
def acknowledgement_of(database: Database, run_id: str) -> Acknowledgement | None:
    """The acknowledgement of a run; None when there is none."""
    row = database.row("SELECT acknowledged_at, note FROM acknowledged_runs WHERE run_id = ?", [run_id])
    at = from_timestamp(row[0]) if row else None
    return Acknowledgement(at, row[1]) if row and at is not None else None
