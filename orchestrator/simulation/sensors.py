"""Sensors through virtual time: the daemon's own concern, evaluated for real, on a store that is a copy.

They see the outside world as it is now, the assets and the ends of runs that are recorded now; only their cursors and
keys go on. So each is evaluated a bounded number of times: what a sensor says of today does not get truer by asking it
for a year.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from orchestrator import clock
from orchestrator.catalog.session import Store
from orchestrator.catalog.ticks import EnqueuedRun
from orchestrator.code_locations.evaluator_pool import EvaluatorPool, wait_for_any
from orchestrator.code_locations.location_process import LocationProcess
from orchestrator.daemon.collaborators import Collaborators
from orchestrator.daemon.evaluations import Answered, Evaluations
from orchestrator.daemon.file_watcher import Watcher
from orchestrator.daemon.location import Location
from orchestrator.daemon.locations import Locations
from orchestrator.daemon.log import DaemonLog
from orchestrator.daemon.registry import Registry
from orchestrator.daemon.sensors import Sensors
from orchestrator.daemon.write_buffer import WriteBuffer
from orchestrator.model.automation import SensorInfo
from orchestrator.model.states import TickState
from orchestrator.model.tick import Requested, Tick
from orchestrator.service.workspace import Workspace
from orchestrator.simulation.downtime import Asleep
from orchestrator.simulation.results import SimulatedTick, Totals
from orchestrator.simulation.simulated_schedule import run_name

# Evaluations of one sensor.
MOST = 100
# A sensor whose evaluations were lost this often (it hung, its process died) is not asked any more.
_MOST_LOST = 3


class SensorWorld:
    """Everything of a daemon that sensors need, around a store of its own."""

    def __init__(
        self,
        workspace: Workspace,
        store: Store,
        pools: Mapping[str, EvaluatorPool],
        processes: Mapping[str, LocationProcess],
    ) -> None:
        self.totals: dict[str, Totals] = {}
        self.notes: list[str] = []
        self._store = store
        self._pools = list(pools.values())
        self._watcher = Watcher()
        self._log = DaemonLog(store.state, echo=False)
        self._locations = Locations(workspace, self._log, self._watcher)
        for name, pool in pools.items():
            self._locations.all[name] = Location(name, process=processes[name], evaluators=pool)
        self._heard: list[tuple[Tick, list[EnqueuedRun]]] = []
        self._buffer = WriteBuffer(store, self._hear)
        self._registry = Registry(store, self._locations, self._buffer, self._log)
        self._evaluations = Evaluations(
            workspace,
            self._locations,
            store,
            on_lost=lambda: self._sensors.due_queue.invalidate(),
        )
        self._sensors = Sensors(
            Collaborators(workspace, store, self._log, self._locations, self._buffer, self._registry, self._evaluations)
        )
        self._lost: Counter[str] = Counter()
        self._asked: Counter[str] = Counter()

    def evaluate(self, start: datetime, end: datetime, asleep: Asleep) -> list[SimulatedTick]:
        """The ticks of all sensors that are on, in order of time."""
        found: list[SimulatedTick] = []
        now = asleep.awake_at(start)
        self._registry.refresh(now)
        self.totals = {id: Totals() for id in self._registry.sensors()}
        while now <= end:
            self._sensors.turn(now)
            self._wait_for_answers(now)
            found += self._take_ticks(now)
            if self._buffer.is_due(now):
                self._buffer.flush()
            upcoming = [at for id, at in self._sensors.due_queue.upcoming() if id in self._registry.declared]
            if not upcoming:
                break
            now = asleep.awake_at(max(now, min(upcoming)))
        return found

    def close(self) -> None:
        self._watcher.close()
        self._log.close()

    # --- inside ---

    def _wait_for_answers(self, now: datetime) -> None:
        while self._evaluations.is_busy:
            answers = self._evaluations.answers()
            for answered in answers:
                self._take(answered, now)
            if not answers:
                wait_for_any(self._pools)

    def _take(self, answered: Answered, now: datetime) -> None:
        self._asked[answered.id] += 1
        if answered.evaluation is None:
            self._lost[answered.id] += 1
        answered.deliver(now)

    def _hear(self, ticks: list[Tick], runs: list[EnqueuedRun]) -> None:
        self._heard += [(tick, runs) for tick in ticks]

    def _take_ticks(self, now: datetime) -> list[SimulatedTick]:
        heard, self._heard = self._heard, []
        found = []
        for tick, runs in heard:
            declared = self._registry.declared.get(tick.name)
            totals = self.totals[tick.name]
            totals.count(tick.status, len(tick.run_ids))
            of_this = [run for run in runs if run.record.run_id in tick.run_ids]
            found.append(_simulated(tick, of_this))
            if isinstance(declared, SensorInfo):
                self._leave_off(tick, declared, totals, now)
        return found

    def _leave_off(self, tick: Tick, declared: SensorInfo, totals: Totals, now: datetime) -> None:
        """A sensor that has nothing more to tell is not asked any more."""
        reason = None
        if self._lost[tick.name] >= _MOST_LOST:
            reason = f"it was lost {_MOST_LOST} times: {(tick.error or '').splitlines()[0]}"
        elif totals.ticks >= MOST:
            reason = f"that was evaluation {MOST} of it"
        elif declared.kind != "sensor" and tick.status is TickState.SKIPPED and tick.duration_s == 0.0:
            reason = "it has seen everything that is recorded"
        if reason is not None:
            del self._registry.declared[tick.name]
            self.notes.append(
                f"{tick.name} is simulated up to {clock.format_instant(now.replace(microsecond=0))}: {reason}."
            )


def _simulated(tick: Tick, runs: list[EnqueuedRun]) -> SimulatedTick:
    requests = tuple(
        Requested(
            run_key=run.record.trigger.run_key,
            config=run.record.config,
            tags=run.record.tags,
            pipeline=run.record.pipeline,
            mode=run.record.mode,
            preset=run.record.preset,
        )
        for run in runs
    )
    fields = {name: getattr(tick, name) for name in Tick.__struct_fields__}
    fields["tick_id"] = f"{tick.name}@{clock.format_instant(tick.at)}"
    fields["run_ids"] = tuple(run_name(tick.name, tick.at, one, place) for place, one in enumerate(requests))
    return SimulatedTick(**fields, requests=requests)
