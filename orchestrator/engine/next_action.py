"""The next thing a run's owner must do. Does nothing: what was done comes back as an event, into `progress`."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from orchestrator.definitions.retry import may_retry
from orchestrator.engine.actions import Action, Finish, Launch, Record, Stop
from orchestrator.engine.progress import RunProgress
from orchestrator.engine.step_graph import RunStep
from orchestrator.model.attempt import AttemptSpec
from orchestrator.model.error_info import ErrorInfo
from orchestrator.model.events import StepAbandoned, StepFailed, StepRetryScheduled, StepSkipped
from orchestrator.model.states import RunState, StepState

# Before an attempt that was lost is made again: long enough for a machine to settle, short enough not to be noticed.
# Twice as long each time, up to the longest: what was lost again was lost to something that lasts.
INFRASTRUCTURE_DELAY_S = 1.0
LONGEST_INFRASTRUCTURE_DELAY_S = 60.0

Random = Callable[[], float]


def next_action(run: RunProgress, *, now: datetime, room: int, random: Random) -> Action | None:
    """The next action, or None: wait until something is observed or `next_instant` comes.

    `room` is how many further attempts may be in flight. Asking twice gives the same answer; the caller carries the
    action out, applies the event that says so, and asks again.
    """
    if run.is_finished or run.interrupted:
        return None
    ended = _first(run.ended, lambda step: step.state is StepState.RUNNING and step.key not in run.in_flight)
    if ended is not None:
        return Record(_after_failure(run, ended, now, random))
    if run.canceling:
        return _next_while_canceling(run)
    decided = _first(run.decided, lambda step: not step.is_finished)
    if decided is not None:
        return Record(_without_running(decided, now))
    late = _late_attempt(run, now)
    if late is not None:
        return Stop(late.key, late.attempt, "timed out")
    if room > 0:
        failed = _first(run.awaiting_failure_hooks, lambda step: step.hooks == "due")
        if failed is not None:
            return Launch(attempt_spec(run, failed))
        step = _startable(run, now)
        if step is not None:
            return Launch(attempt_spec(run, step))
    if run.network.unfinished == 0 and not run.in_flight and not run.awaiting_failure_hooks:
        return Finish(RunState.FAILURE if run.failed else RunState.SUCCESS, _reason(run))
    return _stuck(run)


def next_instant(run: RunProgress) -> datetime | None:
    """The earliest instant at which `next_action` may say something new by the passing of time alone."""
    _drop_stale(run)
    instants = [queue[0][0] for queue in (run.retries, run.deadlines) if queue]
    return min(instants, default=None)


def attempt_spec(run: RunProgress, step: RunStep, attempt: int | None = None) -> AttemptSpec:
    """What the process of the step's next attempt is given, or of the one with that number."""
    return AttemptSpec(
        run_id=run.run_id,
        step=step.key,
        template=step.planned.key,
        attempt=attempt or step.attempt + 1,
        inputs={
            planned.name: step.sources_of_input(position)
            for position, planned in enumerate(step.planned.inputs)
            if planned.sources
        },
        mapping_keys=step.keys,
        failures=step.failures,
        post_mortem=step.error if step.hooks in ("due", "running") else None,
    )


def _next_while_canceling(run: RunProgress) -> Action | None:
    for step in run.in_flight.values():
        if step.stop is None:
            return Stop(step.key, step.attempt, "canceled")
    return None if run.in_flight else Finish(RunState.CANCELED, run.reason)


def _after_failure(run: RunProgress, step: RunStep, now: datetime, random: Random) -> StepRetryScheduled | StepFailed:
    policy = step.planned.retry
    error = step.error or ErrorInfo("Error", "unknown")
    if step.lost:
        again = step.losses <= policy.infrastructure_retries
        delay = min(INFRASTRUCTURE_DELAY_S * 2.0 ** min(step.losses - 1, 30), LONGEST_INFRASTRUCTURE_DELAY_S)
    else:
        enabled = run.plan.retries_enabled
        again = may_retry(policy, enabled=enabled, failures=step.failures, ask=step.ask, allowed=step.allow_retries)
        asked = step.ask.delay if step.ask else None
        delay = policy.delay_before_retry(step.failures, random(), asked)
    if not again or run.canceling:
        return StepFailed(at=now, step=step.key, attempt=step.attempt, error=error)
    return StepRetryScheduled(
        at=now,
        step=step.key,
        attempt=step.attempt,
        due_at=now + timedelta(seconds=delay),
        budget="infrastructure" if step.lost else "retries",
        reason=error.headline(),
    )


def _without_running(step: RunStep, now: datetime) -> StepSkipped | StepAbandoned:
    if step.failed_upstream is not None:
        return StepAbandoned(at=now, step=step.key, upstream=step.failed_upstream)
    return StepSkipped(at=now, step=step.key, reason=step.missing_input() or "nothing to do")


def _late_attempt(run: RunProgress, now: datetime) -> RunStep | None:
    _drop_stale(run)
    if run.deadlines and run.deadlines[0][0] <= now:
        return run.network.steps[run.deadlines[0][1]]
    return None


def _startable(run: RunProgress, now: datetime) -> RunStep | None:
    _drop_stale(run)
    due = run.network.steps[run.retries[0][1]] if run.retries else None
    if due is not None and not _is_due(due, now):
        due = None
    while run.ready and run.network.steps[run.ready[0][2]].state is not StepState.READY:
        heapq.heappop(run.ready)
    ready = run.network.steps[run.ready[0][2]] if run.ready else None
    if due is None or ready is None:
        return due or ready
    return due if due.planned.priority >= ready.planned.priority else ready


def _is_due(step: RunStep, now: datetime) -> bool:
    """Whether the wait for a retry is over. A clock that shows a time before it began was set back: by how much of the
    wait is unknown, and it must not become days."""
    assert step.due_at is not None
    assert step.put_off_at is not None
    return step.due_at <= now or now < step.put_off_at


def _drop_stale(run: RunProgress) -> None:
    """Forgets queue entries that no longer mean anything: this changes no answer."""
    steps = run.network.steps
    while run.retries and not _is_retry_of(steps[run.retries[0][1]], run.retries[0][0]):
        heapq.heappop(run.retries)
    while run.deadlines:
        _, key, attempt = run.deadlines[0]
        if key in run.in_flight and steps[key].attempt == attempt and steps[key].stop is None:
            break
        heapq.heappop(run.deadlines)


def _is_retry_of(step: RunStep, due_at: datetime) -> bool:
    return step.state is StepState.RETRYING and step.due_at == due_at


def _first(queue: deque[RunStep], is_current: Callable[[RunStep], bool]) -> RunStep | None:
    while queue and not is_current(queue[0]):
        queue.popleft()
    return queue[0] if queue else None


def _reason(run: RunProgress) -> str:
    if not run.failed:
        return ""
    failed = [step.key for step in run.network.in_order() if step.state is StepState.FAILURE]
    more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
    return f"{'step' if len(failed) == 1 else 'steps'} {', '.join(failed[:3])}{more} failed"


def _stuck(run: RunProgress) -> Finish | None:
    """Ends a run that can never end by itself. A plan cannot lead here; a damaged journal could."""
    if run.in_flight or run.retries or run.ready or run.awaiting_failure_hooks or not run.network.unfinished:
        return None
    waiting = [step.key for step in run.network.in_order() if not step.is_finished]
    return Finish(RunState.FAILURE, f"nothing can proceed: {', '.join(waiting[:5])} will never be ready")
