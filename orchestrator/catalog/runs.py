"""Runs in the database: finding, listing and deleting them. Touches none of their files."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from orchestrator.catalog.codec import from_json, from_timestamp, to_timestamp
from orchestrator.catalog.kinds import reads, writes
from orchestrator.errors import NotFound
from orchestrator.ids import LENGTH, RUN_ID
from orchestrator.model.filters import RunFilter
from orchestrator.model.run import RunInfo, RunRecord, RunSummary, Trigger
from orchestrator.model.states import TERMINAL_RUN_STATES, RunState

if TYPE_CHECKING:
    from orchestrator.catalog.database import Database

LAST = "last"
COLUMNS = "run_id, pipeline, mode, status, created_at, started_at, finished_at, tags, trigger_json"


@reads
def list_runs(database: Database, which: RunFilter) -> list[RunSummary]:
    """The runs that pass the filter, newest first."""
    conditions, parameters = _conditions(which)
    limit = "" if which.limit is None else f"LIMIT {int(which.limit)}"
    rows = database.rows(
        f"SELECT {COLUMNS} FROM runs {conditions} ORDER BY created_at DESC, run_id {limit}", parameters
    )
    return [summary_of(row) for row in rows]


@reads
def count_runs(database: Database, which: RunFilter) -> int:
    """How many runs pass the filter, whatever its limit."""
    conditions, parameters = _conditions(which)
    row = database.row(f"SELECT count(*) FROM runs {conditions}", parameters)
    return int(row[0]) if row else 0


@reads
def resolve_run(database: Database, reference: str) -> str:
    """The id of the run meant by an id, a unique beginning of one, or `last`. Raises NotFound."""
    if reference == LAST:
        row = database.row("SELECT run_id FROM runs ORDER BY created_at DESC, run_id LIMIT 1")
        if row is None:
            raise NotFound("There are no runs yet.", hint="Start one with `orchestrator run PIPELINE`.")
        return str(row[0])
    found = []
    if reference and RUN_ID.fullmatch(reference.ljust(LENGTH, "0")):
        found = [
            row[0]
            for row in database.rows(
                "SELECT run_id FROM runs WHERE starts_with(run_id, ?) ORDER BY created_at DESC LIMIT 6",
                [reference],
            )
        ]
    if not found:
        raise NotFound(
            f"There is no run {reference!r}.",
            hint="`orchestrator runs list` shows the newest; a unique beginning of an id, or `last`, is enough.",
        )
    if len(found) > 1:
        several = f"{', '.join(found[:5])}{' ...' if len(found) > 5 else ''}"
        raise NotFound(f"Several runs begin with {reference!r}: {several}", hint="Give more of the id.")
    return str(found[0])


@reads
def get_run(database: Database, run_id: str) -> RunInfo:
    """One run by its full id. Raises NotFound."""
    row = database.row(f"SELECT {COLUMNS}, location, reason, parent_run_id FROM runs WHERE run_id = ?", [run_id])
    if row is None:
        raise NotFound(f"There is no run {run_id!r}.")
    return RunInfo(summary_of(row), row[9], row[10] or "", row[11])


@reads
def indexed_record(database: Database, run_id: str) -> RunRecord:
    """A run as the index has it, for when its own record cannot be read: without its plan and its configuration."""
    row = database.row(
        "SELECT pipeline, location, mode, created_at, tags, trigger_json, parent_run_id, root_run_id FROM runs"
        " WHERE run_id = ?",
        [run_id],
    )
    assert row is not None
    created_at = from_timestamp(row[3])
    assert created_at is not None
    return RunRecord(
        run_id=run_id,
        pipeline=row[0],
        location=row[1],
        mode=row[2],
        created_at=created_at,
        tags=from_json(row[4], dict[str, str]),
        trigger=from_json(row[5], Trigger),
        parent_run_id=row[6],
        root_run_id=row[7],
    )


@writes
def delete_run(database: Database, run_id: str) -> None:
    """Removes a run from the index, with its events and materializations. Its files are not touched."""
    with database.transaction():
        for table in ("runs", "events", "steps", "materializations", "damage", "queue", "acknowledged_runs"):
            database.execute(f"DELETE FROM {table} WHERE run_id = ?", [run_id])


@reads
def run_ids(database: Database) -> list[str]:
    """The newest run ids, for completion in the shell."""
    return [row[0] for row in database.rows("SELECT run_id FROM runs ORDER BY created_at DESC LIMIT 50")]


@reads
def begun_runs(database: Database) -> list[str]:
    """The ids of the runs that have left the queue and are not over, oldest first."""
    others = [str(state) for state in (RunState.QUEUED, *TERMINAL_RUN_STATES)]
    rows = database.rows("SELECT run_id FROM runs WHERE status NOT IN (SELECT unnest(?)) ORDER BY created_at", [others])
    return [row[0] for row in rows]


@reads
def runs_ended_before(database: Database, instant: datetime, limit: int) -> list[str]:
    """The ids of runs that ended before that instant, oldest first."""
    over = [str(state) for state in (RunState.SUCCESS, RunState.FAILURE, RunState.CANCELED)]
    rows = database.rows(
        "SELECT run_id FROM runs WHERE status IN (SELECT unnest(?)) AND finished_at < ? ORDER BY finished_at LIMIT ?",
        [over, to_timestamp(instant), limit],
    )
    return [row[0] for row in rows]


@reads
def median_durations(database: Database) -> dict[str, float]:
    """How many seconds a run of each `location/pipeline` takes: the median of those that succeeded."""
    rows = database.rows(
        "SELECT location || '/' || pipeline, median(epoch(finished_at) - epoch(started_at)) FROM runs"
        " WHERE status = ? AND started_at IS NOT NULL AND finished_at IS NOT NULL GROUP BY 1",
        [str(RunState.SUCCESS)],
    )
    return {row[0]: max(0.0, float(row[1])) for row in rows}


def _conditions(which: RunFilter) -> tuple[str, list[Any]]:
    conditions: list[str] = []
    parameters: list[Any] = []
    if which.pipeline is not None:
        conditions.append("pipeline = ?")
        parameters.append(which.pipeline)
    if which.statuses:
        conditions.append("status IN (SELECT unnest(?))")
        parameters.append([str(status) for status in which.statuses])
    if which.since is not None:
        conditions.append("created_at >= ?")
        parameters.append(to_timestamp(which.since))
    for name, value in which.tags:
        conditions.append("json_extract_string(tags, ?)" + (" IS NOT NULL" if value is None else " = ?"))
        parameters.append(f'$."{name}"')
        if value is not None:
            parameters.append(value)
    return ("WHERE " + " AND ".join(conditions) if conditions else ""), parameters


def summary_of(row: tuple[Any, ...]) -> RunSummary:
    """A row of `COLUMNS` as a run."""
    created_at = from_timestamp(row[4])
    assert created_at is not None
    return RunSummary(
        run_id=row[0],
        pipeline=row[1],
        mode=row[2],
        status=RunState(row[3]),
        created_at=created_at,
        started_at=from_timestamp(row[5]),
        finished_at=from_timestamp(row[6]),
        tags=from_json(row[7], dict[str, str]),
        trigger=from_json(row[8], Trigger),
    )
