"""Bulk-loads journals into the database. Idempotent.

How far a journal was read is stored in the same transaction as what was read, so that ingesting twice changes
nothing. A run is marked as pending from before it exists until its last line is in; whoever has the store open
ingests what is pending.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestrator.catalog.codec import from_timestamp
from orchestrator.catalog.damage import end_lost_runs
from orchestrator.catalog.database import Database
from orchestrator.catalog.index_rows import NewLines, write_rows
from orchestrator.catalog.projection import Projection, RunRow, StepRow
from orchestrator.catalog.runs import indexed_record
from orchestrator.crashpoints import crash_point
from orchestrator.errors import RunDamaged
from orchestrator.event_lines import Undecodable, decode_line
from orchestrator.events import AssetMaterialized, Event
from orchestrator.journal import Lines
from orchestrator.layout import RunDir, StateDir
from orchestrator.locks import is_locked, try_lock
from orchestrator.records import RunRecord
from orchestrator.run_files import is_packed, pending_runs, read_journal, read_record, salvaged_record
from orchestrator.states import TERMINAL_RUN_STATES, RunState, StepState

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
    run_dir = state.run(run_id)
    try:
        record, damage = _record(database, run_dir, known=row is not None)
    except FileNotFoundError:
        _forget_unborn(state, run_id)
        return None
    offset = row[5] if row else 0
    if row and not is_packed(run_dir) and (size := _size(run_dir.journal)) is not None and size < offset:
        # A power cut took lines away that were ingested already. What is left is the truth: start over.
        delete_index(database, [run_id])
        row, offset = None, 0
    try:
        found = read_journal(run_dir, offset)
    except RunDamaged as error:
        found, damage = Lines([], offset), damage or error
    if row and not found.lines and damage is None and RunState(row[0]) not in TERMINAL_RUN_STATES:
        return None
    read = _new_lines(record, found, row, _projection(database, run_id, row))
    if damage is not None:
        read.problems.append(damage.message)
        read.is_readable = False
        if not damage.is_newer and not is_locked(run_dir.owner_lock):
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


def _record(database: Database, run_dir: RunDir, *, known: bool) -> tuple[RunRecord, RunDamaged | None]:
    """The run as it was requested. When that cannot be read: as it is in the index, or as far as it can be made out,
    and the reason. Raises FileNotFoundError."""
    try:
        return read_record(run_dir), None
    except RunDamaged as error:
        return (indexed_record(database, run_dir.run_id) if known else salvaged_record(run_dir)), error


def _end_unreadable(read: NewLines, damage: RunDamaged) -> None:
    """A run that nobody drives and nobody can read is over: it would stay open for ever."""
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
        _unmark(state, read)


def _unmark(state: StateDir, read: NewLines) -> None:
    """Takes the mark off a run that is over: its owner is gone or has nothing more to write."""
    run_dir = state.run(read.record.run_id)
    if read.projection.run.status not in TERMINAL_RUN_STATES or is_locked(run_dir.owner_lock):
        return
    # Lines may have come between reading and this moment; with the owner gone there will be no others.
    if not read.is_readable or is_packed(run_dir) or _size(run_dir.journal) == read.offset:
        _remove_mark(state.pending_marker(read.record.run_id))


def delete_index(database: Database, run_ids: list[str]) -> None:
    """Removes all that the index has of these runs."""
    with database.transaction():
        for table in ("runs", "events", "steps", "materializations", "damage"):
            database.execute(f"DELETE FROM {table} WHERE run_id IN (SELECT unnest(?))", [run_ids])


def _forget_unborn(state: StateDir, run_id: str) -> None:
    """Removes the mark of a run whose creator died before the run existed, and what it had written by then. Creators
    hold a lock on the mark."""
    marker = state.pending_marker(run_id)
    if not marker.is_file():
        _remove_mark(marker)
        return
    held = try_lock(marker)
    if held is not None:
        shutil.rmtree(state.unfinished(run_id), ignore_errors=True)
        _remove_mark(marker)
        held.release()


def _remove_mark(marker: Path) -> None:
    """Removes a mark, whatever was put in its place. What holds something stays: it is no mark of ours."""
    try:
        marker.unlink(missing_ok=True)
    except IsADirectoryError:
        try:
            marker.rmdir()
        except OSError:
            pass


def _decoded(line: bytes) -> Event | None:
    try:
        return decode_line(line)
    except Undecodable:
        return None


def _size(path: Path) -> int | None:
    """The size of a file, 0 when it is missing, and None when it cannot be looked at: reading it says why."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError:
        return None
