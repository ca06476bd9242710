"""The options of `runs list` as a filter of the store."""

from __future__ import annotations

from orchestrator import clock
from orchestrator.errors import UsageError, near_misses
from orchestrator.model.filters import RunFilter
from orchestrator.model.states import RunState


def run_filter(pipeline: str | None, status: list[str], tag: list[str], since: str | None, limit: int) -> RunFilter:
    """The filter. Raises UsageError for a state or a time that is none."""
    for name in status:
        if name.upper() not in RunState.__members__:
            raise UsageError(f"{name!r} is not a state of a run.", hint=near_misses(name.upper(), list(RunState)))
    try:
        since_at = clock.parse_instant_or_age(since, now=clock.now()) if since else None
    except ValueError as error:
        raise UsageError(str(error)) from None
    tags = tuple((name, value if equals else None) for name, equals, value in (item.partition("=") for item in tag))
    return RunFilter(
        pipeline=pipeline,
        statuses=tuple(RunState(name.upper()) for name in status),
        tags=tags,
        since=since_at,
        limit=limit or None,
    )
