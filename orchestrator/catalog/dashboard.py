"""Queries behind `status`: what has been failing since when, what was missed, which failures stand."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from orchestrator.catalog.codec import from_timestamp, to_timestamp
from orchestrator.catalog.kinds import reads
from orchestrator.catalog.runs import COLUMNS, summary_of
from orchestrator.model.run import RunSummary

if TYPE_CHECKING:
    from orchestrator.catalog.database import Database


class NotRun(msgspec.Struct, frozen=True, kw_only=True):
    """Occurrences of one schedule that were not run, for a reason that is not the schedule's own."""

    name: str  # location/name
    count: int
    first: datetime
    last: datetime
    noticed_at: datetime
    reason: str
    about_run: str | None = None  # the run that kept the last of them from starting


class SkippedInARow(msgspec.Struct, frozen=True):
    """The newest occurrences of a schedule, all skipped because of one run."""

    name: str  # location/name
    count: int
    first: datetime
    last: datetime
    run_id: str


class ActiveRun(msgspec.Struct, frozen=True):
    """A run that is not over. `usual_s` is the median duration of the `runs` of its pipeline that succeeded."""

    run_id: str
    pipeline: str
    started_at: datetime | None
    usual_s: float | None
    runs: int


class Behind(msgspec.Struct, frozen=True):
    """A schedule whose runs wait in the queue; `oldest` is the first occurrence that has not begun."""

    name: str  # location/name
    runs: int
    oldest: datetime


class UndeliveredAlerts(msgspec.Struct, frozen=True):
    """The failed alerts of one sensor: to be tried again, and given up. `error` is the newest."""

    sensor: str  # location/name
    pending: int
    given_up: int
    first_failed_at: datetime
    next_at: datetime | None
    error: str
    is_on: bool = True


# A run of the whole pipeline, or one that no person started with a selection.
_WHOLE = "(selection IS NULL OR trigger_json ->> '$.kind' IN ('schedule', 'sensor'))"
# An occurrence that was skipped because a run was in the way.
_BLOCKED = "status = 'SKIPPED' AND duration_s IS NULL AND about_run IS NOT NULL"


@reads
def failing_since(database: Database, names: list[str]) -> dict[str, datetime]:
    """Since when those that fail have failed, without a tick in between that did not."""
    rows = database.rows(
        "WITH fine AS (SELECT automation, max(occurred_at) AS fine_at FROM ticks"
        " WHERE status IN ('SUCCESS', 'SKIPPED') AND automation IN (SELECT unnest($1)) GROUP BY automation)"
        " SELECT automation, min(occurred_at) FROM ticks LEFT JOIN fine USING (automation)"
        " WHERE status = 'FAILURE' AND automation IN (SELECT unnest($1)) AND (fine_at IS NULL OR occurred_at > fine_at)"
        " GROUP BY automation",
        [names],
    )
    return {name: at for name, value in rows if (at := from_timestamp(value)) is not None}


@reads
def not_run_since(database: Database, since: datetime) -> list[NotRun]:
    """The occurrences that were found not to be run since then, by schedule, those noticed last first.

    Those that the schedule itself has skipped are not among them. A tick may stand for many occurrences.
    """
    rows = database.rows(
        "SELECT automation, sum(occurrences), min(scheduled_at), max(coalesce(until, scheduled_at)), max(occurred_at),"
        " arg_max(skip_reason, scheduled_at), arg_max(coalesce(about_run, ''), scheduled_at)"
        " FROM ticks WHERE kind = 'schedule' AND scheduled_at IS NOT NULL AND occurred_at >= ?"
        " AND (status = 'MISSED' OR (status = 'SKIPPED' AND duration_s IS NULL))"
        " GROUP BY automation ORDER BY max(occurred_at) DESC, automation",
        [to_timestamp(since)],
    )
    found = []
    for name, count, *instants, reason, run in rows:
        first, last, noticed_at = map(from_timestamp, instants)
        assert first is not None
        assert last is not None
        assert noticed_at is not None
        found.append(
            NotRun(
                name=name,
                count=int(count),
                first=first,
                last=last,
                noticed_at=noticed_at,
                reason=reason or "",
                about_run=run or None,
            )
        )
    return found


@reads
def standing_failures(database: Database) -> list[RunSummary]:
    """The last run of each pipeline, where it has failed and is not acknowledged; the newest first.

    A run that was canceled does not count, nor one that a person restricted to some steps.
    """
    counts = f"status IN ('SUCCESS', 'FAILURE') AND {_WHOLE}"
    rows = database.rows(
        f"SELECT {COLUMNS} FROM runs JOIN (SELECT location, pipeline, max(created_at) AS created_at FROM runs"
        f" WHERE {counts} GROUP BY location, pipeline) USING (location, pipeline, created_at) WHERE {counts}"
        " QUALIFY row_number() OVER (PARTITION BY location, pipeline ORDER BY run_id DESC) = 1"
        " AND status = 'FAILURE' AND run_id NOT IN (SELECT run_id FROM acknowledged_runs)"
        " ORDER BY created_at DESC"
    )
    return [summary_of(row) for row in rows]


@reads
def skipped_in_a_row(database: Database) -> list[SkippedInARow]:
    """The schedules whose newest occurrences were skipped because a run was in the way, with how many those are."""
    rows = database.rows(
        "WITH other AS (SELECT automation, max(scheduled_at) AS other_at FROM ticks"
        f" WHERE kind = 'schedule' AND status <> 'MISSED' AND NOT ({_BLOCKED}) GROUP BY automation)"
        " SELECT automation, sum(occurrences), min(scheduled_at), max(coalesce(until, scheduled_at)),"
        " arg_max(about_run, scheduled_at) FROM ticks LEFT JOIN other USING (automation)"
        f" WHERE kind = 'schedule' AND {_BLOCKED} AND (other_at IS NULL OR scheduled_at > other_at)"
        " GROUP BY automation ORDER BY automation"
    )
    return [
        SkippedInARow(name, int(count), _instant(first), _instant(last), run_id)
        for name, count, first, last, run_id in rows
    ]


@reads
def active_runs(database: Database) -> list[ActiveRun]:
    """The runs that are not over, queued ones included, with the median duration of the runs of their pipeline."""
    rows = database.rows(
        "WITH active AS (SELECT run_id, location, pipeline, started_at FROM runs"
        " WHERE status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED')),"
        " usual AS (SELECT location, pipeline, median(epoch(finished_at) - epoch(started_at)) AS seconds,"
        f" count(*) AS runs FROM runs SEMI JOIN active USING (location, pipeline) WHERE status = 'SUCCESS' AND {_WHOLE}"
        " AND started_at IS NOT NULL AND finished_at IS NOT NULL GROUP BY location, pipeline)"
        " SELECT run_id, pipeline, started_at, seconds, coalesce(runs, 0) FROM active LEFT JOIN usual"
        " USING (location, pipeline) ORDER BY started_at, run_id"
    )
    return [
        ActiveRun(run_id, pipeline, from_timestamp(at), seconds, runs) for run_id, pipeline, at, seconds, runs in rows
    ]


@reads
def behind_schedule(database: Database) -> list[Behind]:
    """The schedules whose runs wait in the queue, with the oldest occurrence that has not begun."""
    rows = database.rows(
        "SELECT trigger_json ->> '$.name', count(*), min(trigger_json ->> '$.scheduled_at')"
        " FROM runs WHERE status = 'QUEUED' AND trigger_json ->> '$.kind' = 'schedule'"
        " AND trigger_json ->> '$.scheduled_at' IS NOT NULL GROUP BY 1 ORDER BY 1"
    )
    return [Behind(name, count, datetime.fromisoformat(oldest)) for name, count, oldest in rows]


@reads
def undelivered_alerts(database: Database) -> list[UndeliveredAlerts]:
    """The alerts that have failed and have not got through, by sensor."""
    rows = database.rows(
        "SELECT sensor, count(*) FILTER (status = 'PENDING'), count(*) FILTER (status <> 'PENDING'),"
        " min(first_failed_at), min(next_at), arg_max(error, last_failed_at) FROM deliveries"
        " GROUP BY sensor ORDER BY sensor"
    )
    return [
        UndeliveredAlerts(sensor, pending, given_up, _instant(first), from_timestamp(next_at), error)
        for sensor, pending, given_up, first, next_at, error in rows
    ]


def _instant(stored: datetime) -> datetime:
    found = from_timestamp(stored)
    assert found is not None
    return found
