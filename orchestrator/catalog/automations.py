"""Stores schedules and sensors, and the run keys that they have used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.catalog.codec import from_json, to_json
from orchestrator.catalog.kinds import reads, writes
from orchestrator.model.automation import Automation

if TYPE_CHECKING:
    from orchestrator.catalog.database import Database


@reads
def list_automations(database: Database) -> list[Automation]:
    """All of them, by id."""
    return [from_json(row[0], Automation) for row in database.rows("SELECT body FROM automations ORDER BY id")]


@writes
def save_automations(database: Database, rows: list[Automation]) -> None:
    """Writes these, whether they were there or not."""
    if not rows:
        return
    ids = [one.id for one in rows]
    with database.transaction():
        database.execute("DELETE FROM automations WHERE id IN (SELECT unnest(?))", [ids])
        database.insert("automations", {"id": ids, "body": [to_json(one) for one in rows]})


@writes
def forget_automation(database: Database, id: str) -> bool:
    """Removes one, with its used keys and failed alerts; whether it was there. Its ticks stay until they are old."""
    with database.transaction():
        found = database.row("SELECT 1 FROM automations WHERE id = ?", [id])
        database.execute("DELETE FROM automations WHERE id = ?", [id])
        database.execute("DELETE FROM run_keys WHERE automation = ?", [id])
        database.execute("DELETE FROM deliveries WHERE sensor = ?", [id])
    return found is not None


@reads
def used_keys(database: Database, id: str, keys: list[str]) -> list[str]:
    """Those of the keys that were used already."""
    if not keys:
        return []
    rows = database.rows(
        "SELECT run_key FROM run_keys WHERE automation = ? AND run_key IN (SELECT unnest(?))", [id, keys]
    )
    return [row[0] for row in rows]


@writes
def forget_key(database: Database, id: str, key: str) -> bool:
    """Makes a key usable again; whether it was used."""
    with database.transaction():
        found = database.row("SELECT 1 FROM run_keys WHERE automation = ? AND run_key = ?", [id, key])
        database.execute("DELETE FROM run_keys WHERE automation = ? AND run_key = ?", [id, key])
    return found is not None
