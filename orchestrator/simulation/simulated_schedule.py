"""One schedule on its way through virtual time: when it is looked at, what it is asked about, what it decides.

The decisions are the engine's. This module only keeps the time, and knows which runs would be unfinished; who asks
user code, and how, it does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.clock import format_instant
from orchestrator.cron import instants_after, load_zone
from orchestrator.cron_expression import parse_cron
from orchestrator.engine.schedule_decisions import (
    ON_TIME,
    SkippedOccurrence,
    decide_on,
    first_step,
    is_plain,
    jitter_of,
)
from orchestrator.model.automation import Automation, ScheduleInfo
from orchestrator.model.states import TickState
from orchestrator.model.tick import Requested
from orchestrator.simulation.downtime import Asleep
from orchestrator.simulation.results import SimulatedTick, Totals

# Overlap policies to which it is all the same what else is running.
_INDIFFERENT = ("allow", "buffer_all")

Occurrence = tuple[datetime, datetime]  # when it is asked, and which one


class Said(Struct, frozen=True):
    """What user code says about an occurrence, judged."""

    status: TickState
    requests: tuple[Requested, ...] = ()
    error: str | None = None
    skip_reason: str | None = None


class Backlog(Struct, frozen=True):
    """The schedule is looked at, and it takes a decision what to do about the occurrences that are due."""

    at: datetime
    due: list[datetime]


# One occurrence, alone and on time, or more to think about.
Look = Occurrence | Backlog


class Running(Struct):
    """A run that would be unfinished until `end`: a recorded one by its id, another by what it was asked for with."""

    end: datetime
    is_serial: bool = False
    run_id: str = ""
    asked: tuple[str, datetime, Requested, int] | None = None

    @property
    def name(self) -> str:
        """Built only when it is shown, which is rare."""
        return self.run_id if self.asked is None else run_name(*self.asked)


class SimulatedSchedule:
    """`begin` is the first moment at which it may be looked at; `duration_of` says how long a run of a pipeline is
    assumed to take."""

    def __init__(
        self,
        automation: Automation,
        declared: ScheduleInfo,
        begin: datetime,
        asleep: Asleep,
        duration_of: Callable[[str], timedelta],
        running: Iterable[Running] = (),
    ) -> None:
        assert automation.since is not None
        self.automation = automation
        self.declared = declared
        self.totals = Totals()
        self._id = automation.id
        self._begin = begin
        self._asleep = asleep
        self._duration_of = duration_of
        self._is_indifferent = declared.overlap in _INDIFFERENT
        self._running = [] if self._is_indifferent else list(running)
        self._making_up: datetime | None = None
        self._permissive = replace(declared, overlap="allow")
        self._is_buffered = declared.overlap in ("buffer_one", "buffer_all")
        self._instants = instants_after(
            parse_cron(declared.cron),
            load_zone(declared.timezone),
            automation.since,
            inclusive=automation.since_inclusive,
        )
        self._next = next(self._instants, None)

    # --- first: what to ask ---

    def advance(self, until: datetime) -> tuple[list[Occurrence], list[Look]]:
        """Goes on to that instant, exclusive: what user code is to be asked about, and the looks to settle with the
        answers. That may be more than will be run, because what still runs by then depends on them; never less."""
        questions: list[Occurrence] = []
        looks: list[Look] = []
        jitters, sleeps, begin = bool(self.declared.jitter), bool(self._asleep.spans), self._begin
        while self._next is not None:
            instant = at = self._next
            if jitters:
                at = instant + jitter_of(self.declared, self._id, instant)
            if at < begin or sleeps:
                at = self._asleep.awake_at(max(at, begin))
            if at >= until:
                break
            self._next = next(self._instants, None)
            if at is instant and (self._next is None or self._next > at):
                plain = (at, instant)
                questions.append(plain)
                looks.append(plain)
                continue
            look = self._look(at, instant)
            looks.append(look)
            questions += [look] if isinstance(look, tuple) else self._choices(look)
        return questions, looks

    def _look(self, at: datetime, instant: datetime) -> Look:
        due = [instant]
        while self._next is not None and self._next + jitter_of(self.declared, self._id, self._next) <= at:
            due.append(self._next)
            self._next = next(self._instants, None)
        jitter = jitter_of(self.declared, self._id, instant)
        if len(due) == 1 and is_plain(self.declared, at - instant - jitter, jitter):
            return at, instant
        return Backlog(at, due)

    def _choices(self, backlog: Backlog) -> list[Occurrence]:
        """What the policy of catching up leaves of it, whatever else runs."""
        decision = decide_on(self._permissive, self._id, backlog.due, backlog.at)
        return [(backlog.at, instant) for instant in decision.evaluate]

    # --- then: what becomes of it ---

    def settle(self, looks: Sequence[Look], said: Mapping[datetime, Said], *, wants_all: bool) -> list[SimulatedTick]:
        """The ticks of these looks. Without `wants_all` those that simply run are only counted."""
        found: list[SimulatedTick] = []
        for look in looks:
            at = look[0] if isinstance(look, tuple) else look.at
            if self._running:
                self._running = [run for run in self._running if run.end > at]
            if isinstance(look, tuple) and not self._running:
                answer = said[look[1]]
                self._evaluate(at, look[1], answer, self._is_buffered)
                if wants_all or answer.status is not TickState.SUCCESS:
                    found.append(self._tick(at, look[1], answer))
            else:
                due = [look[1]] if isinstance(look, tuple) else look.due
                found += self._decide(at, due, said)
        return found

    def _decide(self, at: datetime, due: list[datetime], said: Mapping[datetime, Said]) -> Iterator[SimulatedTick]:
        """As the daemon does: decide, ask about the first, decide anew about the rest."""
        while due:
            active = tuple(run.name for run in self._running)
            decision = decide_on(self.declared, self._id, due, at, active=active, making_up=self._making_up)
            step = first_step(decision, self._making_up)
            for passed, status in step.passed:
                yield self._pass(passed, status, at)
            first, self._making_up = step.evaluate, step.making_up
            if first is None:
                return
            if step.cancels_active and said[first].requests:
                self._running.clear()
            self._evaluate(at, first, said[first], step.is_serial)
            is_late = at - first - jitter_of(self.declared, self._id, first) >= ON_TIME
            yield self._tick(at, first, said[first], is_late=is_late)
            due = [instant for instant in due if instant > first]

    def _evaluate(self, at: datetime, instant: datetime, answer: Said, is_serial: bool) -> None:
        self.totals.count(answer.status, len(answer.requests))
        if answer.requests and not self._is_indifferent:
            self._run(at, instant, answer.requests, is_serial)

    def _run(self, at: datetime, instant: datetime, requests: Sequence[Requested], is_serial: bool) -> None:
        for place, request in enumerate(requests):
            duration = self._duration_of(request.pipeline or self.declared.pipeline)
            if not duration:
                continue
            start = at
            if is_serial:
                start = max([at, *(run.end for run in self._running if run.is_serial)])
            end = self._asleep.after(start, duration)
            self._running.append(Running(end, is_serial, asked=(self._id, instant, request, place)))

    def _tick(self, at: datetime, instant: datetime, answer: Said, *, is_late: bool = False) -> SimulatedTick:
        return SimulatedTick(
            tick_id=f"{self._id}@{format_instant(instant)}",
            name=self._id,
            kind="schedule",
            status=answer.status,
            at=at,
            scheduled_at=instant,
            run_ids=tuple(run_name(self._id, instant, request, place) for place, request in enumerate(answer.requests)),
            run_keys=tuple(request.run_key for request in answer.requests if request.run_key),
            skip_reason=answer.skip_reason,
            error=answer.error,
            requests=answer.requests,
            is_late=is_late,
        )

    def _pass(self, passed: SkippedOccurrence, status: TickState, at: datetime) -> SimulatedTick:
        self.totals.count(status, ticks=passed.count)
        return SimulatedTick(
            tick_id=f"{self._id}@{format_instant(passed.scheduled_at)}",
            name=self._id,
            kind="schedule",
            status=status,
            at=at,
            scheduled_at=passed.scheduled_at,
            skip_reason=passed.reason,
            occurrences=passed.count,
            until=passed.until,
            about_run=passed.about_run,
        )


def run_name(id: str, instant: datetime, request: Requested, place: int) -> str:
    """What stands for the id of a run that would be."""
    extra = request.run_key or (f"#{place + 1}" if place else "")
    return f"{id.rpartition('/')[2]}@{format_instant(instant)}{extra and ' ' + extra}"
