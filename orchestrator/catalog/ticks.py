"""Ticks: writing them together with everything they lead to, and reading them back. Decides none of it."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.catalog.automations import save_automations
from orchestrator.catalog.codec import from_json, from_timestamp, to_json, to_timestamp
from orchestrator.catalog.deliveries import save_deliveries
from orchestrator.catalog.kinds import reads, writes
from orchestrator.crashpoints import crash_point
from orchestrator.errors import StoreConflict
from orchestrator.model.automation import Automation
from orchestrator.model.delivery import Delivery
from orchestrator.model.filters import TickFilter
from orchestrator.model.run import RunRecord
from orchestrator.model.states import RunState, TickState
from orchestrator.model.tick import Tick

if TYPE_CHECKING:
    from orchestrator.catalog.database import Database

_COLUMNS = (
    "tick_id, automation, kind, status, occurred_at, scheduled_at, duration_s, run_ids, run_keys, skip_reason, error,"
    " cursor_after, output, occurrences, until, about_run"
)
_NEWEST_FIRST = "ORDER BY occurred_at DESC, scheduled_at DESC, tick_id"


class EnqueuedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run for the queue. `record` comes without its plan, which is beside it because many runs share one."""

    record: RunRecord
    plan: msgspec.Raw
    dedupe_in: str | None = None
    dedupe_key: str | None = None
    not_before: datetime | None = None


class TickBatch(msgspec.Struct, frozen=True):
    """What is committed together. `again`: an earlier commit of some of it has failed, or so it seemed."""

    ticks: list[Tick]
    automations: list[Automation]
    runs: list[EnqueuedRun]
    again: bool = False
    undelivered: list[Delivery] = []
    delivered: list[str] = []  # keys of deliveries


@writes
def commit_ticks(database: Database, batch: TickBatch) -> None:
    """All of it or nothing. Raises StoreConflict when a key was used already; nothing is written then."""
    with database.transaction():
        if batch.again:
            batch = _unwritten(database, batch)
        _refuse_used(database, batch.runs)
        _write_ticks(database, batch.ticks)
        save_automations(database, batch.automations)
        save_deliveries(database, batch.undelivered, batch.delivered)
        _write_runs(database, batch.runs)
        crash_point("tick.written")
    crash_point("tick.committed")


@reads
def list_ticks(database: Database, which: TickFilter) -> list[Tick]:
    """The ticks that pass the filter, newest first."""
    condition, parameters = _condition(which)
    limit = "" if which.limit is None else f" LIMIT {int(which.limit)}"
    rows = database.rows(f"SELECT {_COLUMNS} FROM ticks WHERE {condition} {_NEWEST_FIRST}{limit}", parameters)
    return [_tick(row) for row in rows]


@reads
def recent_ticks(database: Database, which: TickFilter, each: int) -> list[Tick]:
    """Of each schedule and sensor the newest ticks that pass the filter, `each` at most; newest first."""
    condition, parameters = _condition(which)
    rows = database.rows(
        f"SELECT {_COLUMNS} FROM ticks WHERE {condition}"
        " QUALIFY row_number() OVER (PARTITION BY automation ORDER BY occurred_at DESC)"
        f" <= {int(each)} {_NEWEST_FIRST}",
        parameters,
    )
    return [_tick(row) for row in rows]


@reads
def latest_ticks(database: Database) -> list[Tick]:
    """The newest tick of each schedule and sensor."""
    # First the instants, which is fast however many ticks there are, then what stands there; several may share one.
    rows = database.rows(
        f"SELECT {_COLUMNS} FROM ticks"
        " JOIN (SELECT automation, max(occurred_at) AS occurred_at FROM ticks GROUP BY automation)"
        " USING (automation, occurred_at)"
        " QUALIFY row_number() OVER (PARTITION BY automation ORDER BY scheduled_at DESC NULLS LAST, tick_id) = 1"
    )
    return [_tick(row) for row in rows]


@reads
def newest_record(database: Database) -> datetime | None:
    """The latest instant at which anything on record happened: a tick, or a run that was asked for."""
    row = database.row(
        "SELECT max(newest) FROM"
        " (SELECT max(occurred_at) AS newest FROM ticks UNION ALL SELECT max(created_at) FROM runs)"
    )
    return from_timestamp(row[0]) if row else None


@writes
def purge_ticks(database: Database, skipped_before: datetime, others_before: datetime) -> int:
    """Removes old ticks; how many there were."""
    condition = "(status = 'SKIPPED' AND occurred_at < ?) OR occurred_at < ?"
    parameters = [to_timestamp(skipped_before), to_timestamp(others_before)]
    row = database.row(f"SELECT count(*) FROM ticks WHERE {condition}", parameters)
    if row is None or not row[0]:
        return 0
    database.execute(f"DELETE FROM tick_rows WHERE {condition}", parameters)
    return int(row[0])


def _condition(which: TickFilter) -> tuple[str, list[Any]]:
    conditions: list[str] = ["true"]
    parameters: list[Any] = []
    lists = (("kind", list(which.kinds)), ("status", [str(status) for status in which.statuses]))
    for column, values in lists:
        if values:
            conditions.append(f"{column} IN (SELECT unnest(?))")
            parameters.append(values)
    if which.name is not None:
        conditions.append("automation = ?")
        parameters.append(which.name)
    if which.tick_id is not None:
        conditions.append("tick_id = ?")
        parameters.append(which.tick_id)
    if which.with_output:
        conditions.append("(output IS NOT NULL OR error IS NOT NULL)")
    if which.since is not None:
        conditions.append("occurred_at >= ?")
        parameters.append(to_timestamp(which.since))
    return " AND ".join(conditions), parameters


def _unwritten(database: Database, batch: TickBatch) -> TickBatch:
    """The batch without what is there already: a commit may succeed without its acknowledgement."""
    rows = database.rows(
        "SELECT tick_id FROM ticks WHERE tick_id IN (SELECT unnest(?))", [[tick.tick_id for tick in batch.ticks]]
    )
    rows += database.rows(
        "SELECT run_id FROM runs WHERE run_id IN (SELECT unnest(?))", [[run.record.run_id for run in batch.runs]]
    )
    written = {row[0] for row in rows}
    return TickBatch(
        [tick for tick in batch.ticks if tick.tick_id not in written],
        batch.automations,
        [run for run in batch.runs if run.record.run_id not in written],
        undelivered=batch.undelivered,
        delivered=batch.delivered,
    )


def _refuse_used(database: Database, runs: list[EnqueuedRun]) -> None:
    pairs = [(run.dedupe_in, run.dedupe_key) for run in runs if run.dedupe_key is not None]
    if not pairs:
        return
    found = database.row(
        "SELECT automation, run_key FROM run_keys JOIN (SELECT unnest(?) AS automation, unnest(?) AS run_key) AS wanted"
        " USING (automation, run_key) LIMIT 1",
        [[pair[0] for pair in pairs], [pair[1] for pair in pairs]],
    )
    if found is not None or len(set(pairs)) < len(pairs):
        raise StoreConflict(f"A key was used already: {found}.")


def _write_ticks(database: Database, ticks: list[Tick]) -> None:
    if not ticks:
        return
    database.insert(
        "tick_rows",
        {
            "tick_id": [tick.tick_id for tick in ticks],
            "automation": [tick.name for tick in ticks],
            "kind": [tick.kind for tick in ticks],
            "status": [str(tick.status) for tick in ticks],
            "occurred_at": [to_timestamp(tick.at) for tick in ticks],
            "scheduled_at": [to_timestamp(tick.scheduled_at) for tick in ticks],
            "duration_s": [tick.duration_s for tick in ticks],
            "run_ids": [to_json(tick.run_ids) for tick in ticks],
            "run_keys": [to_json(tick.run_keys) for tick in ticks],
            "skip_reason": [tick.skip_reason for tick in ticks],
            "error": [tick.error for tick in ticks],
            "cursor_after": [tick.cursor for tick in ticks],
            "output": [tick.output for tick in ticks],
            "occurrences": [tick.occurrences for tick in ticks],
            "until": [to_timestamp(tick.until) for tick in ticks],
            "about_run": [tick.about_run for tick in ticks],
        },
    )


def _write_runs(database: Database, runs: list[EnqueuedRun]) -> None:
    if not runs:
        return
    bodies: dict[bytes, str] = {}
    for run in runs:
        body = bytes(run.plan)
        if body not in bodies:
            bodies[body] = hashlib.sha256(body).hexdigest()
    known = database.rows("SELECT plan_id FROM plans WHERE plan_id IN (SELECT unnest(?))", [list(bodies.values())])
    new = {plan_id: body for body, plan_id in bodies.items() if plan_id not in {row[0] for row in known}}
    database.insert("plans", {"plan_id": list(new), "body": [body.decode() for body in new.values()]})
    records = [run.record for run in runs]
    database.insert(
        "runs",
        {
            "run_id": [record.run_id for record in records],
            "pipeline": [record.pipeline for record in records],
            "location": [record.location for record in records],
            "mode": [record.mode for record in records],
            "status": [str(RunState.QUEUED)] * len(records),
            "created_at": [to_timestamp(record.created_at) for record in records],
            "tags": [to_json(record.tags) for record in records],
            "trigger_json": [to_json(record.trigger) for record in records],
            "parent_run_id": [record.parent_run_id for record in records],
            "root_run_id": [record.root_run_id for record in records],
            "selection": [to_json(record.selection) if record.selection else None for record in records],
            "journal_lines": [0] * len(records),
            "journal_offset": [0] * len(records),
        },
    )
    database.insert(
        "queue",
        {
            "run_id": [record.run_id for record in records],
            "record": [to_json(record) for record in records],
            "plan_id": [bodies[bytes(run.plan)] for run in runs],
            "not_before": [to_timestamp(run.not_before) for run in runs],
        },
    )
    keyed = [run for run in runs if run.dedupe_key is not None]
    if keyed:
        database.insert(
            "run_keys",
            {
                "automation": [run.dedupe_in for run in keyed],
                "run_key": [run.dedupe_key for run in keyed],
                "run_id": [run.record.run_id for run in keyed],
            },
        )


def _tick(row: tuple[Any, ...]) -> Tick:
    at = from_timestamp(row[4])
    assert at is not None
    return Tick(
        tick_id=row[0],
        name=row[1],
        kind=row[2],
        status=TickState(row[3]),
        at=at,
        scheduled_at=from_timestamp(row[5]),
        duration_s=row[6],
        run_ids=from_json(row[7], tuple[str, ...]),
        run_keys=from_json(row[8], tuple[str, ...]),
        skip_reason=row[9],
        error=row[10],
        cursor=row[11],
        output=row[12],
        occurrences=row[13] or 1,
        until=from_timestamp(row[14]),
        about_run=row[15],
    )
