"""Driving one run: asking the engine, carrying out what it says, writing down what happens. Never waits, and shows
nothing.

The same for every owner of runs. Intent is journalled before an action, so that a crash between any two lines here
leaves something that the next owner can repair by looking.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from orchestrator import clock
from orchestrator._version import __version__
from orchestrator.attempts.observation import FINAL, Observation, Phase
from orchestrator.attempts.package import AttemptPackage, run_package
from orchestrator.crashpoints import crash_point
from orchestrator.engine.actions import Action, Finish, Launch, Record, Stop
from orchestrator.engine.next_action import attempt_spec, next_action, next_instant
from orchestrator.engine.progress import RunProgress
from orchestrator.errors import LocationDied, NotPossible, OrchestratorError, RunDamaged, StoreError
from orchestrator.executors.base import DEFAULT_GRACE_S, Attempt, Executor, KeepsOutcomes
from orchestrator.locks import HeldLock
from orchestrator.model.attempt import AttemptSpec, handle_of
from orchestrator.model.error_info import ErrorInfo
from orchestrator.model.event_lines import LONG_AGO
from orchestrator.model.events import (
    AttemptDied,
    AttemptEvent,
    AttemptLaunched,
    AttemptLost,
    AttemptRevoked,
    AttemptStopRequested,
    AttemptWaiting,
    Event,
    Owner,
    RunCancelRequested,
    RunFinished,
    RunResumed,
    RunStarted,
    StepReused,
    encode_line,
)
from orchestrator.model.run import RunRecord
from orchestrator.planning.plan import Plan
from orchestrator.regular import IN_THE_WAY
from orchestrator.runlog.run_log import RunLog
from orchestrator.service.history import replayed
from orchestrator.state_dir import unusable

Listener = Callable[[Event], None]
# An attempt's stamps that are further ahead of ours than a slow turn explains come from another clock.
_ONE_TURN = timedelta(minutes=1)
_REMOVED = "Steps that still run end by themselves. Start the run again; `orchestrator runs delete` removes one."


class OwnedRun(Struct, frozen=True):
    """A run on disk whose lock this process holds. `reused` is what it need not run, beyond what its record says;
    `plan` is the record's, where it is decoded already."""

    run_log: RunLog
    record: RunRecord
    lock: HeldLock
    reused: tuple[StepReused, ...] = ()
    plan: Plan | None = None


class RunDriver:
    """Drives one run. Valid only while this process holds the run's owner lock, which `close` releases.

    `listener` is called with each event as it is decided or observed, which may be before it is in the journal. When
    `advance` raises StoreError (a full disk) it may be called again: nothing is lost by that, and nothing done twice.
    """

    def __init__(
        self, owned: OwnedRun, executor_of: Callable[[str], Executor], listener: Listener | None = None
    ) -> None:
        run_log = owned.run_log
        self.run_log = run_log
        self.record = owned.record
        self._reused = owned.reused
        events = run_log.events()
        self.progress: RunProgress = replayed(run_log, self.record, events, owned.plan)
        self.plan: Plan = self.progress.plan
        self._package = run_package(self.record, str(run_log.state.storage))
        self._lock = owned.lock
        self._executor_of = executor_of
        names = dict.fromkeys([self.record.executor, *(step.executor or "" for step in self.plan.selected())])
        # Those that may run attempts of this run: its own first.
        self.executors = [executor_of(name) for name in names if name]
        self._listener = listener
        self._unwritten: list[bytes] = []
        self._over: list[tuple[str, int]] = []  # attempts whose end may not be in the journal yet
        self._intended: list[Launch | Stop] = []
        self._journal = run_log.writer()
        self._has_history = bool(events)
        self._clocks = clock.JumpDetector()
        self._latest = max((event.at for event in events), default=LONG_AGO)

    # --- beginning ---

    def begin(self, kind: Literal["foreground", "daemon"]) -> None:
        """Starts the run, or takes it over from an owner that is gone, with whatever it left in flight. Raises
        NotPossible when the run is over."""
        owner = Owner(kind, os.getpid(), socket.gethostname())
        if self._has_history:
            if self.progress.is_finished:
                raise NotPossible(f"Run {self.record.run_id} is over: {self.progress.status}.")
            self._mark_pending()
            self._take(RunResumed(at=clock.now(), owner=owner))
        if self.progress.started_at is None:  # it may have been marked as left alone before it had begun
            self._take(RunStarted(at=clock.now(), owner=owner, version=__version__))
        for event in self._reused or msgspec.json.decode(self.record.reused, type=list[StepReused]):
            step = self.progress.network.steps.get(event.step)
            if step is None or not step.is_finished:
                self._take(event)
        self._flush()
        if self._has_history:
            crash_point("run.resumed")
            self._adopt_attempts()
        else:
            crash_point("run.started")

    def _adopt_attempts(self) -> None:
        for step in self.progress.in_flight.values():
            spec = attempt_spec(self.progress, step, attempt=step.attempt)
            executor = self._executor(spec.template)
            handle = executor.adopt(self._attempt(spec), step.seen)
            if step.stop is not None:
                executor.cancel(handle, DEFAULT_GRACE_S)

    # --- going on ---

    def observe(self, step: str, attempt: int, seen: Observation) -> None:
        """Takes in what the executor says of an attempt."""
        current = self.progress.network.steps.get(step)
        if current is None or step not in self.progress.in_flight or current.attempt != attempt:
            return
        for event, line in zip_longest(seen.events, seen.lines):
            self._take(event, line)
        reason = seen.reason if seen.phase in (Phase.PENDING, Phase.UNKNOWN) else ""
        if reason != current.waits_for and (reason or seen.phase is Phase.RUNNING):
            self._take(AttemptWaiting(at=clock.now(), step=step, attempt=attempt, reason=reason))
        if seen.phase not in FINAL:
            return
        crash_point("attempt.observed")
        if step in self.progress.in_flight:  # no outcome among the events
            self._take(_ending(step, attempt, seen))
        self._over.append((step, attempt))

    def advance(self, now: datetime, room: int) -> int:
        """Does everything that can be done at this instant; how many attempts it started, at most `room`."""
        self._watch_clock(now)
        if not self.run_log.directory.is_dir():
            raise RunDamaged(f"The files of run {self.record.run_id} were removed while it ran.", hint=_REMOVED)
        self._carry_out_intended()
        if self.run_log.is_cancel_requested():
            self.request_cancel(self.run_log.canceled_by())
        started = 0
        while True:
            free = min(room - started, self.record.max_concurrent_steps - len(self.progress.in_flight))
            action = next_action(self.progress, now=now, room=free, random=random.random)
            if action is None:
                break
            if isinstance(action, Launch):
                self._flush()
                self.run_log.require_space()
                started += 1
            self._carry_out(action, now)
        self._flush()
        crash_point("attempt.recorded")
        return started

    def next_instant(self) -> datetime | None:
        """When `advance` should be called even if nothing is observed."""
        return next_instant(self.progress)

    def request_cancel(self, by: str) -> None:
        """Ends the run: no step starts any more, and those that run are told to stop."""
        if not self.progress.canceling and not self.progress.is_finished:
            self._take(RunCancelRequested(at=clock.now(), by=by))

    def kill(self) -> None:
        """After `request_cancel`: ends what is still running at once."""
        for step in self.progress.in_flight.values():
            self._stop(step.key, step.attempt, 0.0)

    # --- ending ---

    def close(self) -> None:
        """Releases the run. Running attempts continue and are adopted by the next owner."""
        self._flush()
        self.abandon()

    def abandon(self) -> None:
        """As `close`, leaving out what is not written yet: the next owner sees it again."""
        self._journal.close()
        self._lock.release()

    # --- inside ---

    def _watch_clock(self, now: datetime) -> None:
        jump = self._clocks.jump(now, clock.monotonic())
        if jump is not None:
            self.progress.clock_went(jump)
            self._latest = LONG_AGO  # the clock was set: what is later now may have an earlier stamp

    def _carry_out(self, action: Action, now: datetime) -> None:
        if isinstance(action, Record):
            self._take(action.event)
        elif isinstance(action, Finish):
            if self.progress.was_resumed:
                self._mark_pending()
            self._take(RunFinished(at=now, status=action.status, reason=action.reason))
            self._flush()
            self._journal.sync()
            crash_point("run.finished")
        else:
            self._take(self._intent(action, now))
            self._intended.append(action)
            self._carry_out_intended()

    def _intent(self, action: Launch | Stop, now: datetime) -> Event:
        if isinstance(action, Stop):
            return AttemptStopRequested(at=now, step=action.step, attempt=action.attempt, why=action.why)
        spec = action.spec
        return AttemptLaunched(
            at=now,
            step=spec.step,
            attempt=spec.attempt,
            executor=self._executor(spec.template).name,
            post_mortem=spec.post_mortem is not None,
        )

    def _carry_out_intended(self) -> None:
        """Does what is journalled as about to be done. What a full disk keeps from being written down, or from being
        done, stays intended until the next time: the engine counts it as done, and asks for it no more."""
        self._flush()
        while self._intended:
            action = self._intended[0]
            if isinstance(action, Stop):
                self._stop(action.step, action.attempt, DEFAULT_GRACE_S)
            else:
                self._launch(action.spec)
            self._intended.pop(0)

    def _launch(self, spec: AttemptSpec) -> None:
        crash_point("attempt.journalled")
        try:
            self._executor(spec.template).launch(self._attempt(spec))
        except OSError as error:
            if error.errno not in IN_THE_WAY:
                raise unusable(self.run_log.directory, error) from error
            info = ErrorInfo("StateDamaged", f"{error.filename} is no directory")
            self._take(AttemptDied(at=clock.now(), step=spec.step, attempt=spec.attempt, error=info))
        except LocationDied as error:  # between our looking and our asking
            self._take(AttemptLost(at=clock.now(), step=spec.step, attempt=spec.attempt, reason=error.message))
        except OrchestratorError as error:
            info = ErrorInfo(type(error).__name__, str(error))
            self._take(AttemptDied(at=clock.now(), step=spec.step, attempt=spec.attempt, error=info))
        crash_point("attempt.sent")

    def _stop(self, step: str, attempt: int, grace: float) -> None:
        self._executor(self.plan.origin_of(step).key).cancel(handle_of(self.record.run_id, step, attempt), grace)

    def _executor(self, template: str) -> Executor:
        """The executor of a step as planned."""
        return self._executor_of(self.plan.by_key[template].executor or self.record.executor)

    def _mark_pending(self) -> None:
        """A run that was interrupted was taken off the list of those whose journals are read: it is put back. Again
        before the last line, because a process that was just removing it may not have seen the first one."""
        self.run_log.mark_pending()

    def _attempt(self, spec: AttemptSpec) -> Attempt:
        planned, step = self.plan.by_key[spec.template], self.progress.network.steps[spec.step]
        return Attempt(
            package=AttemptPackage(run=self._package, spec=spec),
            location=self.record.location,
            isolation=planned.isolation,
            tags=planned.tags,
            pod=planned.pod,
            timeout=planned.timeout,
            image=self.progress.image,
            losses=step.losses,
            out_of_memory=step.out_of_memory,
        )

    def _take(self, event: Event, line: bytes | None = None) -> None:
        """Applies an event and keeps it for the journal; `line` is the event encoded, when it already is."""
        if not isinstance(event, AttemptEvent) and self._latest - _ONE_TURN <= event.at < self._latest:
            # Decided at an instant that is a little older than what was observed meanwhile: it follows from that.
            event = replace(event, at=self._latest)
        self._latest = max(self._latest, event.at)
        self._unwritten.append(line or encode_line(event))
        self.progress.apply(event)
        if self._listener is not None:
            self._listener(event)

    def _flush(self) -> None:
        if self._unwritten:
            lines, self._unwritten = self._unwritten, []
            try:
                self._journal.append(lines)
            except StoreError:
                self._unwritten = lines
                raise
        for step, attempt in self._over:
            executor = self._executor(self.plan.origin_of(step).key)
            if isinstance(executor, KeepsOutcomes):
                executor.recorded(handle_of(self.record.run_id, step, attempt))
        self._over = []


def _ending(step: str, attempt: int, seen: Observation) -> Event:
    now = clock.now()
    if seen.phase is Phase.REVOKED:
        return AttemptRevoked(at=now, step=step, attempt=attempt, reason=seen.reason)
    if seen.phase is Phase.LOST:
        return AttemptLost(at=now, step=step, attempt=attempt, reason=seen.reason)
    error = seen.error or ErrorInfo("Error", seen.reason or "the attempt ended without an outcome")
    return AttemptDied(at=now, step=step, attempt=attempt, error=error)
