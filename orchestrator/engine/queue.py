"""Which of the runs that wait may start now, and why each of the others may not. Starts none of them, and knows nothing
of where they wait.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from orchestrator.ticks import QueuedRun

# A run that could not be begun is tried again after this long.
PUT_OFF = timedelta(seconds=5)


@dataclass(frozen=True)
class TagLimitRule:
    """At most `limit` runs at a time with the tag `key`: with that `value`, or for each value of it, or any."""

    key: str
    limit: int
    value: str | None = None
    per_value: bool = False


@dataclass(frozen=True)
class QueueLimits:
    """What the workspace file allows."""

    max_concurrent_runs: int = 10
    tag_limits: tuple[TagLimitRule, ...] = ()


@dataclass(frozen=True)
class Admission:
    """The runs to start, in this order, and what each of the others waits for."""

    run_ids: tuple[str, ...]
    waiting: dict[str, str] = field(default_factory=dict)


def admit(
    queued: Sequence[QueuedRun],
    running: Sequence[QueuedRun],
    limits: QueueLimits,
    now: datetime,
    unavailable: Mapping[str, str] = MappingProxyType({}),
) -> Admission:
    """Takes runs by priority, then in the order in which they came. One that a tag limit blocks is passed over, and
    holds up nobody behind it; so is one whose location is `unavailable`, for the reason given there."""
    capacity = limits.max_concurrent_runs - len(running)
    counts: Counter[tuple[int, str | None]] = Counter()
    for run in running:
        counts.update(_counted(run, limits))
    admitted: list[str] = []
    waiting: dict[str, str] = {}
    for run in sorted(queued, key=lambda run: (-run.priority, run.created_at, run.run_id)):
        if is_postponed(run, now):
            waiting[run.run_id] = "it could not be launched, and is tried again soon"
        elif run.location in unavailable:
            waiting[run.run_id] = unavailable[run.location]
        elif len(admitted) >= capacity:
            waiting[run.run_id] = f"{len(running) + len(admitted)} of {limits.max_concurrent_runs} runs are going"
        elif (blocking := _blocking(run, limits, counts)) is not None:
            waiting[run.run_id] = blocking
        else:
            admitted.append(run.run_id)
            counts.update(_counted(run, limits))
    return Admission(tuple(admitted), waiting)


def is_postponed(run: QueuedRun, now: datetime) -> bool:
    """Whether it is too early to try the run again; never for longer than runs are put off, whatever the clock does."""
    return run.not_before is not None and now < run.not_before <= now + PUT_OFF


def _counted(run: QueuedRun, limits: QueueLimits) -> list[tuple[int, str | None]]:
    """The counts that a run adds to: (number of the rule, value for a rule that counts by value)."""
    counted = []
    for number, rule in enumerate(limits.tag_limits):
        value = run.tags.get(rule.key)
        if value is not None and rule.value in (None, value):
            counted.append((number, value if rule.per_value else None))
    return counted


def _blocking(run: QueuedRun, limits: QueueLimits, counts: Counter[tuple[int, str | None]]) -> str | None:
    for number, value in _counted(run, limits):
        rule = limits.tag_limits[number]
        if counts[number, value] >= rule.limit:
            shown = rule.value or value
            what = f"{rule.key}={shown}" if shown else f"the tag {rule.key}"
            return f"{counts[number, value]} of {rule.limit} runs with {what} are going"
    return None
