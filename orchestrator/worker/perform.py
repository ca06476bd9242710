"""Performs one attempt at one step: resources, inputs, the user's function, outputs, hooks, and the outcome. The same
in every executor, `execute_in_process` included.
"""

from __future__ import annotations

import inspect
import os
import socket
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from orchestrator import clock
from orchestrator.crashpoints import crash_point
from orchestrator.definitions.contexts import HookContext, ResourceContext, StepContext
from orchestrator.definitions.graph import not_composing
from orchestrator.definitions.hooks import HookDefinition
from orchestrator.definitions.retry import may_retry
from orchestrator.definitions.values import Failure, RetryRequested
from orchestrator.errors import DefinitionError
from orchestrator.model.attempt import AttemptSpec
from orchestrator.model.error_info import ErrorInfo
from orchestrator.model.events import (
    AttemptCanceled,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    HookCompleted,
    HookFailed,
    HookSkipped,
    RetryAsk,
)
from orchestrator.planning.plan import PlannedStep
from orchestrator.worker.bound_run import BoundRun
from orchestrator.worker.errors import definition_frame, error_info, is_a, leads_to_user_code
from orchestrator.worker.interrupts import Interruption, StepInterrupted
from orchestrator.worker.process_exit import Ending, NothingToEnd, leave_copy
from orchestrator.worker.recorder import Recorder
from orchestrator.worker.values import TypeCheckFailed, Values

_HOST = socket.gethostname()


def perform(
    bound: BoundRun,
    spec: AttemptSpec,
    record: Recorder,
    interruption: Interruption,
    ending: Ending | None = None,
    confirm: Callable[[], None] = lambda: None,
) -> BaseException | None:
    """Makes the attempt and records it, from AttemptStarted to the outcome, whatever user code does short of ending
    the process. Resources live as long as the attempt, in every executor: what works here works in production. The
    outcome is recorded once `ending` has waited for whatever else the attempt has started. `confirm` is called before a
    value is stored, and raises when the attempt is not this process's any more.
    Returns the exception that ended it, if one did."""
    record(AttemptStarted, pid=os.getpid(), host=_HOST, post_mortem=spec.post_mortem is not None)
    attempt = _Attempt(bound, spec, record, interruption, ending or NothingToEnd(), confirm)
    if spec.post_mortem is None:
        return attempt.run()
    attempt.run_failure_hooks(spec.post_mortem)
    return None


class _Attempt:
    def __init__(
        self,
        bound: BoundRun,
        spec: AttemptSpec,
        record: Recorder,
        interruption: Interruption,
        ending: Ending,
        confirm: Callable[[], None],
    ) -> None:
        self.ending = ending
        self.confirm = confirm
        self.bound = bound
        self.spec = spec
        self.record = record
        self.interruption = interruption
        self.scope = bound.scope()
        self.log = record.logger()
        self.started = clock.monotonic()

    def run(self) -> BaseException | None:
        error: BaseException | None = None
        produced: dict[str, tuple[str, ...] | None] = {}
        planned = self.bound.plan.by_key[self.spec.template]
        try:
            with not_composing():
                produced = self._do(planned)
        except BaseException as raised:  # SystemExit and KeyboardInterrupt too: user code must not end it untold
            error = raised
        if self.record.is_copy:
            leave_copy(error)
        seconds = round(clock.monotonic() - self.started, 6)
        self._run_hooks(planned, error)
        self.scope.tear_down(self.record)
        began = clock.monotonic()
        stopped = self._end_work()
        error = error or stopped
        seconds = round(seconds + clock.monotonic() - began, 6)
        self._record_outcome(error, produced, seconds)
        return error

    def _end_work(self) -> StepInterrupted | None:
        """Waits until all work of the attempt is over; what it was interrupted by, if it was."""
        if self.interruption.requested:
            self.ending.abort()
            return None
        stopped: StepInterrupted | None = None
        try:
            with self.interruption.interruptible(self.ending.pending):
                self.ending.wait()
        except StepInterrupted as raised:
            stopped = raised
        if self.interruption.requested:
            stopped = stopped or StepInterrupted("the attempt was told to stop")  # an exit handler swallowed it
            self.ending.abort()
        return stopped

    def run_failure_hooks(self, died_of: ErrorInfo) -> None:
        """Runs the failure hooks of a step whose own process could not run them."""
        planned = self.bound.plan.by_key[self.spec.template]
        with not_composing():
            self._run_hooks(planned, Failure(died_of.headline(), allow_retries=False))
        self.scope.tear_down(self.record)
        self._end_work()
        seconds = round(clock.monotonic() - self.started, 6)
        self.record(AttemptSucceeded, seconds=seconds, post_mortem=True)

    def _do(self, planned: PlannedStep) -> dict[str, tuple[str, ...] | None]:
        node = self.bound.node(planned)
        with self.interruption.interruptible():
            self.scope.provide(self._needed(planned), self.record, self._resource_context())
        values = Values(self.bound, planned, self.spec, self.scope, self.record, self.confirm)
        config = self.bound.step_config(node)
        with self.interruption.interruptible():
            arguments = values.inputs()
            if node.step.takes_config:
                arguments["config"] = config
            if node.step.context_name:
                arguments[node.step.context_name] = self._step_context(planned, config)
            crash_point("step.working")
            result = node.step.function(**arguments)
            if inspect.iscoroutine(result):
                result = _awaited(result)
            values.take_result(result)
        return values.produced

    def _needed(self, planned: PlannedStep) -> set[str]:
        # Without those of hooks: they are made when a hook is called, so that they cannot fail the step.
        needed = set(planned.resources)
        needed |= {output.io_manager for output in planned.outputs if output.io_manager}
        for references in self.spec.inputs.values():
            for reference in references:
                origin = self.bound.plan.origin_of(reference.step)
                needed.add(str(self.bound.out(origin, reference.output).io_manager))
        return needed

    def _resource_context(self) -> ResourceContext:
        return ResourceContext(
            run_id=self.spec.run_id, pipeline=self.bound.pipeline.name, step=self.spec.step, log=self.log
        )

    def _step_context(self, planned: PlannedStep, config: Any) -> StepContext:
        return StepContext(
            config=config,
            resources=self.scope.values(planned.resources, f"Step {planned.node!r}"),
            run_id=self.spec.run_id,
            pipeline=self.bound.pipeline.name,
            step=self.spec.step,
            attempt=self.spec.attempt,
            tags={**self.bound.run.tags, **planned.tags},
            mapping_key=self.spec.mapping_key,
            trigger=self.bound.run.trigger,
            log=self.log,
            _record=self.record.record,
        )

    def _run_hooks(self, planned: PlannedStep, error: BaseException | None) -> None:
        try:
            hooks = self.bound.hooks(planned)
        except Exception:  # the code no longer has the step: that is the outcome already
            return
        event = "success" if error is None else "failure"
        final = error is None or (not is_a(error, StepInterrupted) and not self._will_retry(planned, error))
        for hook in hooks:
            if hook.event == event and final:
                self._run_hook(hook, planned, error)
            else:
                self.record(HookSkipped, hook=hook.name)

    def _run_hook(self, hook: HookDefinition, planned: PlannedStep, error: BaseException | None) -> None:
        try:
            self.scope.provide(hook.resources, self.record, self._resource_context())
            context = HookContext(
                step=self.spec.step,
                run_id=self.spec.run_id,
                pipeline=self.bound.pipeline.name,
                attempt=self.spec.attempt,
                resources=self.scope.values(hook.resources, f"Hook {hook.name!r}"),
                tags={**self.bound.run.tags, **planned.tags},
                error=error,
                log=self.log,
            )
            with self.interruption.interruptible():
                hook.function(context)
        except BaseException as failure:  # a hook changes nothing for the step, whatever it raises
            self.record(HookFailed, hook=hook.name, error=error_info(failure))
        else:
            self.record(HookCompleted, hook=hook.name)

    def _will_retry(self, planned: PlannedStep, error: BaseException) -> bool:
        return may_retry(
            planned.retry,
            enabled=self.bound.plan.retries_enabled,
            failures=self.spec.failures + 1,
            ask=_ask(error),
            allowed=_allows_retries(error),
        )

    def _record_outcome(
        self,
        error: BaseException | None,
        produced: dict[str, tuple[str, ...] | None],
        seconds: float,
    ) -> None:
        if error is None:
            self.record(AttemptSucceeded, seconds=seconds, outputs=produced)
        elif is_a(error, StepInterrupted):
            self.record(AttemptCanceled, seconds=seconds, waited_for=self.interruption.doing)
        else:
            self.record(
                AttemptFailed,
                seconds=seconds,
                error=self._told(error),
                ask=_ask(error),
                allow_retries=_allows_retries(error),
            )

    def _told(self, error: BaseException) -> ErrorInfo:
        """The error as data. One that no line of the user's raised (a value of another type, one that a library cannot
        store) leads at least to the step."""
        info = error_info(error)
        if leads_to_user_code(info):
            return info
        try:
            step = self.bound.node(self.bound.plan.by_key[self.spec.template]).step
        except DefinitionError:
            return info  # the step is gone: that is the error
        return msgspec.structs.replace(info, frames=(definition_frame(step.where, step.name), *info.frames))


def _awaited(coroutine: Coroutine[Any, Any, Any]) -> Any:
    import asyncio  # imported beforehand where a step needs it

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    # A notebook, or a test that is async itself: its loop is busy with us, so the step gets one in another thread.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def _allows_retries(error: BaseException) -> bool:
    # What is declared wrongly, or returned in another type than is declared, is so the next time too.
    if is_a(error, TypeCheckFailed) or is_a(error, DefinitionError):
        return False
    return not is_a(error, Failure) or bool(getattr(error, "allow_retries", True))


def _ask(error: BaseException) -> RetryAsk | None:
    if is_a(error, RetryRequested):
        assert isinstance(error, RetryRequested)
        return RetryAsk(error.max_retries, error.seconds_to_wait)
    return None
