"""Turns the evaluation of a schedule or sensor into a tick, queued runs and the automation's new state, to be committed
together.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Generic, Literal, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.catalog.ticks import EnqueuedRun
from orchestrator.daemon.evaluations import Answered, Evaluations, Planned
from orchestrator.daemon.location import Location
from orchestrator.daemon.locations import Locations
from orchestrator.daemon.registry import Registry
from orchestrator.engine.sensor_timing import RequestDecision
from orchestrator.ids import new_run_id
from orchestrator.model.automation import Automation, Declared
from orchestrator.model.run import RunRecord, Trigger
from orchestrator.model.states import TickState
from orchestrator.model.tick import Evaluation, Tick, dedupe_key
from orchestrator.service.workspace import Workspace

# What of an error or of printed text is kept in a tick.
_LONGEST_TEXT = 8000
# Runs start in the order of their instants, and those of one tick in the order in which they were asked for.
_ONE_AFTER = timedelta(microseconds=1)


D = TypeVar("D", bound=Declared)


class Askable(Struct, Generic[D], frozen=True):
    """A schedule or sensor that can be asked now: as declared, as remembered, and where."""

    declared: D
    remembered: Automation
    location: Location


def askable(
    id: str, kind: type[D], registry: Registry, locations: Locations, evaluations: Evaluations
) -> Askable[D] | None:
    """None when it is off or gone, is just being asked, or its location cannot be: once the location is back,
    everything in it is looked at again."""
    declared = registry.declared.get(id)
    if not isinstance(declared, kind) or not registry.is_on(id) or evaluations.is_asked(id):
        return None
    remembered = registry.remembered[id]
    location = locations.loaded(remembered.location)
    return None if location is None else Askable(declared, remembered, location)


class Outcome(Struct, frozen=True):
    """A tick with the runs that it asked for."""

    tick: Tick
    runs: tuple[EnqueuedRun, ...]

    @property
    def is_urgent(self) -> bool:
        """Whether losing it would lose more than a line of history."""
        return bool(self.runs) or self.tick.status is not TickState.SKIPPED


class Verdict(Struct, frozen=True):
    """What an evaluation comes to, runs aside."""

    status: TickState
    error: str | None = None
    skip_reason: str | None = None


def verdict_of(
    automation: Automation,
    evaluation: Evaluation | None,
    decision: RequestDecision | None,
    problems: Sequence[str] = (),
    problem: str | None = None,
) -> Verdict:
    """Whether it succeeded. `problems` are those of the requests, `problem` is why there is no answer."""
    error = problem or (evaluation.error if evaluation else None) or _several(problems)
    if error is not None or evaluation is None:
        return Verdict(TickState.FAILURE, error=error and error[-_LONGEST_TEXT:])
    if decision is not None and decision.fresh:
        return Verdict(TickState.SUCCESS)
    reason = evaluation.skip_reason
    if decision is not None and decision.dropped:
        reason = _all_used([request.run_key or "" for request in decision.dropped])
    done = _is_alert_done(automation, evaluation)
    return Verdict(TickState.SUCCESS if done else TickState.SKIPPED, skip_reason=reason)


def outcome_of(
    answered: Answered,
    automation: Automation,
    workspace: Workspace,
    now: datetime,
    *,
    kind: Literal["schedule", "sensor"],
    scheduled_at: datetime | None = None,
    tags: dict[str, str] | None = None,
) -> Outcome:
    """What an answer comes to. Nothing is requested if anything is wrong: half of what user code meant is worse."""
    evaluation = answered.evaluation
    problems = [_about(plan) for plan in answered.planned if plan.problem]
    verdict = verdict_of(automation, evaluation, answered.decision, problems, answered.problem)
    tick = Tick(
        tick_id=new_run_id(),
        name=automation.id,
        kind=automation.kind,
        status=verdict.status,
        at=now,
        scheduled_at=scheduled_at,
        duration_s=round(answered.seconds, 6),
        error=verdict.error,
        skip_reason=verdict.skip_reason,
        cursor=automation.cursor,
        output=(evaluation.output or None) if evaluation else None,
    )
    if verdict.status is TickState.FAILURE or evaluation is None:
        return Outcome(tick, ())
    runs = tuple(
        _enqueued(planned, automation, workspace, now + _ONE_AFTER * place, kind, scheduled_at, tags or {})
        for place, planned in enumerate(answered.planned)
    )
    return Outcome(
        replace(
            tick,
            run_ids=tuple(run.record.run_id for run in runs),
            run_keys=tuple(run.record.trigger.run_key for run in runs if run.record.trigger.run_key),
            cursor=evaluation.cursor,
        ),
        runs,
    )


def _enqueued(
    planned: Planned,
    automation: Automation,
    workspace: Workspace,
    now: datetime,
    kind: Literal["schedule", "sensor"],
    scheduled_at: datetime | None,
    tags: dict[str, str],
) -> EnqueuedRun:
    run, request = planned.run, planned.request
    assert run is not None
    record = RunRecord(
        run_id=new_run_id(),
        pipeline=run.plan.pipeline,
        location=automation.location,
        mode=run.mode,
        created_at=now,
        trigger=Trigger(kind, automation.id, request.run_key, scheduled_at),
        tags={**run.tags, **tags, **request.tags},
        config=run.config,
        preset=request.preset,
        selection=run.selection,
        executor=run.executor,
        max_concurrent_steps=workspace.settings.executor.max_concurrent_steps,
    )
    return EnqueuedRun(
        record=record,
        plan=run.encoded_plan,
        dedupe_in=automation.id,
        dedupe_key=dedupe_key(request.run_key, scheduled_at),
    )


def _about(planned: Planned) -> str:
    """What is wrong with a request, and which one it is."""
    key = planned.request.run_key
    return f"RunRequest with run_key {key!r}: {planned.problem}" if key else str(planned.problem)


def _several(problems: Sequence[str]) -> str | None:
    if not problems:
        return None
    rest = f"\n... and {len(problems) - 3} more requests like that" if len(problems) > 3 else ""
    return "\n".join(dict.fromkeys(problems[:3])) + rest


def _is_alert_done(automation: Automation, evaluation: Evaluation) -> bool:
    """Whether it was about acting upon the end of a run, and not about asking for one."""
    return automation.kind == "run_status_sensor" and not evaluation.requests and evaluation.skip_reason is None


def _all_used(keys: list[str]) -> str:
    if not any(keys):
        return "this occurrence was run already"
    shown = ", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "")
    return f"nothing new: {len(keys)} request{'s' if len(keys) > 1 else ''} with keys that were used already ({shown})"
