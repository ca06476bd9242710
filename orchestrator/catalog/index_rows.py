"""Writes the rows of the index that new lines of journals lead to. The caller has a transaction open, and decides what
is read.
"""

from __future__ import annotations

from msgspec import Struct, field

from orchestrator.catalog.codec import to_json, to_timestamp
from orchestrator.catalog.database import Database
from orchestrator.catalog.endings import write_endings
from orchestrator.catalog.projection import Projection
from orchestrator.crashpoints import crash_point
from orchestrator.model.events import AssetMaterialized, Event, kind_of
from orchestrator.model.run import RunRecord
from orchestrator.model.states import TERMINAL_RUN_STATES

# What stands in `events.event` for a line of a journal that is not an event.
UNREADABLE = "unreadable"


class NewLines(Struct):
    """The new part of one journal, and the rows it leads to. `problems` says what could not be read."""

    record: RunRecord
    lines: list[bytes]
    events: list[Event | None]  # None for a line that is not an event: damaged, or from a newer version
    first_seq: int
    offset: int
    is_new: bool
    projection: Projection
    problems: list[str] = field(default_factory=list)
    is_readable: bool = True
    materializations: list[tuple[int, AssetMaterialized]] = field(default_factory=list)


def write_rows(database: Database, batch: list[NewLines]) -> None:
    """Writes what these lines add to every table of the index."""
    with database.transaction():
        _write_runs(database, batch)
        _write_events(database, batch)
        _write_steps(database, batch)
        _write_materializations(database, batch)
        _write_endings(database, batch)
        _write_problems(database, batch)
        crash_point("ingest.written")


def _write_runs(database: Database, batch: list[NewLines]) -> None:
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


def _write_events(database: Database, batch: list[NewLines]) -> None:
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


def _write_steps(database: Database, batch: list[NewLines]) -> None:
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


def _write_materializations(database: Database, batch: list[NewLines]) -> None:
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


def _write_endings(database: Database, batch: list[NewLines]) -> None:
    ended = [
        (read.record.run_id, str(read.projection.run.status), read.projection.run.finished_at)
        for read in batch
        if read.lines and read.projection.run.status in TERMINAL_RUN_STATES
    ]
    write_endings(database, sorted(ended, key=lambda one: (one[2] is not None, one[2])))


def materialization_id(run_id: str, seq: int) -> str:
    """Names a materialization by the journal line that says so: the same after every rebuild."""
    return f"{run_id}-{seq}"


def _write_problems(database: Database, batch: list[NewLines]) -> None:
    found = [(read.record.run_id, problem) for read in batch for problem in read.problems]
    # What is said of a run that is read from its beginning is said anew; of one that is read on, it is added to.
    again = [read.record.run_id for read in batch if read.is_new or not read.is_readable]
    if again:
        database.execute("DELETE FROM damage WHERE run_id IN (SELECT unnest(?))", [again])
    database.insert("damage", {"run_id": [run_id for run_id, _ in found], "problem": [problem for _, problem in found]})
