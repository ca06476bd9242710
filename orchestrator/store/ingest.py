"""Copying journals into the database: in bulk, as often as one likes, with the same result. What a line means for the
rows of its run is for `projection` to say.

How far a journal was read is stored in the same transaction as what was read, so that ingesting twice changes
nothing. A run is marked as pending from before it exists until its last line is in; whoever has the store open
ingests what is pending.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.crashpoints import crash_point
from orchestrator.event_lines import Undecodable, decode_line
from orchestrator.events import AssetMaterialized, Event, kind_of
from orchestrator.layout import StateDir
from orchestrator.locks import is_locked, try_lock
from orchestrator.records import RunRecord
from orchestrator.run_files import packed_file, read_journal, read_record
from orchestrator.states import TERMINAL_RUN_STATES, RunState, StepState
from orchestrator.store.codec import from_timestamp, to_json, to_timestamp
from orchestrator.store.database import Database
from orchestrator.store.endings import write_endings
from orchestrator.store.projection import Projection, RunRow, StepRow

# One transaction takes in at most about this much of the journals, to bound the memory it needs.
_BATCH_BYTES = 64 << 20

# What stands in `events.event` for a line of a journal that is not an event.
UNREADABLE = "unreadable"


@dataclass
class _Read:
    """The new part of one journal, and the rows it leads to."""

    record: RunRecord
    lines: list[bytes]
    events: list[Event | None]  # None for a line that is not an event: damaged, or from a newer version
    first_seq: int
    offset: int
    is_new: bool
    projection: Projection
    materializations: list[tuple[int, AssetMaterialized]] = field(default_factory=list)


def ingest_pending(database: Database, state: StateDir) -> int:
    """Takes in everything that journals have and the database lacks; how many lines that were."""
    return ingest(database, state, _pending(state))


def ingest(database: Database, state: StateDir, run_ids: Iterable[str]) -> int:
    """Takes in the journals of these runs, and takes the mark off those that are complete."""
    run_ids = list(run_ids)
    known = _known(database, run_ids)
    count = 0
    batch: list[_Read] = []
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


def _pending(state: StateDir) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(state.pending))
    except FileNotFoundError:
        return []


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


def _read(database: Database, state: StateDir, run_id: str, row: tuple[Any, ...] | None) -> _Read | None:
    run_dir = state.run(run_id)
    try:
        record = read_record(run_dir)
    except FileNotFoundError:
        _forget_unborn(state, run_id)
        return None
    offset = row[5] if row else 0
    if row and not packed_file(run_dir).exists() and _size(run_dir.journal) < offset:
        # A power cut took lines away that were ingested already. What is left is the truth: start over.
        _delete_index(database, [run_id])
        row, offset = None, 0
    found = read_journal(run_dir, offset)
    if row and not found.lines and RunState(row[0]) not in TERMINAL_RUN_STATES:
        return None
    projection = _projection(database, run_id, row)
    read = _Read(
        record=record,
        lines=found.lines,
        events=[_decoded(line) for line in found.lines],
        first_seq=row[4] if row else 0,
        offset=found.offset,
        is_new=row is None,
        projection=projection,
    )
    for position, event in enumerate(read.events):
        if event is not None:
            projection.apply(event)
        if isinstance(event, AssetMaterialized):
            read.materializations.append((read.first_seq + position, event))
    crash_point("ingest.read")
    return read


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


def _commit(database: Database, state: StateDir, batch: list[_Read]) -> None:
    if not batch:
        return
    with database.transaction():
        _write_runs(database, batch)
        _write_events(database, batch)
        _write_steps(database, batch)
        _write_materializations(database, batch)
        _write_endings(database, batch)
        crash_point("ingest.written")
    crash_point("ingest.committed")
    for read in batch:
        _unmark(state, read)


def _unmark(state: StateDir, read: _Read) -> None:
    """Takes the mark off a run that is over: its owner is gone or has nothing more to write."""
    run_dir = state.run(read.record.run_id)
    if read.projection.run.status not in TERMINAL_RUN_STATES or is_locked(run_dir.owner_lock):
        return
    # Lines may have come between reading and this moment; with the owner gone there will be no others.
    if packed_file(run_dir).exists() or _size(run_dir.journal) == read.offset:
        state.pending_marker(read.record.run_id).unlink(missing_ok=True)


def _write_runs(database: Database, batch: list[_Read]) -> None:
    known = [read.record.run_id for read in batch if not read.is_new]
    if known:
        database.execute("DELETE FROM runs WHERE run_id IN (SELECT unnest(?))", [known])
    rows = [(read.record, read.projection.run, read) for read in batch]
    database.insert(
        "runs",
        {
            "run_id": [record.run_id for record, _, _ in rows],
            "pipeline": [record.pipeline for record, _, _ in rows],
            "location": [record.location for record, _, _ in rows],
            "mode": [record.mode for record, _, _ in rows],
            "status": [str(run.status) for _, run, _ in rows],
            "created_at": [to_timestamp(record.created_at) for record, _, _ in rows],
            "started_at": [to_timestamp(run.started_at) for _, run, _ in rows],
            "finished_at": [to_timestamp(run.finished_at) for _, run, _ in rows],
            "tags": [to_json(record.tags) for record, _, _ in rows],
            "trigger_json": [to_json(record.trigger) for record, _, _ in rows],
            "parent_run_id": [record.parent_run_id for record, _, _ in rows],
            "root_run_id": [record.root_run_id for record, _, _ in rows],
            "selection": [to_json(record.selection) if record.selection else None for record, _, _ in rows],
            "reason": [run.reason for _, run, _ in rows],
            "journal_lines": [read.first_seq + len(read.lines) for _, _, read in rows],
            "journal_offset": [read.offset for _, _, read in rows],
        },
    )


def _write_events(database: Database, batch: list[_Read]) -> None:
    lines = [
        (read.record.run_id, read.first_seq + position, event, line)
        for read in batch
        for position, (event, line) in enumerate(zip(read.events, read.lines, strict=True))
    ]
    database.insert(
        "events",
        {
            "run_id": [run_id for run_id, _, _, _ in lines],
            "seq": [seq for _, seq, _, _ in lines],
            "occurred_at": [event and to_timestamp(event.at) for _, _, event, _ in lines],
            "event": [kind_of(event) if event else UNREADABLE for _, _, event, _ in lines],
            "step": [getattr(event, "step", None) for _, _, event, _ in lines],
            "attempt": [getattr(event, "attempt", None) for _, _, event, _ in lines],
            "body": [line.decode(errors="replace") for _, _, _, line in lines],
        },
    )


def _write_steps(database: Database, batch: list[_Read]) -> None:
    for read in batch:
        if read.projection.touched and not read.is_new:
            database.execute(
                "DELETE FROM steps WHERE run_id = ? AND step IN (SELECT unnest(?))",
                [read.record.run_id, sorted(read.projection.touched)],
            )
    rows = [
        (read.record.run_id, key, read.projection.steps[key])
        for read in batch
        for key in read.projection.steps
        if key in read.projection.touched
    ]
    database.insert(
        "steps",
        {
            "run_id": [run_id for run_id, _, _ in rows],
            "step": [key for _, key, _ in rows],
            "status": [str(step.status) for _, _, step in rows],
            "attempts": [step.attempts for _, _, step in rows],
            "started_at": [to_timestamp(step.started_at) for _, _, step in rows],
            "finished_at": [to_timestamp(step.finished_at) for _, _, step in rows],
            "duration_s": [step.duration_s for _, _, step in rows],
            "error": [step.error for _, _, step in rows],
        },
    )


def _write_materializations(database: Database, batch: list[_Read]) -> None:
    rows = [(read.record, seq, event) for read in batch for seq, event in read.materializations]
    if not rows:
        return
    rows.sort(key=lambda row: row[2].at)
    # Not the highest ordinal there is plus one: wiping an asset must not make ordinals come again.
    start = int(database.meta("next_ordinal") or 1)
    database.execute("DELETE FROM meta WHERE name = 'next_ordinal'")
    database.execute("INSERT INTO meta VALUES ('next_ordinal', ?)", [str(start + len(rows))])
    database.insert(
        "materializations",
        {
            "id": [materialization_id(record.run_id, seq) for record, seq, _ in rows],
            "ordinal": list(range(start, start + len(rows))),
            "asset_key": [to_json(event.asset) for _, _, event in rows],
            "partition_key": [event.partition for _, _, event in rows],
            "run_id": [record.run_id for record, _, _ in rows],
            "pipeline": [record.pipeline for record, _, _ in rows],
            "step": [event.step for _, _, event in rows],
            "materialized_at": [to_timestamp(event.at) for _, _, event in rows],
            "description": [event.description for _, _, event in rows],
            "metadata": [to_json(event.metadata) for _, _, event in rows],
            "tags": [to_json(event.tags) for _, _, event in rows],
        },
    )


def _write_endings(database: Database, batch: list[_Read]) -> None:
    ended = [
        (read.record.run_id, str(read.projection.run.status), read.projection.run.finished_at)
        for read in batch
        if read.lines and read.projection.run.status in TERMINAL_RUN_STATES
    ]
    write_endings(database, ended)


def materialization_id(run_id: str, seq: int) -> str:
    """Names a materialization by the journal line that says so: the same after every rebuild."""
    return f"{run_id}-{seq}"


def _delete_index(database: Database, run_ids: list[str]) -> None:
    with database.transaction():
        for table in ("runs", "events", "steps", "materializations"):
            database.execute(f"DELETE FROM {table} WHERE run_id IN (SELECT unnest(?))", [run_ids])


def _forget_unborn(state: StateDir, run_id: str) -> None:
    """Removes the mark of a run whose creator died before the run existed, and what it had written by then. Creators
    hold a lock on the mark."""
    marker = state.pending_marker(run_id)
    held = try_lock(marker) if marker.exists() else None
    if held is not None:
        shutil.rmtree(state.unfinished(run_id), ignore_errors=True)
        marker.unlink(missing_ok=True)
        held.release()


def _decoded(line: bytes) -> Event | None:
    try:
        return decode_line(line)
    except Undecodable:
        return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
