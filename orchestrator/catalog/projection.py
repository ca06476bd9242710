"""Applies new events to the rows that summarize a run. Pure: rows come in and go out."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from msgspec import Struct, field

from orchestrator.model import events as ev
from orchestrator.model.states import RunState, StepState


class RunRow(Struct):
    """The changing part of a run's row."""

    status: RunState
    started_at: datetime | None = None
    finished_at: datetime | None = None
    reason: str = ""


class StepRow(Struct):
    """What is known of one step."""

    status: StepState = StepState.WAITING
    attempts: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration_s: float | None = None
    error: str | None = None


class Projection(Struct):
    """One run's rows, brought forward event by event. `touched` are the steps whose rows have changed."""

    run: RunRow
    steps: dict[str, StepRow] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)

    def apply(self, event: ev.Event) -> None:
        """Changes the rows as the event says. Events come in the order of the journal, each once."""
        if isinstance(event, (ev.RunStarted, ev.RunResumed)):
            if self.run.status is not RunState.CANCELING:  # a new owner continues to cancel it
                self.run.status = RunState.STARTED
            if isinstance(event, ev.RunStarted):
                self.run.started_at = self.run.started_at or event.at
            self.run.finished_at, self.run.reason = None, ""
        elif isinstance(event, ev.RunCancelRequested):
            self.run.status = RunState.CANCELING
        elif isinstance(event, ev.RunInterrupted):
            self.run.status, self.run.finished_at, self.run.reason = RunState.FAILURE, event.at, event.reason
        elif isinstance(event, ev.RunFinished):
            self.run.status, self.run.finished_at, self.run.reason = event.status, event.at, event.reason
            self._cancel_unfinished(event)
        else:
            self._apply_to_step(event)

    def _cancel_unfinished(self, event: ev.RunFinished) -> None:
        if event.status is not RunState.CANCELED:
            return
        for key, step in self.steps.items():
            if step.status in (StepState.RUNNING, StepState.RETRYING, StepState.WAITING):
                step.status = StepState.CANCELED
                self.touched.add(key)

    def _apply_to_step(self, event: ev.Event) -> None:
        key = getattr(event, "step", None)
        change = _CHANGES.get(type(event))
        if key is None or change is None:
            return
        step = self.steps.setdefault(key, StepRow())
        if step.status is StepState.FAILURE:
            return  # for good: what follows is an attempt made for its failure hooks
        self.touched.add(key)
        if isinstance(change, StepState):
            step.status = change
        if isinstance(event, ev.AttemptLaunched):
            # From here on the row is about this attempt.
            step.attempts = event.attempt
            step.started_at = step.finished_at = step.duration_s = step.error = None
        elif isinstance(event, ev.AttemptStarted):
            step.started_at, step.finished_at, step.duration_s = event.at, None, None
        elif isinstance(event, (ev.AttemptSucceeded, ev.AttemptFailed, ev.AttemptCanceled)):
            step.duration_s, step.finished_at = event.seconds, event.at
        elif isinstance(event, (ev.AttemptDied, ev.AttemptLost)):
            step.finished_at = event.at
            step.duration_s = None if step.started_at is None else (event.at - step.started_at).total_seconds()
        elif isinstance(event, ev.StepFailed):
            step.error = event.error.headline()


# Stands for a state that an event does not change. Not None, which a dictionary gives for what it does not have.
_SAME: Final = object()
_CHANGES: dict[type, StepState | object] = {
    ev.StepReused: StepState.REUSED,
    ev.StepSkipped: StepState.SKIPPED,
    ev.StepAbandoned: StepState.ABANDONED,
    ev.StepRetryScheduled: StepState.RETRYING,
    ev.StepFailed: StepState.FAILURE,
    ev.AttemptLaunched: StepState.RUNNING,
    ev.AttemptStarted: _SAME,
    ev.AttemptSucceeded: StepState.SUCCESS,
    ev.AttemptFailed: _SAME,
    ev.AttemptCanceled: StepState.CANCELED,
    ev.AttemptDied: _SAME,
    ev.AttemptLost: _SAME,
    ev.AttemptRevoked: StepState.WAITING,
}
