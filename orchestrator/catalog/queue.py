"""The run queue: what waits, taking runs out of it, and giving them back or up. Which may start is decided by
`engine.admission`.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from orchestrator.catalog.codec import from_json, from_timestamp, to_timestamp
from orchestrator.catalog.endings import write_endings
from orchestrator.catalog.kinds import reads, writes
from orchestrator.crashpoints import crash_point
from orchestrator.model.queued_run import QueuedRun, UnfinishedRun
from orchestrator.model.run import BY_HAND, RunRecord, Trigger, priority_of
from orchestrator.model.states import TERMINAL_RUN_STATES, RunState
from orchestrator.runlog.run_log import RunLog
from orchestrator.state_dir import StateDir

if TYPE_CHECKING:
    from orchestrator.catalog.database import Database


@reads
def queued_runs(database: Database) -> list[QueuedRun]:
    """The runs that wait, oldest first."""
    rows = database.rows(
        "SELECT runs.run_id, created_at, tags, pipeline, location, mode, trigger_json, not_before"
        " FROM runs JOIN queue USING (run_id) WHERE status = 'QUEUED' ORDER BY created_at, runs.run_id"
    )
    waiting = []
    for run_id, created_at, tags_json, pipeline, location, mode, trigger_json, not_before in rows:
        tags = from_json(tags_json, dict[str, str])
        created = from_timestamp(created_at)
        assert created is not None
        waiting.append(
            QueuedRun(
                run_id=run_id,
                created_at=created,
                priority=priority_of(tags),
                tags=tags,
                pipeline=pipeline,
                location=location,
                mode=mode,
                by_hand=from_json(trigger_json, Trigger).kind in BY_HAND,
                not_before=from_timestamp(not_before),
            )
        )
    return waiting


@writes
def take_runs(database: Database, run_ids: list[str]) -> list[RunRecord]:
    """Takes runs out of the queue, in that order, each for one taker only: those that wait no longer are left out."""
    with database.transaction():
        rows = database.rows(
            "SELECT run_id FROM runs WHERE status = 'QUEUED' AND run_id IN (SELECT unnest(?))", [run_ids]
        )
        taken = {row[0] for row in rows}
        _set_status(database, sorted(taken), RunState.STARTING)
        records = _records(database, sorted(taken))
        crash_point("queue.taking")
    crash_point("queue.taken")
    return [records[run_id] for run_id in run_ids if run_id in records]


@reads
def taken_runs(database: Database) -> list[RunRecord]:
    """The runs that were taken and that the queue has not forgotten yet: their files may never have come to be, or a
    power cut may have taken them again."""
    over = [str(state) for state in TERMINAL_RUN_STATES]
    rows = database.rows(
        "SELECT runs.run_id FROM runs JOIN queue USING (run_id)"
        " WHERE status <> 'QUEUED' AND status NOT IN (SELECT unnest(?)) ORDER BY 1",
        [over],
    )
    return list(_records(database, [row[0] for row in rows]).values())


@writes
def forget_ended(database: Database) -> None:
    """Removes from the queue the runs that have ended: their daemon died before it could."""
    over = [str(state) for state in TERMINAL_RUN_STATES]
    ended = [
        row[0]
        for row in database.rows(
            "SELECT run_id FROM queue JOIN runs USING (run_id) WHERE status IN (SELECT unnest(?))", [over]
        )
    ]
    if ended:
        release_runs(database, ended)


@writes
def release_runs(database: Database, run_ids: list[str]) -> None:
    """These runs exist on disk: the queue need not remember them any more."""
    with database.transaction():
        database.execute("DELETE FROM queue WHERE run_id IN (SELECT unnest(?))", [run_ids])
        database.execute("DELETE FROM plans WHERE plan_id NOT IN (SELECT plan_id FROM queue)")
        crash_point("queue.releasing")
    crash_point("queue.released")


@writes
def put_back(database: Database, run_id: str, not_before: datetime) -> None:
    """The run could not be begun, through no fault of its own: it waits again."""
    with database.transaction():
        _set_status(database, [run_id], RunState.QUEUED)
        database.execute("UPDATE queue SET not_before = ? WHERE run_id = ?", [to_timestamp(not_before), run_id])


@writes
def cancel_queued(database: Database, run_id: str, at: datetime) -> bool:
    """Cancels a run that waits, or was taken and does not exist on disk yet; False when it is past that."""
    with database.transaction():
        row = database.row("SELECT status FROM runs JOIN queue USING (run_id) WHERE run_id = ?", [run_id])
        if row is None or not (
            row[0] == RunState.QUEUED or (row[0] == RunState.STARTING and _unborn(database, run_id))
        ):
            return False
        database.execute(
            "UPDATE runs SET status = 'CANCELED', finished_at = ?, reason = 'canceled while it was queued'"
            " WHERE run_id = ?",
            [to_timestamp(at), run_id],
        )
        database.execute("DELETE FROM queue WHERE run_id = ?", [run_id])
        write_endings(database, [(run_id, str(RunState.CANCELED), at)])
        crash_point("cancel.dequeuing")
    crash_point("cancel.dequeued")
    return True


@reads
def unfinished_runs(database: Database) -> list[UnfinishedRun]:
    """The runs that are not over, queued ones included, oldest first."""
    over = [str(state) for state in TERMINAL_RUN_STATES]
    rows = database.rows(
        "SELECT run_id, pipeline, location, mode, trigger_json, status FROM runs"
        " WHERE status NOT IN (SELECT unnest(?)) ORDER BY created_at, run_id",
        [over],
    )
    return [
        UnfinishedRun(
            run_id=run_id,
            pipeline=pipeline,
            location=location,
            mode=mode,
            trigger=from_json(trigger_json, Trigger),
            has_begun=status != RunState.QUEUED,
        )
        for run_id, pipeline, location, mode, trigger_json, status in rows
    ]


def _unborn(database: Database, run_id: str) -> bool:
    return database.path is None or not RunLog(StateDir(database.path.parent), run_id).exists()


def _set_status(database: Database, run_ids: list[str], status: RunState) -> None:
    if run_ids:
        database.execute("UPDATE runs SET status = ? WHERE run_id IN (SELECT unnest(?))", [str(status), run_ids])


def _records(database: Database, run_ids: list[str]) -> dict[str, RunRecord]:
    if not run_ids:
        return {}
    rows = database.rows(
        "SELECT run_id, record, plans.body FROM queue JOIN plans USING (plan_id) WHERE run_id IN (SELECT unnest(?))",
        [run_ids],
    )
    return {
        row[0]: replace(msgspec.json.decode(row[1], type=RunRecord), plan=msgspec.Raw(row[2].encode())) for row in rows
    }
