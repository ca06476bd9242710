"""Running a pipeline inside the calling process: what tests and notebooks do. No files, no state, no other process.

This is a third owner of a run beside the daemon and the foreground command. It uses the same plan, the same engine
and the same code to perform a step; its journal is a list.
"""

from __future__ import annotations

import logging
import os
import random
import socket
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from html import escape
from typing import Any, ParamSpec, Protocol, overload

from orchestrator import clock
from orchestrator.attempts.package import RunPackage
from orchestrator.definitions.broken import decorate
from orchestrator.definitions.hooks import HookDefinition
from orchestrator.definitions.pipeline import DEFAULT_IO_MANAGER, Mode, P, PipelineDefinition, Preset
from orchestrator.definitions.source_location import definition_error, shows_options, where_called
from orchestrator.definitions.step import check_tags
from orchestrator.engine.actions import Finish, Launch, Record
from orchestrator.engine.next_action import next_action, next_instant
from orchestrator.engine.progress import RunProgress
from orchestrator.engine.reuse import unselected_steps
from orchestrator.engine.step_graph import RunStep
from orchestrator.errors import ConfigError, NotFound, NotPossible, near_misses
from orchestrator.ids import new_run_id
from orchestrator.io_managers.memory import forget_run, memory_io_manager
from orchestrator.model.attempt import SourceRef
from orchestrator.model.error_info import ErrorInfo
from orchestrator.model.events import AttemptLaunched, Event, Owner, RunFinished, RunStarted, StepFailed, kind_of
from orchestrator.model.states import RunState, StepState
from orchestrator.planning.compile import IN_PROCESS, ReplacedMode, plan_run
from orchestrator.planning.plan import PlanRequest
from orchestrator.worker.bound_run import BoundRun
from orchestrator.worker.errors import is_a
from orchestrator.worker.interrupts import Interruption
from orchestrator.worker.perform import perform
from orchestrator.worker.recorder import Recorder
from orchestrator.worker.values import stored_value


@dataclass(frozen=True)
class InProcessResult:
    """A finished run: whether it succeeded, what it produced, and everything that happened. `events` has the records of
    `orchestrator runs events`, in order, from RunStarted to RunFinished."""

    run_id: str
    success: bool
    events: tuple[Event, ...]
    _progress: RunProgress
    _load: Callable[[SourceRef], Any]

    def __repr__(self) -> str:
        steps = self._progress.network.in_order()
        failed = {step.key: step.error.headline() for step in steps if step.state is StepState.FAILURE and step.error}
        failures = f", failures={failed}" if failed else ""
        return f"InProcessResult(run_id={self.run_id!r}, success={self.success}{failures})"

    def _repr_html_(self) -> str:
        """The steps as a table, with what went wrong: what a notebook shows."""
        rows = "".join(
            f"<tr><td>{escape(step.key)}</td><td>{step.state}</td>"
            f"<td>{escape(step.error.headline()) if step.error else ''}</td></tr>"
            for step in self._progress.network.in_order()
        )
        verdict = "SUCCESS" if self.success else "FAILURE"
        return f"<p><b>{verdict}</b> run {self.run_id}</p><table>{rows}</table>"

    def output(self, step: str, name: str = "result") -> Any:
        """The value of a step's output; for a step mapped over a dynamic output, a dictionary from key to value.

        A dynamic output itself is such a dictionary too; what is mapped twice is a dictionary of dictionaries. Keys
        without a value because a branch was not taken are left out. Raises NotPossible when the step did not produce
        the output.
        """
        steps = self._progress.network.steps
        if step in steps:
            return self._value(steps[step], name)
        mapped = [run_step for run_step in self._progress.network.in_order() if run_step.planned.node == step]
        if not mapped:
            raise NotFound.named("step", step, steps)
        values: dict[str, Any] = {}
        for run_step in mapped:
            if name in run_step.outputs or run_step.state not in _WITHOUT_FAULT:
                _put(values, run_step.keys, self._value(run_step, name))
            elif run_step.never is not None:
                _put(values, run_step.keys, {})
        return values

    def failure(self, step: str) -> ErrorInfo | None:
        """Why a step failed; None when it did not."""
        found = self._step(step)
        return found.error if found.state is StepState.FAILURE else None

    def state(self, step: str) -> StepState:
        """How a step ended."""
        return self._step(step).state

    def events_of(self, step: str) -> list[str]:
        """The kinds of the events of one step, in order."""
        key = self._step(step).key
        return [kind_of(event) for event in self.events if getattr(event, "step", None) == key]

    def _step(self, key: str) -> RunStep:
        steps = self._progress.network.steps
        if key not in steps:
            raise NotFound.named("step", key, steps)
        return steps[key]

    def _value(self, step: RunStep, name: str) -> Any:
        declared = {output.name: output for output in step.planned.outputs}
        if name not in declared:
            raise NotFound(
                f"Step {step.key!r} has no output {name!r}.", hint=near_misses(name, list(declared), "output")
            )
        if name not in step.outputs:
            what = f"Step {step.key!r} ({step.state}) has not produced its output {name!r}."
            raise NotPossible(what, details=self._causes(step))
        if not declared[name].io_manager:
            return None
        keys = step.outputs[name]
        if keys is None:
            return self._load(SourceRef(step.key, name, step.run_id))
        return {key: self._load(SourceRef(step.key, name, step.run_id, key)) for key in keys}

    def _causes(self, step: RunStep) -> Iterator[str]:
        while step.failed_upstream is not None:
            step = self._progress.network.steps[step.failed_upstream]
        if step.error is not None:
            yield f"{step.key}: {step.error.headline()}"


# Of a mapped step in one of these states, a key without a value is a branch not taken.
_WITHOUT_FAULT = frozenset({StepState.SUCCESS, StepState.SKIPPED, StepState.REUSED})


def _put(values: dict[str, Any], keys: tuple[str, ...], value: Any) -> None:
    for key in keys[:-1]:
        values = values.setdefault(key, {})
    if keys:
        values[keys[-1]] = value


class Pipeline(PipelineDefinition[P]):
    """A pipeline that can also run itself."""

    def execute_in_process(
        self,
        *,
        mode: str | None = None,
        preset: str | None = None,
        config: Mapping[str, Any] | None = None,
        resources: Mapping[str, Any] | None = None,
        select: tuple[str, ...] | list[str] | str = (),
        tags: Mapping[str, str] | None = None,
        raise_on_error: bool = False,
    ) -> InProcessResult:
        """Runs the pipeline in this process, one step after another, and returns once it has ended.

        Values stay in memory unless the mode binds `io_manager`. `resources` replaces resources of the mode by
        others, or by plain objects used in their place. With `raise_on_error`, the first exception of a step that
        finally failed is raised; else look at the result. Timeouts of steps do not count here.
        """
        if config is not None and not isinstance(config, Mapping):
            raise ConfigError(f"config={config!r} is not a dictionary.", hint='Write config={"steps": {...}}.')
        replaced = self._replaced(self.mode(mode or (self.preset(preset).mode if preset else None)), resources or {})
        request = PlanRequest(
            pipeline=self.name,
            mode=mode,
            preset=preset,
            config=dict(config or {}),
            tags=check_tags(tags, str(self), where_called()),
            selection=(select,) if isinstance(select, str) else tuple(select),
            executor=IN_PROCESS,
            stored=False,
        )
        planned = plan_run(self, request, os.environ, replaced=replaced)
        run = RunPackage(
            run_id=new_run_id(), pipeline=self.name, mode=planned.mode, tags=planned.tags, config=planned.config
        )
        owner = _InProcessOwner(BoundRun(run, planned.plan, self, os.environ, replaced.mode))
        owner.drive()
        if raise_on_error and owner.first_error is not None:
            raise owner.first_error
        return owner.result()

    def _replaced(self, mode: Mode, resources: Mapping[str, Any]) -> ReplacedMode:
        memory = {} if DEFAULT_IO_MANAGER in mode.resources else {DEFAULT_IO_MANAGER: memory_io_manager}
        replaced = replace(mode, resources={**memory, **mode.resources, **resources}, where=where_called())
        self._check_replaced(mode, replaced, resources)
        self.check_mode(replaced)
        definitions = replaced.resources
        return ReplacedMode(
            replaced, frozenset(name for name in (*memory, *resources) if not definitions[name].takes_config)
        )

    def _check_replaced(self, mode: Mode, replaced: Mode, resources: Mapping[str, Any]) -> None:
        """Refuses a replacement for something that is not there: the real thing would be used."""
        known = {DEFAULT_IO_MANAGER, *mode.resources}
        known |= {needed for name in resources for needed in replaced.resources[name].resources}
        for name in resources:
            if name not in known:
                problem = f"mode {mode.name!r} has no resource {name!r} that could be replaced."
                raise definition_error(str(self), replaced.where, problem, near_misses(name, sorted(known), "resource"))


class _InProcessOwner:
    """Drives one run to its end."""

    def __init__(self, bound: BoundRun) -> None:
        self._bound = bound
        self._run_id = bound.run.run_id
        self._progress = RunProgress(bound.plan, self._run_id)
        self._events: list[Event] = []
        self._errors: dict[str, BaseException] = {}  # of the last attempt that failed, by step

    @property
    def first_error(self) -> BaseException | None:
        """What finally failed the first step that did."""
        failed = (event.step for event in self._events if isinstance(event, StepFailed))
        return next((self._errors[step] for step in failed if step in self._errors), None)

    def drive(self) -> None:
        owner = Owner("foreground", os.getpid(), socket.gethostname())
        self._take(RunStarted(at=clock.now(), owner=owner))
        try:
            if not all(step.selected for step in self._bound.plan.steps):
                for event in unselected_steps(self._bound.plan, now=clock.now()):
                    self._take(event)
            while not self._progress.is_finished:
                self._step()
        except BaseException:
            forget_run(self._run_id)
            raise

    def result(self) -> InProcessResult:
        result = InProcessResult(
            run_id=self._run_id,
            success=self._progress.status is RunState.SUCCESS,
            events=tuple(self._events),
            _progress=self._progress,
            _load=self._load,
        )
        weakref.finalize(result, forget_run, self._run_id)
        return result

    def _step(self) -> None:
        action = next_action(self._progress, now=clock.now(), room=1, random=random.random)
        if action is None:
            due = next_instant(self._progress)
            assert due is not None, "a run that waits for nothing"
            time.sleep(max(0.0, (due - clock.now()).total_seconds()))
        elif isinstance(action, Record):
            self._take(action.event)
        elif isinstance(action, Launch):
            self._perform(action)
        elif isinstance(action, Finish):
            self._take(RunFinished(at=clock.now(), status=action.status, reason=action.reason))

    def _perform(self, action: Launch) -> None:
        spec = action.spec
        self._take(AttemptLaunched(at=clock.now(), step=spec.step, attempt=spec.attempt, executor=IN_PROCESS))
        # Loggers work as the caller has set them up: what a step logs reaches their handlers, and pytest's.
        record = Recorder(
            spec.step,
            spec.attempt,
            lambda _line, event: self._take(event),
            Interruption(),
            parent=logging.getLogger("orchestrator"),
        )
        error = perform(self._bound, spec, record, Interruption())
        if error is not None and is_a(error, KeyboardInterrupt):
            raise error  # Ctrl-C in a test or notebook is meant for it, not for the step
        if error is not None:
            self._errors[spec.step] = error

    def _take(self, event: Event) -> None:
        self._events.append(event)
        self._progress.apply(event)

    def _load(self, reference: SourceRef) -> Any:
        record = Recorder(reference.step, 0, lambda _line, _event: None, Interruption())
        return stored_value(self._bound, reference, record)


Q = ParamSpec("Q")


class PipelineDecorator(Protocol):
    """What `pipeline(...)` with options gives: it makes a function a pipeline."""

    def __call__(self, function: Callable[Q, Any], /) -> Pipeline[Q]: ...


@overload
def pipeline(function: Callable[Q, Any], /) -> Pipeline[Q]: ...


@overload
def pipeline(
    *,
    name: str | None = ...,
    modes: Iterable[Mode] = ...,
    presets: Iterable[Preset] = ...,
    hooks: Iterable[HookDefinition] = ...,
    tags: Mapping[str, object] | None = ...,
    description: str | None = ...,
) -> PipelineDecorator: ...


@shows_options(PipelineDefinition.__init__)
def pipeline(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Makes a function a pipeline: its body wires steps together by calling them.

    The function runs once, when the module is imported. Its parameters are inputs of the pipeline: read from the
    configuration of the run, or given by the pipeline that this one is part of.
    """
    return decorate("pipeline", "@pipeline", function, options, Pipeline)
