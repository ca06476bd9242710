"""The state of one run, built from its events alone."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from orchestrator.engine.step_graph import Network, RunStep
from orchestrator.model import events as ev
from orchestrator.model.error_info import OUT_OF_MEMORY, ErrorInfo
from orchestrator.model.states import TERMINAL_RUN_STATES, RunState, StepState
from orchestrator.planning.plan import Plan


class RunProgress:
    """Where a run stands. `apply` takes its events in order; the same events always give the same state.

    The queues are for `next_action`. An entry may be out of date: check the state of its step when you take one,
    and drops what means nothing any more.
    """

    def __init__(self, plan: Plan, run_id: str) -> None:
        self.plan = plan
        self.run_id = run_id
        self.network = Network(plan)
        self.status = RunState.STARTING
        self.reason = ""
        self.interrupted = False
        self.was_resumed = False
        self.owner: ev.Owner | None = None
        self.started_at: datetime | None = None
        self.finished_at: datetime | None = None
        self.in_flight: dict[str, RunStep] = {}
        self.decided: deque[RunStep] = deque()  # to be recorded as skipped or abandoned
        self.ended: deque[RunStep] = deque()  # whose last attempt did not succeed: to be retried or given up
        self.awaiting_failure_hooks: deque[RunStep] = deque()  # failed without their failure hooks having run
        self.ready: list[tuple[int, tuple[int, ...], str]] = []
        self.retries: list[tuple[datetime, str]] = []
        self.deadlines: list[tuple[datetime, str, int]] = []
        self.failed = 0
        self.image: str | None = None  # what the first pod of the run was made from, by its digest
        self._early: dict[str, list[ev.Event]] = {}
        self._sort_decidable()

    @property
    def canceling(self) -> bool:
        return self.status is RunState.CANCELING

    @property
    def is_finished(self) -> bool:
        """Whether it is over for good: one that was interrupted may be resumed."""
        return self.status in TERMINAL_RUN_STATES and not self.interrupted

    def clock_went(self, by: timedelta) -> None:
        """The clock was set, or the machine was asleep: that is not counted against the timeouts of what runs."""
        self.deadlines = [(due + by, key, attempt) for due, key, attempt in self.deadlines]

    def apply(self, event: ev.Event) -> None:
        """Takes one event of the run's journal into account. Raises KeyError when it names a step that the plan cannot
        lead to: a journal is of one plan."""
        step = self.network.steps.get(getattr(event, "step", ""))
        if step is not None and step.hooks == "running":
            self._after_death(step, event)
        elif (handler := _HANDLERS.get(type(event))) is not None:
            handler(self, event)
        if step is not None and isinstance(event, ev.AttemptEvent) and event.attempt == step.attempt:
            step.seen = event.n + 1
        if self._early:
            self._apply_early()

    def apply_recorded(self, event: ev.Event) -> None:
        """As `apply`, for a journal that may be damaged. An event of a step that is not there waits for it: the line
        that leads to the step may be the damaged one, and what the step has done must not be done again when it is
        replaced. An event that makes no sense is left out."""
        key = getattr(event, "step", "")
        if key and key not in self.network.steps:
            self._early.setdefault(key, []).append(event)
            return
        try:
            self.apply(event)
        except (LookupError, TypeError, ValueError):
            return

    def _apply_early(self) -> None:
        for key in [key for key in self._early if key in self.network.steps]:
            for event in self._early.pop(key):
                self.apply_recorded(event)

    # --- the run ---

    def _run_started(self, event: ev.RunStarted) -> None:
        self.status = RunState.STARTED
        self.owner = event.owner
        self.started_at = event.at

    def _run_resumed(self, event: ev.RunResumed) -> None:
        self.owner = event.owner
        self.was_resumed = True
        if self.interrupted:
            self.interrupted = False
            self.status = RunState.STARTED
            self.finished_at = None

    def _run_cancel_requested(self, _event: ev.RunCancelRequested) -> None:
        if self.status not in TERMINAL_RUN_STATES:
            self.status = RunState.CANCELING

    def _run_interrupted(self, event: ev.RunInterrupted) -> None:
        self.status = RunState.FAILURE
        self.interrupted = True
        self.reason = event.reason
        self.finished_at = event.at

    def _run_finished(self, event: ev.RunFinished) -> None:
        self.status = event.status
        self.reason = event.reason
        self.finished_at = event.at
        if event.status is RunState.CANCELED:
            for step in self.network.steps.values():
                if not step.is_finished:
                    step.state = StepState.CANCELED

    # --- steps ---

    def _step_reused(self, event: ev.StepReused) -> None:
        step = self.network.steps[event.step]
        step.run_id = event.run_id
        self._finish(step, StepState.REUSED, event.outputs)

    def _step_skipped(self, event: ev.StepSkipped) -> None:
        self._finish(self.network.steps[event.step], StepState.SKIPPED)

    def _step_abandoned(self, event: ev.StepAbandoned) -> None:
        self._finish(self.network.steps[event.step], StepState.ABANDONED)

    def _step_failed(self, event: ev.StepFailed) -> None:
        step = self.network.steps[event.step]
        step.error = event.error
        self.failed += 1
        if step.planned.hooks and not step.had_outcome and not self.canceling:
            step.hooks = "due"
            self.awaiting_failure_hooks.append(step)
        self._finish(step, StepState.FAILURE)

    def _step_retry_scheduled(self, event: ev.StepRetryScheduled) -> None:
        step = self.network.steps[event.step]
        step.state = StepState.RETRYING
        step.due_at, step.put_off_at = event.due_at, event.at
        heapq.heappush(self.retries, (event.due_at, step.key))

    # --- attempts ---

    def _attempt_launched(self, event: ev.AttemptLaunched) -> None:
        step = self.network.steps[event.step]
        step.attempt = event.attempt
        self.in_flight[step.key] = step
        if event.post_mortem:
            step.hooks, step.seen = "running", 0
            return
        step.state = StepState.RUNNING
        step.started_at = step.seconds = step.due_at = step.stop = None
        step.had_outcome = False
        step.waits_for = ""
        step.place, step.launched_at = None, event.at
        step.seen = 0

    def _attempt_waiting(self, event: ev.AttemptWaiting) -> None:
        self.network.steps[event.step].waits_for = event.reason

    def _attempt_started(self, event: ev.AttemptStarted) -> None:
        step = self.network.steps[event.step]
        step.waits_for = ""
        step.started_at = event.at
        step.place = event.place
        if event.place is not None and not (step.planned.pod or {}).get("image"):
            self.image = self.image or event.place.image
        if step.planned.timeout is not None:
            due = event.at + timedelta(seconds=step.planned.timeout)
            heapq.heappush(self.deadlines, (due, step.key, event.attempt))

    def _attempt_stop_requested(self, event: ev.AttemptStopRequested) -> None:
        self.network.steps[event.step].stop = event.why

    def _attempt_succeeded(self, event: ev.AttemptSucceeded) -> None:
        step = self._landed(event.step)
        step.seconds = event.seconds
        step.error = None
        step.run_id = self.run_id
        self._finish(step, StepState.SUCCESS, event.outputs)

    def _attempt_failed(self, event: ev.AttemptFailed) -> None:
        step = self._landed(event.step)
        step.seconds = event.seconds
        step.had_outcome = True
        self._failure(step, event.error, event.ask, event.allow_retries)

    def _attempt_canceled(self, event: ev.AttemptCanceled) -> None:
        step = self._landed(event.step)
        step.seconds = event.seconds
        self._stopped(step, "its process was told to stop by somebody else", event.at, event.waited_for)

    def _attempt_died(self, event: ev.AttemptDied) -> None:
        step = self._landed(event.step)
        step.seconds = _seconds_since(step.started_at, event.at)
        if step.stop is not None:
            self._stopped(step, "", event.at)
        else:
            self._failure(step, event.error)

    def _attempt_lost(self, event: ev.AttemptLost) -> None:
        step = self._landed(event.step)
        step.seconds = _seconds_since(step.started_at, event.at)
        if step.stop is not None:
            self._stopped(step, "", event.at)
        else:
            self._loss(step, event.reason)

    def _attempt_revoked(self, event: ev.AttemptRevoked) -> None:
        step = self._landed(event.step)
        step.state = StepState.READY
        self._queue(step)

    def _after_death(self, step: RunStep, event: ev.Event) -> None:
        """Follows the attempt that runs failure hooks: however it ends, the step has failed already."""
        if isinstance(event, ev.AttemptRevoked):
            step.hooks = "due"
            self.awaiting_failure_hooks.append(step)
        elif isinstance(event, _ENDINGS):
            step.hooks = "done"
        else:
            return
        self.in_flight.pop(step.key, None)

    def _landed(self, key: str) -> RunStep:
        """The step whose attempt is over, no longer in flight."""
        self.in_flight.pop(key, None)
        return self.network.steps[key]

    def _stopped(self, step: RunStep, otherwise: str, at: datetime, waited_for: str = "") -> None:
        if step.stop == "timed out":
            seconds = step.planned.timeout
            message = f"it did not finish within its timeout of {seconds:g} seconds and was ended"
            if waited_for:
                message += f"; its function had returned, and it waited for {waited_for}"
            step.seconds = step.seconds or _seconds_since(step.started_at, at)
            self._failure(step, ErrorInfo("Timeout", message))
        elif step.stop == "canceled" or self.canceling:
            self._finish(step, StepState.CANCELED)
        else:
            self._loss(step, otherwise)

    def _failure(
        self, step: RunStep, error: ErrorInfo, ask: ev.RetryAsk | None = None, allow_retries: bool = True
    ) -> None:
        step.failures += 1
        step.out_of_memory += error.kind == OUT_OF_MEMORY
        step.error, step.ask, step.allow_retries, step.lost = error, ask, allow_retries, False
        self.ended.append(step)

    def _loss(self, step: RunStep, reason: str) -> None:
        step.losses += 1
        step.error, step.ask, step.allow_retries, step.lost = ErrorInfo("Lost", reason), None, True, True
        self.ended.append(step)

    def _finish(self, step: RunStep, state: StepState, produced: Any = None) -> None:
        self.network.finish(step, state, produced or {})
        self._sort_decidable()

    def _sort_decidable(self) -> None:
        for step in self.network.take_decidable():
            if step.is_finished or not (step.is_selected or step.never):
                continue
            if step.failed_upstream is not None or step.missing_input() is not None:
                self.decided.append(step)
            elif step.state is StepState.WAITING:
                step.state = StepState.READY
                self._queue(step)

    def _queue(self, step: RunStep) -> None:
        heapq.heappush(self.ready, (-step.planned.priority, step.order, step.key))


def _seconds_since(start: datetime | None, end: datetime) -> float | None:
    return None if start is None else (end - start).total_seconds()


_ENDINGS = (ev.AttemptSucceeded, ev.AttemptFailed, ev.AttemptCanceled, ev.AttemptDied, ev.AttemptLost)

_HANDLERS: dict[type, Callable[[RunProgress, Any], None]] = {
    ev.RunStarted: RunProgress._run_started,
    ev.RunResumed: RunProgress._run_resumed,
    ev.RunCancelRequested: RunProgress._run_cancel_requested,
    ev.RunInterrupted: RunProgress._run_interrupted,
    ev.RunFinished: RunProgress._run_finished,
    ev.StepReused: RunProgress._step_reused,
    ev.StepSkipped: RunProgress._step_skipped,
    ev.StepAbandoned: RunProgress._step_abandoned,
    ev.StepFailed: RunProgress._step_failed,
    ev.StepRetryScheduled: RunProgress._step_retry_scheduled,
    ev.AttemptLaunched: RunProgress._attempt_launched,
    ev.AttemptStarted: RunProgress._attempt_started,
    ev.AttemptWaiting: RunProgress._attempt_waiting,
    ev.AttemptStopRequested: RunProgress._attempt_stop_requested,
    ev.AttemptSucceeded: RunProgress._attempt_succeeded,
    ev.AttemptFailed: RunProgress._attempt_failed,
    ev.AttemptCanceled: RunProgress._attempt_canceled,
    ev.AttemptDied: RunProgress._attempt_died,
    ev.AttemptLost: RunProgress._attempt_lost,
    ev.AttemptRevoked: RunProgress._attempt_revoked,
}
