"""Reconciles schedules against time: evaluates one due occurrence after another, and accounts for each that is not
run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.crashpoints import crash_point
from orchestrator.daemon.collaborators import Collaborators
from orchestrator.daemon.due_queue import DueQueue
from orchestrator.daemon.evaluations import Answered
from orchestrator.daemon.tick_results import Askable, askable, outcome_of
from orchestrator.engine.overlap import Active
from orchestrator.engine.schedule_decisions import (
    ScheduleDecision,
    ScheduleStep,
    SkippedOccurrence,
    after_clock_change,
    decide,
    first_step,
)
from orchestrator.ids import new_run_id
from orchestrator.model.automation import Automation, ScheduleInfo
from orchestrator.model.run import SERIALIZE_TAG
from orchestrator.model.states import TickState
from orchestrator.model.tick import Tick

# An evaluation that failed for reasons that are not the user's is made again, this often, ever later.
_RETRIES = 3
_RETRY_PAUSE = timedelta(seconds=2)


class Occurrence(Struct, frozen=True):
    """The subject of a question: which occurrence, the step that it is part of, and as what it was declared."""

    scheduled_at: datetime
    step: ScheduleStep
    declared: ScheduleInfo


class Schedules:
    """The concern. `active_of` gives the unfinished runs that count for a schedule's `overlap`."""

    name = "schedules"

    def __init__(
        self, shared: Collaborators, active_of: Callable[[str], Active], cancel: Callable[[str, str], None]
    ) -> None:
        self._workspace = shared.workspace
        self._locations = shared.locations
        self._registry = registry = shared.registry
        self._evaluations = shared.evaluations
        self._buffer = shared.buffer
        self._log = shared.log
        self._active_of = active_of
        self._cancel = cancel
        self.due_queue = DueQueue(lambda: registry.version, self._fill, self._look)
        self.until: datetime | None = None  # what is due later is left to the next pass
        self._making_up: dict[str, datetime] = {}
        self._tries: dict[str, int] = {}  # of an occurrence whose evaluation was lost

    def turn(self, now: datetime) -> datetime | None:
        return self.due_queue.turn(now)

    def take(self, answered: Answered, now: datetime) -> None:
        """What came of an occurrence."""
        occurrence: Occurrence = answered.subject
        remembered = self._registry.remembered.get(answered.id)
        if remembered is None:
            return  # forgotten meanwhile
        tags = {SERIALIZE_TAG: answered.id} if occurrence.step.is_serial else {}
        outcome = outcome_of(
            answered,
            remembered,
            self._workspace,
            now,
            kind="schedule",
            scheduled_at=occurrence.scheduled_at,
            tags={**occurrence.declared.tags, **tags},
        )
        failed = outcome.tick.status is TickState.FAILURE
        after = replace(remembered, last_tick_at=now, failures=remembered.failures + 1 if failed else 0)
        tries = self._tries.pop(answered.id, 0)
        again = failed and answered.evaluation is None and tries < _RETRIES
        if again:
            self._tries[answered.id] = tries + 1
        else:
            after = _accounted_for(after, occurrence.scheduled_at)
        if outcome.runs and occurrence.step.cancels_active:
            for run_id in self._active_of(answered.id).run_ids:
                self._cancel(run_id, f"the next run of schedule {answered.id}")
        passed = () if again else occurrence.step.passed
        ticks = [*_passed_ticks(after, passed, now), outcome.tick]
        self._commit(after, ticks, list(outcome.runs), now)
        self._say_passed(answered.id, passed)
        self._say(answered.id, outcome.tick)
        self.due_queue.put(answered.id, now + _RETRY_PAUSE * 2**tries if again else now)

    # --- inside ---

    def _fill(self, before: Mapping[str, datetime], now: datetime) -> None:
        for id in self._registry.schedules():
            if id in self._tries and id in before:
                latest = now + _RETRY_PAUSE * 2**_RETRIES  # the clock may have been set back
                self.due_queue.put(id, min(before[id], latest))
            elif not self._evaluations.is_asked(id):
                self._look(id, now)

    def _look(self, id: str, now: datetime) -> None:
        found = askable(id, ScheduleInfo, self._registry, self._locations, self._evaluations)
        if found is None:
            return
        remembered = self._on_this_clock(found.remembered, now)
        decision = self._decide(found.declared, remembered, now if self.until is None else min(now, self.until))
        step = first_step(decision, self._making_up.get(id))
        if step.evaluate is None:
            self._pass(remembered, decision, step, now)
            next_at = decision.next_at
            if next_at is not None and (self.until is None or next_at <= self.until):
                self.due_queue.put(id, next_at)
            return
        if step.making_up is not None:
            self._making_up[id] = step.making_up
        crash_point("tick.due")
        self._ask(id, found, step.evaluate, step, remembered, now)

    def _ask(
        self,
        id: str,
        found: Askable[ScheduleInfo],
        first: datetime,
        step: ScheduleStep,
        remembered: Automation,
        now: datetime,
    ) -> None:
        declared = found.declared
        self._evaluations.ask(
            id,
            found.location,
            Occurrence(first, step, declared),
            self.take,
            timeout=declared.timeout,
            pipeline=declared.pipeline,
            mode=declared.mode,
            name=declared.name,
            at=now,
            scheduled_at=first,
            last_tick_at=remembered.last_tick_at,
        )

    def _on_this_clock(self, remembered: Automation, now: datetime) -> Automation:
        after = after_clock_change(remembered, now)
        if after != remembered:
            self._log.warn("the clock was set: occurrences are counted from now", schedule=after.id, since=after.since)
            self._commit(after, [], [], now)
        return after

    def _decide(self, declared: ScheduleInfo, remembered: Automation, now: datetime) -> ScheduleDecision:
        """Unfinished runs are looked up only when something is due and they make a difference."""
        making_up = self._making_up.get(remembered.id)
        decision = decide(declared, remembered, now, making_up=making_up)
        if declared.overlap in ("allow", "buffer_all") or not decision.evaluate:
            return decision
        active = self._active_of(remembered.id)
        return decide(declared, remembered, now, active=active.run_ids, notes=active.notes, making_up=making_up)

    def _pass(self, remembered: Automation, decision: ScheduleDecision, step: ScheduleStep, now: datetime) -> None:
        if not step.passed:
            return  # nothing happened: that we looked is not worth a commit
        after = replace(remembered, since=decision.since, since_inclusive=decision.since_inclusive)
        self._commit(after, _passed_ticks(remembered, step.passed, now), [], now)
        self._say_passed(remembered.id, step.passed)

    def _commit(self, after: Automation, ticks: list[Tick], runs: list[Any], now: datetime) -> None:
        self._registry.remember(after)
        self._buffer.add(now, ticks=ticks, automation=after, runs=runs, urgent=True)

    def _say_passed(self, id: str, passed: Sequence[tuple[SkippedOccurrence, TickState]]) -> None:
        """What is not run, in one line for each reason: after a weekend asleep these may be thousands."""
        for reason, run in dict.fromkeys((one.reason, one.about_run) for one, _ in passed):
            some = [one for one, _ in passed if (one.reason, one.about_run) == (reason, run)]
            facts = {
                "schedule": id,
                "occurrences": sum(one.count for one in some),
                "first": some[0].scheduled_at,
                "last": some[-1].until or some[-1].scheduled_at,
                "reason": reason,
            }
            self._log.warn("not run", **facts, **({"run": run} if run else {}))

    def _say(self, id: str, tick: Tick) -> None:
        facts = {"schedule": id, "scheduled_at": tick.scheduled_at}
        if tick.status is TickState.SUCCESS:
            self._log.info("tick", **facts, runs=",".join(tick.run_ids))
        elif tick.status is TickState.FAILURE:
            self._log.error("tick failed", **facts, error=tick.error)
        else:
            self._log.info(f"tick {tick.status.lower()}", **facts, reason=tick.skip_reason or "")


def _accounted_for(automation: Automation, scheduled_at: datetime) -> Automation:
    """Everything up to that instant is done, unless what counts begins later: it was turned off or on, or given other
    times, while user code was asked."""
    if automation.since is None or automation.since > scheduled_at:
        return automation
    return replace(automation, since=scheduled_at, since_inclusive=False)


def _passed_ticks(
    automation: Automation, passed: Sequence[tuple[SkippedOccurrence, TickState]], now: datetime
) -> list[Tick]:
    return [_passed_tick(automation, one, status, now) for one, status in passed]


def _passed_tick(automation: Automation, passed: SkippedOccurrence, status: TickState, now: datetime) -> Tick:
    return Tick(
        tick_id=new_run_id(),
        name=automation.id,
        kind=automation.kind,
        status=status,
        at=now,
        scheduled_at=passed.scheduled_at,
        skip_reason=passed.reason,
        occurrences=passed.count,
        until=passed.until,
        about_run=passed.about_run,
    )
