"""What a look at everything asks of the index: what fails since when, what was not run, which failures stand. Whether
that is bad is not judged here.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from orchestrator.records import RunSummary
from orchestrator.store.codec import from_timestamp, to_timestamp
from orchestrator.store.kinds import reads
from orchestrator.store.runs import COLUMNS, summary_of

if TYPE_CHECKING:
    from orchestrator.store.database import Database


class NotRun(msgspec.Struct, frozen=True, kw_only=True):
    """Occurrences of one schedule that were not run, for a reason that is not the schedule's own."""

    name: str  # location/name
    count: int
    first: datetime
    last: datetime
    noticed_at: datetime
    reason: str
    about_run: str | None = None  # the run that kept the last of them from starting


@reads
def failing_since(database: Database, names: list[str]) -> dict[str, datetime]:
    """Since when those that fail have failed, without a tick in between that did not."""
    rows = database.rows(
        "WITH fine AS (SELECT instigator, max(occurred_at) AS fine_at FROM ticks"
        " WHERE status IN ('SUCCESS', 'SKIPPED') AND instigator IN (SELECT unnest($1)) GROUP BY instigator)"
        " SELECT instigator, min(occurred_at) FROM ticks LEFT JOIN fine USING (instigator)"
        " WHERE status = 'FAILURE' AND instigator IN (SELECT unnest($1)) AND (fine_at IS NULL OR occurred_at > fine_at)"
        " GROUP BY instigator",
        [names],
    )
    return {name: at for name, value in rows if (at := from_timestamp(value)) is not None}


@reads
def not_run_since(database: Database, since: datetime) -> list[NotRun]:
    """The occurrences that were found not to be run since then, by schedule, those noticed last first.

    Those that the schedule itself has skipped are not among them. A tick may stand for many occurrences.
    """
    rows = database.rows(
        "SELECT instigator, sum(occurrences), min(scheduled_at), max(coalesce(until, scheduled_at)), max(occurred_at),"
        " arg_max(skip_reason, scheduled_at), arg_max(coalesce(about_run, ''), scheduled_at)"
        " FROM ticks WHERE kind = 'schedule' AND scheduled_at IS NOT NULL AND occurred_at >= ?"
        " AND (status = 'MISSED' OR (status = 'SKIPPED' AND duration_s IS NULL))"
        " GROUP BY instigator ORDER BY max(occurred_at) DESC, instigator",
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
def standing_failures(database: Database, since: datetime, limit: int) -> list[RunSummary]:
    """Runs of schedules and sensors that failed since then, the last one of each pipeline, unless a run of the same
    pipeline has succeeded after it."""
    rows = database.rows(
        f"SELECT {COLUMNS} FROM runs WHERE status IN ('SUCCESS', 'FAILURE') AND created_at >= ?"
        " QUALIFY row_number() OVER (PARTITION BY location, pipeline ORDER BY created_at DESC) = 1"
        " ORDER BY created_at DESC",
        [to_timestamp(since)],
    )
    newest = [summary_of(row) for row in rows]
    unattended = [run for run in newest if run.status == "FAILURE" and run.trigger.kind in ("schedule", "sensor")]
    return unattended[:limit]
