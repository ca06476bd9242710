"""Bulk-loads journals into the database. Idempotent.

How far a journal was read is stored in the same transaction as what was read, so that ingesting twice changes
nothing. A run is marked as pending from before it exists until its last line is in; the process that has the store open
ingests what is pending.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from orchestrator.catalog.codec import from_timestamp
from orchestrator.catalog.damage import end_lost_runs
from orchestrator.catalog.database import Database
from orchestrator.catalog.index_rows import NewLines, write_rows
from orchestrator.catalog.projection import Projection, RunRow, StepRow
from orchestrator.catalog.runs import indexed_record
from orchestrator.crashpoints import crash_point
from orchestrator.errors import RunDamaged
from orchestrator.journal import Lines
from orchestrator.model.event_lines import Undecodable, decode_line
from orchestrator.model.events import AssetMaterialized, Event
from orchestrator.model.run import RunRecord
from orchestrator.model.states import TERMINAL_RUN_STATES, RunState, StepState
from orchestrator.runlog.inventory import pending_runs
from orchestrator.runlog.run_log import RunLog
from orchestrator.state_dir import StateDir

# One transaction takes in at most about this much of the journals, to bound the memory it needs.
_BATCH_BYTES = 64 << 20


def ingest_pending(database: Database, state: StateDir, now: datetime) -> int:
    """Takes in everything that journals have and the database lacks; how many lines that were. Runs whose files are
    gone are ended."""
    count = ingest(database, state, pending_runs(state))
    end_lost_runs(database, state, now)
    return count


def ingest(database: Database, state: StateDir, run_ids: Iterable[str]) -> int:
    """Takes in the journals of these runs, and takes the mark off those that are complete."""
    run_ids = list(run_ids)
    known = _known(database, run_ids)
    count = 0
    batch: list[NewLines] = []
    size = 0
    for run_id in run_ids:
        read = _read(database, state, run_id, known.get(run_id))
        if read is None:
            continue
        batch.append(read)
        size += sum(map(len, read.lines))
        count += len(read.lines)
        if size > _BATCH_BYTES:
            _commit(database, state, batch)
            batch, size = [], 0
    _commit(database, state, batch)
    return count


def _known(database: Database, run_ids: list[str]) -> dict[str, tuple[Any, ...]]:
    """What the database knows of these runs already: (status, started, finished, reason, lines, offset) by id."""
    if not run_ids:
        return {}
    rows = database.rows(
        "SELECT run_id, status, started_at, finished_at, reason, journal_lines, journal_offset FROM runs"
        " WHERE run_id IN (SELECT unnest(?))",
        [run_ids],
    )
    return {row[0]: row[1:] for row in rows}


def _read(database: Database, state: StateDir, run_id: str, row: tuple[Any, ...] | None) -> NewLines | None:
    run_log = RunLog(state, run_id)
    try:
        record, damage = _record(database, run_log, known=row is not None)
    except FileNotFoundError:
        run_log.forget_unborn()
        return None
    offset = row[5] if row else 0
    if row and (size := run_log.size()) is not None and size < offset:
        # A power cut took lines away that were ingested already. What is left is the truth: start over.
        delete_index(database, [run_id])
        row, offset = None, 0
    try:
        found = run_log.lines(offset)
    except RunDamaged as error:
        found, damage = Lines([], offset), damage or error
    if row and not found.lines and damage is None and RunState(row[0]) not in TERMINAL_RUN_STATES:
        return None
    read = _new_lines(record, found, row, _projection(database, run_id, row))
    if damage is not None:
        read.problems.append(damage.message)
        read.is_readable = False
        if not damage.is_newer and not run_log.is_owned():
            _end_unreadable(read, damage)
    crash_point("ingest.read")
    return read


def _new_lines(record: RunRecord, found: Lines, row: tuple[Any, ...] | None, projection: Projection) -> NewLines:
    read = NewLines(
        record=record,
        lines=found.lines,
        events=[_decoded(line) for line in found.lines],
        first_seq=row[4] if row else 0,
        offset=found.offset,
        is_new=row is None,
        projection=projection,
    )
    for seq, event in enumerate(read.events, read.first_seq):
        if event is None:
            read.problems.append(f"Line {seq + 1} of the journal of run {record.run_id} cannot be read.")
            continue
        projection.apply(event)
        if isinstance(event, AssetMaterialized):
            read.materializations.append((seq, event))
    return read


def _record(database: Database, run_log: RunLog, *, known: bool) -> tuple[RunRecord, RunDamaged | None]:
    """The run as it was requested. When that cannot be read: as it is in the index, or as far as it can be made out,
    and the reason. Raises FileNotFoundError."""
    try:
        return run_log.record(), None
    except RunDamaged as error:
        return (indexed_record(database, run_log.run_id) if known else run_log.salvaged_record()), error


def _end_unreadable(read: NewLines, damage: RunDamaged) -> None:
    """Ends an unreadable run without an owner, which would stay open forever."""
    run = read.projection.run
    if run.status not in TERMINAL_RUN_STATES:
        last = next((event.at for event in reversed(read.events) if event is not None), None)
        run.status, run.reason = RunState.FAILURE, damage.message
        run.finished_at = last or run.started_at or read.record.created_at


def _projection(database: Database, run_id: str, row: tuple[Any, ...] | None) -> Projection:
    if row is None:
        return Projection(RunRow(RunState.STARTING))
    run = RunRow(RunState(row[0]), from_timestamp(row[1]), from_timestamp(row[2]), row[3] or "")
    steps = {
        step[0]: StepRow(
            StepState(step[1]), step[2], from_timestamp(step[3]), from_timestamp(step[4]), step[5], step[6]
        )
        for step in database.rows(
            "SELECT step, status, attempts, started_at, finished_at, duration_s, error FROM steps WHERE run_id = ?",
            [run_id],
        )
    }
    return Projection(run, steps)


def _commit(database: Database, state: StateDir, batch: list[NewLines]) -> None:
    if not batch:
        return
    write_rows(database, batch)
    crash_point("ingest.committed")
    for read in batch:
        if read.projection.run.status in TERMINAL_RUN_STATES:
            RunLog(state, read.record.run_id).settle(read.offset if read.is_readable else None)


def delete_index(database: Database, run_ids: list[str]) -> None:
    """Removes all that the index has of these runs."""
    with database.transaction():
        for table in ("runs", "events", "steps", "materializations", "damage"):
            database.execute(f"DELETE FROM {table} WHERE run_id IN (SELECT unnest(?))", [run_ids])


def _decoded(line: bytes) -> Event | None:
    try:
        return decode_line(line)
    except Undecodable:
        return None
