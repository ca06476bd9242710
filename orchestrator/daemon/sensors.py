"""Sensors, reconciled against the outside world: each at its own pace, and none waits for another. Never looks at that
world itself: user code does, by `evaluations`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.daemon.collaborators import Collaborators
from orchestrator.daemon.deliveries import Changes, Deliveries
from orchestrator.daemon.due_queue import DueQueue
from orchestrator.daemon.evaluations import Answered
from orchestrator.daemon.location import Location
from orchestrator.daemon.sensor_inputs import SensorInput, collect_input
from orchestrator.daemon.tick_results import askable, outcome_of
from orchestrator.engine.renames import predecessor_of, take_over
from orchestrator.engine.sensor_timing import next_evaluation_at, spread
from orchestrator.ids import new_run_id
from orchestrator.model.automation import Automation, SensorInfo
from orchestrator.model.states import TickState
from orchestrator.model.tick import Tick
from orchestrator.service import cursors


class Look(Struct, frozen=True):
    """The subject of a question: the sensor as declared, the cursor it was asked with, and what it was shown."""

    declared: SensorInfo
    before: str | None
    sight: SensorInput | None = None


# What is postponed for so long is left to the next pass.
_AFTER_THIS_PASS = timedelta(days=3650)


class Sensors:
    """The concern."""

    name = "sensors"

    def __init__(self, shared: Collaborators) -> None:
        self._workspace = shared.workspace
        self._locations = shared.locations
        self._registry = registry = shared.registry
        self._evaluations = shared.evaluations
        self._buffer = shared.buffer
        self._store = shared.store
        self._log = shared.log
        self._deliveries = Deliveries(registry, shared.locations, shared.log)
        self.is_spread_out = True  # after a start they do not all come at once
        self.is_single_pass = False  # each is asked once, and again only if something has happened to what it looks at
        self._asked: set[str] = set()
        self.due_queue = DueQueue(lambda: registry.version, self._fill, self._look)
        self._regular: dict[str, datetime] = {}  # when those brought forward were due
        self._hinted: set[str] = set()  # there is something for them, and they are just being asked
        self._stuck: set[str] = set()  # their last evaluation came to nothing: not brought forward

    def turn(self, now: datetime) -> datetime | None:
        return self.due_queue.turn(now)

    def evaluate_now(self, now: datetime) -> None:
        """Something was materialized or has ended: those that look at such things look now. If it is nothing to them,
        that is not worth a tick."""
        for id, declared in self._registry.sensors().items():
            if declared.kind == "sensor" or id in self._stuck:
                continue
            if self._evaluations.is_asked(id):
                self._hinted.add(id)
            elif (regular := self.due_queue.at(id)) is not None:
                self._hurry(id, regular, now)

    def take(self, answered: Answered, now: datetime) -> None:
        """What came of an evaluation."""
        look: Look = answered.subject
        remembered = self._registry.remembered.get(answered.id)
        if remembered is None:
            return  # forgotten meanwhile
        outcome = outcome_of(answered, remembered, self._workspace, now, kind="sensor", tags=look.declared.tags)
        failed = outcome.tick.status is TickState.FAILURE
        is_alert = look.declared.kind == "run_status_sensor"
        cursor = _cursor_after(look, remembered, answered, failed)
        tick = replace(outcome.tick, cursor=cursor, about_run=look.sight.about_run if look.sight else None)
        after = replace(
            remembered,
            last_tick_at=now,
            # A failed alert is retried by itself, and slows nothing else of its sensor down.
            failures=remembered.failures + 1 if failed and not is_alert else 0,
            cursor=cursor,
            last_run_key=tick.run_keys[-1] if tick.run_keys else remembered.last_run_key,
        )
        deliveries: Changes = {}
        if look.sight is not None and is_alert:
            deliveries = self._deliveries.settle(answered.id, look.sight, tick, now)
        else:
            self._say(answered.id, tick)
        urgent = outcome.is_urgent or cursor != remembered.cursor or remembered.failures > 0 or bool(deliveries)
        self._registry.remember(after)
        runs = list(outcome.runs)
        self._buffer.add(now, ticks=[tick], automation=after, runs=runs, deliveries=deliveries, urgent=urgent)
        self._go_on(answered.id, look, after, failed and not is_alert, now)

    # --- inside ---

    def _go_on(self, id: str, look: Look, after: Automation, is_stuck: bool, now: datetime) -> None:
        """When to look next: at once if there is more, later if the same is to be tried again."""
        (self._stuck.add if is_stuck else self._stuck.discard)(id)
        regular = next_evaluation_at(look.declared, after, now)
        is_hinted = id in self._hinted
        self._hinted.discard(id)
        if look.sight and look.sight.is_more and not is_stuck:
            self.due_queue.put(id, now)
        elif is_hinted and not is_stuck:
            self._hurry(id, regular, now)
        else:
            self._put(id, look.declared, regular, now)

    def _put(self, id: str, declared: SensorInfo, at: datetime, now: datetime) -> None:
        """To be looked at then, or earlier if a failed alert is to be tried again by then."""
        if self.is_single_pass and id in self._asked:
            at = now + _AFTER_THIS_PASS
        retry_at = self._deliveries.next_at(id, declared, now)
        self.due_queue.put(id, at if retry_at is None else min(at, retry_at))

    def _hurry(self, id: str, regular: datetime, now: datetime) -> None:
        self._regular.setdefault(id, regular)
        self.due_queue.put(id, now)

    def _fill(self, before: Mapping[str, datetime], now: datetime) -> None:
        self._deliveries.notice_reloads(now)
        for id, declared in self._registry.sensors().items():
            if self._evaluations.is_asked(id):
                continue
            at = next_evaluation_at(declared, self._registry.remembered[id], now)
            if id in self._regular:
                self._regular[id] = min(self._regular[id], at)
            if self.is_spread_out:
                at += spread(id, declared.interval)
            self._put(id, declared, min(at, before.get(id, at)), now)

    def _look(self, id: str, now: datetime) -> None:
        found = askable(id, SensorInfo, self._registry, self._locations, self._evaluations)
        if found is None:
            return
        self._asked.add(id)
        declared, remembered, location = found.declared, found.remembered, found.location
        if declared.kind == "sensor":
            self._ask(id, location, Look(declared, remembered.cursor), remembered, now)
            return
        remembered, places = self._places(declared, remembered, now)
        sight = collect_input(self._store, id, declared, places)
        if declared.kind == "run_status_sensor":
            # New runs first: what has failed before must not hold them up.
            sight = (
                self._deliveries.due(id, now) or sight
                if isinstance(sight, str)
                else self._deliveries.first_attempt(id, sight)
            )
        if isinstance(sight, str):
            self._nothing(id, declared, remembered, now, sight)
        else:
            self._ask(id, location, Look(declared, remembered.cursor, sight), remembered, now)

    def _ask(self, id: str, location: Location, look: Look, remembered: Automation, now: datetime) -> None:
        self._regular.pop(id, None)
        self._evaluations.ask(
            id,
            location,
            look,
            self.take,
            timeout=look.declared.timeout,
            pipeline=look.declared.pipeline,
            mode=look.declared.mode,
            name=look.declared.name,
            at=now,
            cursor=remembered.cursor,
            last_run_key=remembered.last_run_key,
            last_tick_at=remembered.last_tick_at,
            **{"attempt": remembered.failures + 1, **(look.sight.shown if look.sight else {})},
        )

    def _places(self, declared: SensorInfo, remembered: Automation, now: datetime) -> tuple[Automation, dict[str, int]]:
        """How far the sensor has got; it begins if it has not begun."""
        seen = cursors.decode(remembered.cursor)
        if seen is not None:
            return remembered, seen
        renamed = predecessor_of(remembered, list(self._registry.remembered.values()))
        changes = self._deliveries.adopt(renamed.id, remembered.id) if renamed else {}
        after = take_over(remembered, renamed) if renamed else remembered
        if cursors.decode(after.cursor) is None:
            after = replace(after, cursor=cursors.initial(self._store, declared))
        self._registry.remember(after)
        self._buffer.add(now, automation=after, deliveries=changes, urgent=True)
        return after, cursors.decode(after.cursor) or {}

    def _nothing(self, id: str, declared: SensorInfo, remembered: Automation, now: datetime, reason: str) -> None:
        """A tick that user code need not be asked about. None at all if it was only a hint that made us look."""
        if id in self._regular:
            self._put(id, declared, self._regular.pop(id), now)
            return
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
        self._buffer.add(now, ticks=[tick], automation=after, urgent=False)
        self._put(id, declared, next_evaluation_at(declared, after, now), now)

    def _say(self, id: str, tick: Tick) -> None:
        if tick.status is TickState.SUCCESS:
            shown = ",".join(tick.run_ids[:5]) + (f" and {len(tick.run_ids) - 5} more" if len(tick.run_ids) > 5 else "")
            self._log.info("tick", sensor=id, runs=shown)
        elif tick.status is TickState.FAILURE:
            self._log.error("tick failed", sensor=id, error=tick.error)


def _cursor_after(look: Look, remembered: Automation, answered: Answered, failed: bool) -> str | None:
    if remembered.cursor != look.before:
        return remembered.cursor  # it was set to another one meanwhile
    if look.sight is None:
        # What a failing evaluation did to its cursor does not count.
        return remembered.cursor if failed or answered.evaluation is None else answered.evaluation.cursor
    if look.sight.cursor is None:
        return remembered.cursor
    # A failed alert is kept among the deliveries; an asset sensor that failed gets the same materializations again.
    is_kept = look.declared.kind == "run_status_sensor"
    return look.sight.cursor if is_kept or not failed else remembered.cursor
