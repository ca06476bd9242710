"""Sensors, reconciled against the outside world: each at its own pace, and none waits for another."""

from __future__ import annotations

import heapq
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from orchestrator.crashpoints import crash_point
from orchestrator.daemon.evaluations import Answered, Evaluations
from orchestrator.daemon.instigation import outcome_of
from orchestrator.daemon.locations import Location, Locations
from orchestrator.daemon.log import DaemonLog
from orchestrator.daemon.outbox import Outbox
from orchestrator.daemon.registry import Registry
from orchestrator.engine.pace import next_evaluation_at, spread
from orchestrator.ids import new_run_id
from orchestrator.operations.workspace import Workspace
from orchestrator.states import TickState
from orchestrator.store.assets import materializations_after, newest_ordinal
from orchestrator.store.endings import endings_after, newest_ending
from orchestrator.store.session import Store
from orchestrator.ticks import Instigator, NumberedMaterialization, SensorInfo, Tick

# An asset sensor or a run-status sensor is shown at most this many at a time; the rest follows at once.
BATCH = 100


@dataclass(frozen=True)
class Look:
    """The subject of a question: the sensor as declared, and the cursor that the answer leads to when it is ours."""

    declared: SensorInfo
    cursor: str | None
    is_more: bool = False


class Sensors:
    """The concern."""

    name = "sensors"

    def __init__(
        self,
        workspace: Workspace,
        locations: Locations,
        registry: Registry,
        evaluations: Evaluations,
        outbox: Outbox,
        store: Store,
        log: DaemonLog,
    ) -> None:
        self._workspace = workspace
        self._locations = locations
        self._registry = registry
        self._evaluations = evaluations
        self._outbox = outbox
        self._store = store
        self._log = log
        self._version = -1
        self._due: list[tuple[datetime, str]] = []
        self._next_at: dict[str, datetime] = {}
        self._last_now: datetime | None = None

    def turn(self, now: datetime) -> datetime | None:
        if self._version != self._registry.version or (self._last_now is not None and now < self._last_now):
            self._version = self._registry.version
            self._start_over(now)
        self._last_now = now
        while self._due and self._due[0][0] <= now:
            at, id = heapq.heappop(self._due)
            if self._next_at.get(id) == at:
                del self._next_at[id]
                self._look(id, now)
        return self._due[0][0] if self._due else None

    def upcoming(self) -> list[dict[str, Any]]:
        return [{"id": id, "at": at} for id, at in self._next_at.items()]

    def hurry(self, now: datetime) -> None:
        """Something was materialized or has ended: those that look at such things look now."""
        for id, declared in self._registry.sensors().items():
            if declared.kind != "sensor" and id in self._next_at and not self._registry.remembered[id].failures:
                self._put(id, now)

    def take(self, answered: Answered, now: datetime) -> None:
        """What came of an evaluation."""
        crash_point("tick.evaluated")
        look: Look = answered.subject
        remembered = self._registry.remembered[answered.id]
        outcome = outcome_of(answered, remembered, self._workspace, now, kind="sensor", tags=look.declared.tags)
        tick = outcome.tick
        failed = tick.status is TickState.FAILURE
        cursor = self._cursor_after(look, remembered, answered, failed)
        tick = replace(tick, cursor=cursor)
        after = replace(
            remembered,
            last_tick_at=now,
            failures=remembered.failures + 1 if failed else 0,
            cursor=cursor,
            last_run_key=tick.run_keys[-1] if tick.run_keys else remembered.last_run_key,
        )
        urgent = outcome.is_urgent or cursor != remembered.cursor or remembered.failures > 0
        self._registry.remember(after)
        self._outbox.add(now, ticks=[tick], instigator=after, runs=list(outcome.runs), urgent=urgent)
        self._say(answered.id, tick)
        at = now if look.is_more and not failed else next_evaluation_at(look.declared, after, now)
        self._put(answered.id, at)

    # --- inside ---

    def _start_over(self, now: datetime) -> None:
        before, self._due, self._next_at = self._next_at, [], {}
        for id, declared in self._registry.sensors().items():
            if self._evaluations.is_asked(id):
                continue
            at = next_evaluation_at(declared, self._registry.remembered[id], now)
            self._put(id, before[id] if id in before and before[id] < at else at + spread(id, declared.interval))

    def _put(self, id: str, at: datetime) -> None:
        self._next_at[id] = at
        heapq.heappush(self._due, (at, id))

    def _look(self, id: str, now: datetime) -> None:
        declared = self._registry.sensors().get(id)
        remembered = self._registry.remembered.get(id)
        if declared is None or remembered is None or self._evaluations.is_asked(id):
            return
        location = self._locations.loaded(remembered.location)
        if location is None:
            return
        if declared.kind == "sensor":
            self._ask(id, location, Look(declared, None), remembered, now)
        elif declared.kind == "asset_sensor":
            self._look_at_assets(id, location, declared, remembered, now)
        else:
            self._look_at_runs(id, location, declared, remembered, now)

    def _ask(self, id: str, location: Location, look: Look, remembered: Instigator, now: datetime, **seen: Any) -> None:
        self._evaluations.ask(
            id,
            location,
            look,
            timeout=look.declared.timeout,
            pipeline=look.declared.pipeline,
            mode=look.declared.mode,
            name=look.declared.name,
            at=now,
            cursor=remembered.cursor,
            last_run_key=remembered.last_run_key,
            last_tick_at=remembered.last_tick_at,
            **seen,
        )

    def _look_at_assets(
        self, id: str, location: Location, declared: SensorInfo, remembered: Instigator, now: datetime
    ) -> None:
        seen = _positions(remembered.cursor)
        if seen is None:
            start = self._store(newest_ordinal) if declared.start == "now" else 0
            seen = {"/".join(asset): start for asset in declared.assets}
            remembered = self._initialise(remembered, json.dumps(seen), now)
        found, is_more = self._new_materializations(declared, seen)
        if not found:
            self._nothing(id, declared, remembered, now, "nothing new")
            return
        missing = {"/".join(asset) for asset in declared.assets} - {_name(one) for one in found}
        if declared.require == "all" and missing:
            self._nothing(id, declared, remembered, now, f"nothing new of {', '.join(sorted(missing))}")
            return
        after = {**seen}
        for one in found:
            after[_name(one)] = max(after.get(_name(one), 0), one.ordinal)
        look = Look(declared, json.dumps(after), is_more)
        self._ask(id, location, look, remembered, now, materializations=tuple(found))

    def _new_materializations(
        self, declared: SensorInfo, seen: dict[str, int]
    ) -> tuple[list[NumberedMaterialization], bool]:
        found: list[NumberedMaterialization] = []
        is_more = False
        for asset in declared.assets:
            newest = declared.read == "latest"
            limit = 1 if newest else BATCH
            some = self._store(materializations_after, [asset], seen.get("/".join(asset), 0), limit, newest)
            is_more = is_more or (not newest and len(some) == BATCH)
            found += some
        return sorted(found, key=lambda one: one.ordinal), is_more

    def _look_at_runs(
        self, id: str, location: Location, declared: SensorInfo, remembered: Instigator, now: datetime
    ) -> None:
        seen = _positions(remembered.cursor)
        if seen is None:
            seen = {"run": self._store(newest_ending) if declared.start == "now" else 0}
            remembered = self._initialise(remembered, json.dumps(seen), now)
        runs = self._store(endings_after, seen.get("run", 0), list(declared.statuses), list(declared.pipelines), BATCH)
        if not runs:
            self._nothing(id, declared, remembered, now, "no run has ended like that")
            return
        look = Look(declared, json.dumps({"run": runs[-1].ordinal}), len(runs) == BATCH)
        self._ask(id, location, look, remembered, now, runs=tuple(runs))

    def _initialise(self, remembered: Instigator, cursor: str, now: datetime) -> Instigator:
        after = replace(remembered, cursor=cursor)
        self._registry.remember(after)
        self._outbox.add(now, instigator=after, urgent=True)
        return after

    def _nothing(self, id: str, declared: SensorInfo, remembered: Instigator, now: datetime, reason: str) -> None:
        """A tick that user code need not be asked about."""
        tick = Tick(
            tick_id=new_run_id(),
            name=id,
            kind=remembered.kind,
            status=TickState.SKIPPED,
            at=now,
            duration_s=0.0,
            skip_reason=reason,
            cursor=remembered.cursor,
        )
        after = replace(remembered, last_tick_at=now, failures=0)
        self._registry.remember(after)
        self._outbox.add(now, ticks=[tick], instigator=after, urgent=False)
        self._put(id, next_evaluation_at(declared, after, now))

    def _cursor_after(self, look: Look, remembered: Instigator, answered: Answered, failed: bool) -> str | None:
        if look.declared.kind == "sensor":
            # What a failing evaluation did to its cursor does not count.
            return remembered.cursor if failed or answered.evaluation is None else answered.evaluation.cursor
        if look.declared.kind == "run_status_sensor" and answered.evaluation is not None:
            return look.cursor  # each run was reacted to, or its reaction has failed and is reported
        return remembered.cursor if failed else look.cursor

    def _say(self, id: str, tick: Tick) -> None:
        if tick.status is TickState.SUCCESS:
            shown = ",".join(tick.run_ids[:5]) + (f" and {len(tick.run_ids) - 5} more" if len(tick.run_ids) > 5 else "")
            self._log.info("tick", sensor=id, runs=shown)
        elif tick.status is TickState.FAILURE:
            self._log.error("tick failed", sensor=id, error=tick.error)


def _positions(cursor: str | None) -> dict[str, int] | None:
    if cursor is None:
        return None
    try:
        found = json.loads(cursor)
    except ValueError:
        return None
    return {str(name): int(position) for name, position in found.items()} if isinstance(found, dict) else None


def _name(one: NumberedMaterialization) -> str:
    return "/".join(one.materialization.asset)
