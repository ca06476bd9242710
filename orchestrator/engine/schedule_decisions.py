"""Which occurrences of a schedule are due, which of them to run, and what becomes of the others.

Pure: what is declared, what is remembered and an instant come in, a decision goes out. Every occurrence is accounted
for exactly once, whenever and however often one asks.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.clock import format_duration
from orchestrator.cron import instants_after, load_zone
from orchestrator.cron_expression import parse_cron
from orchestrator.model.automation import Automation, ScheduleInfo
from orchestrator.model.states import TickState

# An occurrence that is looked at this soon after its instant was not late: the daemon was awake.
ON_TIME = timedelta(seconds=60)
# More missed occurrences than this are listed one by one only from the newest end; the rest becomes one line.
MOST_TOLD = 100
# More than this are not even counted: those that are still further back than that are passed over at once.
MOST_COUNTED = 200_000
LONGEST_COUNTED = timedelta(days=100)
# A clock that is set back by no more than this is waited for, and then nothing has happened twice. After more than this
# the time that it shows now counts: waiting might take years. (cron makes the same distinction.)
LONGEST_WAITED = timedelta(hours=3)
# Policies under which a run waits in the queue until the runs before it are over: a canceled one may take a while.
ONE_AFTER_ANOTHER = ("buffer_one", "buffer_all", "cancel_other")
_GOING = "the previous run has not finished"


class SkippedOccurrence(Struct, frozen=True):
    """An occurrence that is not run, and why; or `count` of them up to `until`."""

    scheduled_at: datetime
    reason: str
    count: int = 1
    until: datetime | None = None
    about_run: str | None = None  # the run that is in the way


class ScheduleDecision(Struct, frozen=True):
    """What to do now. `since` is up to where everything is accounted for once `evaluate` has been carried out."""

    evaluate: tuple[datetime, ...] = ()
    missed: tuple[SkippedOccurrence, ...] = ()
    skipped: tuple[SkippedOccurrence, ...] = ()
    cancel_active: bool = False
    serialize: bool = False
    since: datetime | None = None
    since_inclusive: bool = True
    next_at: datetime | None = None


def decide(
    declared: ScheduleInfo,
    remembered: Automation,
    now: datetime,
    *,
    active: tuple[str, ...] = (),
    notes: Mapping[str, str] = MappingProxyType({}),
    making_up: datetime | None = None,
) -> ScheduleDecision:
    """What is due at `now`. `active` are the unfinished runs that count, waiting ones included, with a note on some of
    them; up to `making_up` an earlier decision has found occurrences to be made up."""
    since = remembered.since
    if not remembered.is_on or since is None:
        return ScheduleDecision(since=since, since_inclusive=remembered.since_inclusive)
    backlog, upcoming = _look_back(declared, remembered.id, since, remembered.since_inclusive, now)
    next_at = None if upcoming is None else upcoming + jitter_of(declared, remembered.id, upcoming)
    if not backlog.newest:
        return ScheduleDecision(since=since, since_inclusive=remembered.since_inclusive, next_at=next_at)
    decision = _judge(declared, remembered.id, backlog, now, active, notes, making_up)
    return decision if next_at is None else replace(decision, next_at=next_at)


def decide_on(
    declared: ScheduleInfo,
    id: str,
    due: Sequence[datetime],
    now: datetime,
    *,
    active: tuple[str, ...] = (),
    making_up: datetime | None = None,
) -> ScheduleDecision:
    """The same decision about occurrences already known to be due, oldest first; at least one."""
    backlog = _Backlog(_kept(declared, now))
    for instant in due:
        backlog.add(instant)
    return _judge(declared, id, backlog, now, active, {}, making_up)


def is_plain(declared: ScheduleInfo, late: timedelta, jitter: timedelta) -> bool:
    """Whether an occurrence that alone is due, this late, with nothing else going on, is run whatever the policies say.
    `decide_on` would say the same, in more time."""
    window = declared.catch_up_window
    return late < ON_TIME and (window is None or (late + jitter).total_seconds() <= window)


class ScheduleStep(Struct, frozen=True):
    """What to carry out of a decision before deciding again: one evaluation, or none.

    `passed` are the occurrences before it that are not run, with what each is recorded as. When the evaluation asks for
    runs, those that are active are canceled if `cancels_active`; the new ones go one after another if `is_serial`.
    Occurrences up to `making_up` count as late from now on.
    """

    evaluate: datetime | None
    passed: tuple[tuple[SkippedOccurrence, TickState], ...]
    cancels_active: bool = False
    is_serial: bool = False
    making_up: datetime | None = None


def first_step(decision: ScheduleDecision, making_up: datetime | None = None) -> ScheduleStep:
    """The next step of a decision. `making_up` is that of the step before it."""
    if not decision.evaluate:
        return ScheduleStep(None, tuple(passed_of(decision)), making_up=making_up)
    first = decision.evaluate[0]
    return ScheduleStep(
        first,
        tuple(passed_of(decision, until=first)),
        cancels_active=decision.cancel_active,
        is_serial=decision.serialize,
        making_up=decision.evaluate[-1] if decision.serialize else making_up,
    )


def passed_of(decision: ScheduleDecision, until: datetime | None = None) -> list[tuple[SkippedOccurrence, TickState]]:
    """The occurrences that a decision does not run, oldest first, with what each is recorded as; only those before
    `until`, when that one is carried out."""
    both = [(passed, TickState.MISSED) for passed in decision.missed]
    both += [(passed, TickState.SKIPPED) for passed in decision.skipped]
    both.sort(key=lambda one: one[0].scheduled_at)
    return [one for one in both if until is None or one[0].scheduled_at < until]


def jitter_of(declared: ScheduleInfo, id: str, scheduled_at: datetime) -> timedelta:
    """How long after its instant an occurrence is run: less than the declared jitter, the same whenever one asks."""
    if not declared.jitter:
        return timedelta(0)
    digest = hashlib.sha256(f"{id} {scheduled_at.isoformat()}".encode()).digest()
    return timedelta(seconds=declared.jitter * int.from_bytes(digest[:6], "big") / (1 << 48))


def upcoming(declared: ScheduleInfo, now: datetime, count: int) -> list[datetime]:
    """The next instants of a schedule, whether it is on or not."""
    return [instant for _, instant in zip(range(count), _occurrences(declared, now, inclusive=False), strict=False)]


def after_clock_change(remembered: Automation, now: datetime) -> Automation:
    """What counts at `now`, on a clock that may have been set by much since this was remembered: itself if nothing is
    to be said about it.

    Set back, occurrences count from now, and up to where they had been accounted for before is kept in mind: when the
    clock gets there, or is set forwards again, they are not accounted for a second time. So neither a clock that ran
    years ahead for a minute nor one that began years behind stops a schedule or floods it.
    """
    since = remembered.since
    if since is None:
        return remembered
    reached = [instant for instant in remembered.ahead if instant <= now]
    if reached:
        left = tuple(instant for instant in remembered.ahead if instant > now)
        if since < max(reached):
            return replace(remembered, since=max(reached), since_inclusive=False, ahead=left)
        return replace(remembered, ahead=left)
    if since - now > LONGEST_WAITED:
        return replace(remembered, since=now, since_inclusive=True, ahead=(*remembered.ahead, since))
    return remembered


# --- inside --------------------------------------------------------------------------------------------------------


def _judge(
    declared: ScheduleInfo,
    id: str,
    backlog: _Backlog,
    now: datetime,
    active: tuple[str, ...],
    notes: Mapping[str, str],
    making_up: datetime | None,
) -> ScheduleDecision:
    last = backlog.newest[-1]
    wanted, missed = _choose(declared, backlog, now)
    waiting = _made_up(declared, id, wanted, now, making_up)
    on_time, skipped, cancel = _overlap(declared, wanted[len(waiting) :], active, notes, waiting)
    return ScheduleDecision(
        evaluate=(*waiting, *on_time),
        missed=tuple(missed),
        skipped=tuple(skipped),
        cancel_active=cancel,
        serialize=bool(waiting) or declared.overlap in ONE_AFTER_ANOTHER,
        since=last,
        since_inclusive=False,
    )


def _occurrences(declared: ScheduleInfo, after: datetime, *, inclusive: bool) -> Iterator[datetime]:
    return instants_after(parse_cron(declared.cron), load_zone(declared.timezone), after, inclusive=inclusive)


def _look_back(
    declared: ScheduleInfo, id: str, since: datetime, inclusive: bool, now: datetime
) -> tuple[_Backlog, datetime | None]:
    """The occurrences that are due, and the one after them."""
    backlog = _Backlog(_kept(declared, now))
    first = None
    for count, instant in enumerate(_occurrences(declared, since, inclusive=inclusive)):
        first = first or instant
        if instant + jitter_of(declared, id, instant) > now:
            return backlog, instant
        if count == MOST_COUNTED and now - instant > LONGEST_COUNTED:
            start = now - LONGEST_COUNTED
            backlog, upcoming = _look_back(declared, id, start, True, now)
            backlog.uncounted = (first, start)
            return backlog, upcoming
        backlog.add(instant)
    return backlog, None


def _kept(declared: ScheduleInfo, now: datetime) -> datetime | None:
    return None if declared.catch_up_window is None else now - timedelta(seconds=declared.catch_up_window)


class _Backlog:
    """Due occurrences, oldest first: those within the catch-up window, and how many are older."""

    def __init__(self, kept_from: datetime | None) -> None:
        self._kept_from = kept_from
        self.newest: deque[datetime] = deque()
        self.uncounted: tuple[datetime, datetime] | None = None  # before all others: from when, and up to when
        self.expired: deque[datetime] = deque(maxlen=MOST_TOLD)
        self.expired_before: list[datetime] = []  # first and last of those that fell out of `expired`
        self.expired_count = 0

    def add(self, instant: datetime) -> None:
        if self._kept_from is not None and self.newest and self.newest[0] < self._kept_from:
            self._expire(self.newest.popleft())
        self.newest.append(instant)

    def split_expired(self) -> None:
        """Puts aside what is older than the window, the newest excepted if it is within it."""
        while self.newest and self._kept_from is not None and self.newest[0] < self._kept_from:
            self._expire(self.newest.popleft())

    def _expire(self, instant: datetime) -> None:
        if len(self.expired) == MOST_TOLD:
            oldest = self.expired[0]
            self.expired_before = [self.expired_before[0] if self.expired_before else oldest, oldest]
            self.expired_count += 1
        self.expired.append(instant)


def _choose(declared: ScheduleInfo, backlog: _Backlog, now: datetime) -> tuple[list[datetime], list[SkippedOccurrence]]:
    """The occurrences to run, oldest first, and those that are missed."""
    last = backlog.newest[-1]
    backlog.split_expired()
    window = format_duration(declared.catch_up_window or 0)
    missed = _told(list(backlog.expired), f"late by more than the catch-up window of {window}", backlog)
    due = list(backlog.newest)
    keep = _how_many(declared, due, now)
    late, wanted = due[: len(due) - keep], due[len(due) - keep :]
    if not due and not missed:
        missed = [SkippedOccurrence(last, f"late by more than the catch-up window of {window}")]
    reason = {
        "latest": "late, and only the latest occurrence is caught up on (catch_up=latest)",
        "none": "late, and nothing is caught up on (catch_up=none)",
    }.get(str(declared.catch_up), f"late, and at most {declared.catch_up} occurrences are caught up on")
    if backlog.uncounted is not None:
        start, until = backlog.uncounted
        why = f"late by so much that occurrences are not counted one by one before {until:%Y-%m-%d %H:%M}"
        missed = [SkippedOccurrence(start, why), *missed]
    return wanted, missed + _told(late, reason)


def _how_many(declared: ScheduleInfo, due: list[datetime], now: datetime) -> int:
    if declared.catch_up == "all":
        return len(due)
    if declared.catch_up == "latest":
        return min(1, len(due))
    if declared.catch_up == "none":
        on_time = timedelta(seconds=declared.jitter) + ON_TIME
        return 1 if due and now - due[-1] < on_time else 0
    return min(int(declared.catch_up), len(due))


def _told(instants: list[datetime], reason: str, backlog: _Backlog | None = None) -> list[SkippedOccurrence]:
    """One line each, the oldest ones together in one when there are many."""
    first: list[SkippedOccurrence] = []
    if backlog is not None and backlog.expired_count:
        start, until = backlog.expired_before
        first = [SkippedOccurrence(start, reason, backlog.expired_count, until)]
    if len(instants) > MOST_TOLD:
        many, instants = instants[:-MOST_TOLD], instants[-MOST_TOLD:]
        first.append(SkippedOccurrence(many[0], reason, len(many), many[-1]))
    return first + [SkippedOccurrence(instant, reason) for instant in instants]


def _made_up(
    declared: ScheduleInfo, id: str, wanted: list[datetime], now: datetime, making_up: datetime | None
) -> list[datetime]:
    """The occurrences to run one after another, because a schedule that wants several of them made up is late: at their
    own time nothing was in their way, so `overlap=skip` does not drop them. Nor one that is on time and has only those
    in its way."""
    if declared.overlap != "skip" or declared.catch_up in ("latest", "none"):
        return []
    if any(now - instant - jitter_of(declared, id, instant) >= ON_TIME for instant in wanted):
        return wanted
    return [instant for instant in wanted if making_up is not None and instant <= making_up]


def _overlap(
    declared: ScheduleInfo,
    wanted: list[datetime],
    active: tuple[str, ...],
    notes: Mapping[str, str],
    waiting: list[datetime],
) -> tuple[list[datetime], list[SkippedOccurrence], bool]:
    """What the runs that are still going leave of the wanted occurrences."""
    if declared.overlap in ("allow", "buffer_all") or not wanted:
        return wanted, [], False
    if declared.overlap == "cancel_other":
        reason = "a newer occurrence is due as well, and would cancel it (overlap=cancel_other)"
        return wanted[-1:], [SkippedOccurrence(instant, reason) for instant in wanted[:-1]], True
    room = (1 if declared.overlap == "skip" else 2) - len(active) - len(waiting)
    taken = wanted[: max(0, room)]
    blocking = active[-1] if active else None
    note = notes.get(blocking, _GOING) if blocking else _GOING
    reason = f"{note} (overlap={declared.overlap})"
    return taken, [SkippedOccurrence(instant, reason, about_run=blocking) for instant in wanted[len(taken) :]], False
