"""A simulation from beginning to end: schedules window by window of virtual time, so that a year of them fits into
little memory, and user code is asked about the next window while this one is decided. Shows nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.cron_expression import parse_cron
from orchestrator.engine.schedule_decisions import after_clock_change
from orchestrator.errors import OrchestratorError
from orchestrator.model.automation import Automation, ScheduleInfo, SensorInfo
from orchestrator.service.workspace import Workspace
from orchestrator.simulation.batch_evaluation import Asker, Batch
from orchestrator.simulation.downtime import Asleep, Span
from orchestrator.simulation.results import SimulatedTick, Totals
from orchestrator.simulation.sandbox import begin, scratch_store, turned_on
from orchestrator.simulation.sensors import SensorWorld
from orchestrator.simulation.simulated_schedule import Look, Running, SimulatedSchedule

# About so many occurrences are in memory at a time.
_AT_ONCE = 20_000
_LONGEST_WINDOW = timedelta(days=31)
_SHORTEST_WINDOW = timedelta(minutes=10)
# What is due at the end itself is still shown.
_INSTANT = timedelta(microseconds=1)


class Options(Struct, frozen=True):
    """What to simulate. `is_from_now`: what is overdue now is looked at first, as a daemon that starts now would;
    otherwise everything before `start` counts as dealt with."""

    start: datetime
    end: datetime
    now: datetime
    is_from_now: bool = True
    asleep: tuple[Span, ...] = ()
    set_on: tuple[str, ...] = ()
    run_duration: timedelta | None = None
    sensors: bool = False


class Simulation:
    """`ticks` gives what would happen, in order of time; the rest is known once it has. With `wants_all` unset, which
    may happen at any time, occurrences that simply run are counted in `totals` and not given."""

    def __init__(self, workspace: Workspace, options: Options) -> None:
        self.options = options
        self.wants_all = True
        self.notes: list[str] = []
        self.totals: dict[str, Totals] = {}
        self._workspace = workspace
        self._asleep = Asleep(options.asleep)
        self._beginning = begin(workspace, options.now)
        everything = turned_on(self._beginning.automations, options.set_on, options.start)
        self.automations = tuple(_counted_from(one, options) for one in everything)
        self._lanes = [self._lane(one) for one in self._on(ScheduleInfo)]
        self._asker = Asker(workspace, self._beginning.pools, len(self._lanes))
        self.totals.update((lane.automation.id, lane.totals) for lane in self._lanes)

    @property
    def broken(self) -> dict[str, OrchestratorError]:
        """The locations that are missing in the simulation, and why."""
        return self._beginning.broken

    @property
    def schedules(self) -> dict[str, ScheduleInfo]:
        """Those that are simulated, by id."""
        return {lane.automation.id: lane.declared for lane in self._lanes}

    def duration_of(self, location: str, pipeline: str) -> timedelta:
        """How long a run is assumed to take."""
        if self.options.run_duration is not None:
            return self.options.run_duration
        return timedelta(seconds=self._beginning.durations.get(f"{location}/{pipeline}", 0.0))

    def ticks(self) -> Iterator[SimulatedTick]:
        """What would happen, in order of time."""
        sensed: list[SimulatedTick] = []
        if self.options.sensors:
            sensed = self._sensed()
        yield from heapq.merge(self._scheduled(), sensed, key=_order)
        self._note_what_is_left_out()

    def close(self) -> None:
        self._beginning.close()

    def _sensed(self) -> list[SimulatedTick]:
        on = tuple(self._on(SensorInfo))
        with scratch_store(self._workspace, on) as store:
            world = SensorWorld(self._workspace, store, self._beginning.pools, self._beginning.processes)
            try:
                found = world.evaluate(self.options.start, self.options.end, self._asleep)
            finally:
                world.close()
        self.totals |= world.totals
        self.notes += world.notes
        return found

    # --- schedules ---

    def _scheduled(self) -> Iterator[SimulatedTick]:
        before: list[tuple[Batch, list[Look]]] = []
        for until in _windows(self.options, [lane.declared for lane in self._lanes]):
            asked = []
            for lane in self._lanes:
                questions, looks = lane.advance(until)
                asked.append((self._asker.ask(lane, questions), looks))
            yield from self._settled(before)
            before = asked
        yield from self._settled(before)

    def _settled(self, asked: Sequence[tuple[Batch, Sequence[Look]]]) -> list[SimulatedTick]:
        found: list[SimulatedTick] = []
        for batch, looks in asked:
            found += batch.lane.settle(looks, self._asker.wait(batch), wants_all=self.wants_all)
        return sorted(found, key=_order)

    def _on(self, kind: type[ScheduleInfo] | type[SensorInfo]) -> Iterator[Automation]:
        """Those of a kind that a daemon would do something about."""
        for one in self.automations:
            is_there = one.gone_at is None and one.location not in self.broken
            if is_there and one.is_on and one.since is not None and isinstance(one.declared, kind):
                yield one

    def _lane(self, one: Automation) -> SimulatedSchedule:
        assert isinstance(one.declared, ScheduleInfo)
        declared = one.declared

        def duration_of(pipeline: str) -> timedelta:
            return self.duration_of(one.location, pipeline)

        over = self._asleep.after(self.options.now, duration_of(declared.pipeline))
        running = [Running(over, run_id=run_id) for run_id in self._beginning.active.get(one.id, ())]
        return SimulatedSchedule(one, declared, self.options.start, self._asleep, duration_of, running)

    def _note_what_is_left_out(self) -> None:
        unchecked = sorted(self._asker.unchecked)
        if unchecked:
            shown = ", ".join(unchecked[:3]) + (f" and {len(unchecked) - 3} more" if len(unchecked) > 3 else "")
            self.notes.append(
                f"Of ever different configurations the first {self._asker.checks_each} were checked ({shown})."
            )
        for one in self.automations:
            if one.is_on and one.gone_at is not None:
                self.notes.append(f"{one.id} is on and its definition is gone: it does nothing.")


def _counted_from(one: Automation, options: Options) -> Automation:
    """As remembered; or, when it is not about what comes from now on, with everything before the start dealt with."""
    if options.is_from_now or one.since is None:
        return after_clock_change(one, options.start)
    return replace(one, since=options.start, since_inclusive=True)


def _windows(options: Options, declared: Sequence[ScheduleInfo]) -> Iterator[datetime]:
    """The ends of the windows, exclusive."""
    end = options.end + _INSTANT
    a_day = sum(len(cron.hours) * len(cron.minutes) for cron in (parse_cron(one.cron) for one in declared))
    window = min(_LONGEST_WINDOW, max(_SHORTEST_WINDOW, timedelta(days=1) * _AT_ONCE / max(1, a_day)))
    until = options.start + window
    while until < end:
        yield until
        until += window
    yield end


def _order(tick: SimulatedTick) -> tuple[datetime, str, datetime]:
    return tick.at, tick.name, tick.scheduled_at or tick.at
