"""Run admission: which waiting runs may start now, and why each of the others may not. Starts none of them, and does
not know where they wait.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

from msgspec import Struct, field

from orchestrator.clock import is_ahead
from orchestrator.model.queued_run import QueuedRun
from orchestrator.model.run import SERIALIZE_TAG
from orchestrator.settings import RunQueueSettings

# A run that could not be begun is tried again after this long.
PUT_OFF = timedelta(seconds=5)
PAUSED = "the queue is paused (run_queue.max_concurrent_runs is 0)"
# More holders of one limit than this are not named in a reason.
_MOST_NAMED = 3

# What a run that is driven needs: its lock, its journal, and what is opened to look at its steps.
DESCRIPTORS_PER_RUN = 4
# What is kept for commands that ask, for the processes of locations, and for reading what has ended.
DESCRIPTORS_RESERVED = 16


class TagLimitRule(Struct, frozen=True):
    """At most `limit` runs at a time with the tag `key`: with that `value`, or for each value of it, or any."""

    key: str
    limit: int
    value: str | None = None
    per_value: bool = False


class QueueLimits(Struct, frozen=True):
    """What the workspace file allows."""

    max_concurrent_runs: int = 10
    tag_limits: tuple[TagLimitRule, ...] = ()


class Admission(Struct, frozen=True):
    """The runs to start, in this order, and what each of the others waits for.

    `claims` are the runs that are next in line for a tag limit, and wait for nothing else: no run that comes later, or
    has a lower priority, may take a slot before they do.
    """

    run_ids: tuple[str, ...]
    waiting: dict[str, str] = field(default_factory=dict)
    claims: tuple[str, ...] = ()


def limits_of(settings: RunQueueSettings) -> QueueLimits:
    """The limits that a workspace file declares."""
    rules = (
        TagLimitRule(key=one.key, value=one.value, limit=one.limit, per_value=one.per_value)
        for one in settings.tag_limits
    )
    return QueueLimits(settings.max_concurrent_runs, tuple(rules))


def admit(
    queued: Sequence[QueuedRun],
    running: Sequence[QueuedRun],
    limits: QueueLimits,
    now: datetime,
    unavailable: Mapping[str, str] = MappingProxyType({}),
) -> Admission:
    """Takes runs by priority, then in the order in which they came.

    A run that a tag limit blocks is passed over and does not hold up those behind it; so is one whose location is
    `unavailable`, for the reason given there. Tag limits count every run. `max_concurrent_runs` is about what the
    daemon drives: foreground runs neither wait for it nor count against it.
    """
    capacity = limits.max_concurrent_runs - sum(not run.foreground for run in running)
    tally = _Tally(limits, running)
    admitted: list[str] = []
    waiting: dict[str, str] = {}
    claims: list[str] = []
    claimed: dict[_Key, int] = {}
    for run in in_order(queued):
        own = None if run.foreground else _own_reason(run, limits, now, unavailable, capacity)
        blocking = None if own is not None else tally.blocking(run)
        if own is not None:
            waiting[run.run_id] = own
        elif blocking is not None:
            waiting[run.run_id] = blocking.reason
            if claimed.get(blocking.key, 0) < blocking.limit:
                claimed[blocking.key] = claimed.get(blocking.key, 0) + 1
                claims.append(run.run_id)
        else:
            admitted.append(run.run_id)
            tally.add(run, is_next=True)
            capacity -= not run.foreground
    return Admission(tuple(admitted), waiting, tuple(claims))


def room_for_runs(free_descriptors: int, active: int) -> int:
    """How many more runs may begin with that many file descriptors free. One may in any case when none is active: with
    fewer descriptors than that nothing would ever run."""
    room = max(0, (free_descriptors - DESCRIPTORS_RESERVED) // DESCRIPTORS_PER_RUN)
    return max(room, 0 if active else 1)


def in_order(runs: Sequence[QueuedRun]) -> list[QueuedRun]:
    """Runs in the order in which they may start."""
    return sorted(runs, key=lambda run: (-run.priority, run.created_at, run.run_id))


def why_not(
    run: QueuedRun, rivals: Sequence[QueuedRun], running: Sequence[QueuedRun], limits: QueueLimits, now: datetime
) -> str | None:
    """What keeps a foreground run from starting now: tag limits that others fill or are first in line for."""
    others = [rival for rival in rivals if rival.run_id != run.run_id]
    holding = [one for one in running if one.run_id != run.run_id]
    return admit([run, *others], holding, limits, now).waiting.get(run.run_id)


def is_limited(run: QueuedRun, limits: QueueLimits) -> bool:
    """Whether any limit other than `max_concurrent_runs` applies to the run."""
    return SERIALIZE_TAG in run.tags or any(True for _ in _counted(run, limits))


def is_postponed(run: QueuedRun, now: datetime) -> bool:
    """Whether it is too early to try the run again; never for longer than runs are put off, whatever the clock does."""
    return is_ahead(run.not_before, PUT_OFF, now)


# --- inside --------------------------------------------------------------------------------------------------------

# What is counted: (number of the rule, value for a rule that counts by value), or (None, value of the serialize tag).
_Key = tuple[int | None, str | None]


class _Blocking(Struct, frozen=True):
    key: _Key
    limit: int
    reason: str


def _own_reason(
    run: QueuedRun, limits: QueueLimits, now: datetime, unavailable: Mapping[str, str], capacity: int
) -> str | None:
    if is_postponed(run, now):
        return "it could not be launched, and is tried again soon"
    if run.location in unavailable:
        return unavailable[run.location]
    if limits.max_concurrent_runs == 0:
        return PAUSED
    if capacity <= 0:
        return f"{limits.max_concurrent_runs - capacity} of {limits.max_concurrent_runs} runs are going"
    return None


def _counted(run: QueuedRun, limits: QueueLimits) -> Iterator[tuple[int, str | None]]:
    """The counts that a run adds to: (number of the rule, value for a rule that counts by value)."""
    for number, rule in enumerate(limits.tag_limits):
        value = run.tags.get(rule.key)
        if value is not None and rule.value in (None, value):
            yield number, value if rule.per_value else None


class _Tally:
    """Who holds what. Runs that were admitted a moment ago and have not started count like those that are going."""

    def __init__(self, limits: QueueLimits, running: Sequence[QueuedRun]) -> None:
        self._limits = limits
        self._holders: dict[_Key, list[str]] = {}
        self._by_hand: dict[tuple[str, str, str], str] = {}
        self._next: set[str] = set()
        for run in running:
            self.add(run)

    def add(self, run: QueuedRun, *, is_next: bool = False) -> None:
        for number, value in _counted(run, self._limits):
            self._holders.setdefault((number, value), []).append(run.run_id)
        if SERIALIZE_TAG in run.tags:
            self._holders.setdefault((None, run.tags[SERIALIZE_TAG]), []).append(run.run_id)
        if run.by_hand:
            self._by_hand[run.location, run.pipeline, run.mode] = run.run_id
        if is_next:
            self._next.add(run.run_id)

    def blocking(self, run: QueuedRun) -> _Blocking | None:
        for number, value in _counted(run, self._limits):
            rule = self._limits.tag_limits[number]
            holders = self._holders.get((number, value), [])
            if len(holders) >= rule.limit:
                return _Blocking((number, value), rule.limit, self._full(rule, rule.value or value, holders))
        serial = run.tags.get(SERIALIZE_TAG)
        return None if serial is None else self._before(run, serial)

    def _full(self, rule: TagLimitRule, shown: str | None, holders: list[str]) -> str:
        what = f"{rule.key}={shown}" if shown else f"the tag {rule.key}"
        if rule.limit == 0:
            return f"no run with {what} may start (its limit is 0)"
        named = ", ".join(holders[:_MOST_NAMED]) + (", ..." if len(holders) > _MOST_NAMED else "")
        are = "are going or come first" if self._next.intersection(holders) else "are going"
        return f"{len(holders)} of {rule.limit} runs with {what} {are} ({named})"

    def _before(self, run: QueuedRun, serial: str) -> _Blocking | None:
        """Runs with the same serialize tag go one after another, and not beside one that was started by hand."""
        holders = self._holders.get((None, serial))
        by_hand = self._by_hand.get((run.location, run.pipeline, run.mode))
        if holders:
            reason = f"run {holders[-1]} of {serial} is not over yet"
        elif by_hand is not None:
            reason = f"run {by_hand} of {run.pipeline}, which was started by hand, is not over yet"
        else:
            return None
        return _Blocking((None, serial), 1, reason)
