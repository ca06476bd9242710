"""Values on their way into and out of a step: loading inputs, checking types, storing outputs. Where a value is kept is
known to its IO manager only.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from orchestrator import clock
from orchestrator.attempts.files import is_run_active
from orchestrator.crashpoints import crash_point
from orchestrator.definitions.contexts import InputContext, OutputContext, ResourceContext, Resources
from orchestrator.definitions.graph import Node
from orchestrator.definitions.outputs import DynamicOut, NothingOut, Out
from orchestrator.definitions.signature import NO_DEFAULT
from orchestrator.definitions.type_checks import plain_scalar, type_name, type_problem, with_article
from orchestrator.definitions.values import (
    DEFAULT_OUTPUT,
    AssetMaterialization,
    DynamicOutput,
    Expectation,
    Output,
    plain_metadata,
)
from orchestrator.errors import DefinitionError, near_misses
from orchestrator.io_managers.frames import as_annotated
from orchestrator.model.attempt import AttemptSpec, SourceRef
from orchestrator.model.events import InputLoaded, OutputProduced, OutputStored
from orchestrator.planning.plan import PlannedInput, PlannedOutput, PlannedStep
from orchestrator.worker.bound_run import BoundRun
from orchestrator.worker.copies import copied_default
from orchestrator.worker.interrupts import Interruption
from orchestrator.worker.recorder import Recorder
from orchestrator.worker.resources import ResourceScope
from orchestrator.worker.returned import is_several, members_by_name


class TypeCheckFailed(Exception):
    """A value does not have the type that the step declares for it."""


class Values:
    """The inputs and outputs of one attempt."""

    def __init__(
        self,
        bound: BoundRun,
        planned: PlannedStep,
        spec: AttemptSpec,
        scope: ResourceScope,
        record: Recorder,
        confirm: Callable[[], None],
    ) -> None:
        self._bound = bound
        self._planned = planned
        self._node: Node = bound.node(planned)
        self._spec = spec
        self._scope = scope
        self._record = record
        self._confirm = confirm
        self._log = record.logger()
        self.produced: dict[str, tuple[str, ...] | None] = {}
        self._keys: dict[str, dict[str, None]] = {}  # of dynamic outputs: a set that keeps its order

    # --- in ---

    def inputs(self) -> dict[str, Any]:
        """The arguments of the step's function, loaded and checked."""
        loaded = {}
        for planned in self._planned.inputs:
            if planned.form == "default":
                default = self._default(planned.name)
                if default is not NO_DEFAULT:
                    loaded[planned.name] = default
                continue
            started = clock.monotonic()
            value, secret = self._input(planned)
            self._check_input(planned, value, clock.monotonic() - started, secret)
            loaded[planned.name] = value
        return loaded

    def _default(self, name: str) -> Any:
        wire = self._node.inputs.get(name)
        declared = self._node.step.inputs[name] if wire is None else wire.handles[0]
        return copied_default(declared.default)  # type: ignore[union-attr]

    def _input(self, planned: PlannedInput) -> tuple[Any, bool]:
        """The value, and whether there is something secret in it."""
        if planned.form == "config":
            configured = self._bound.configured_input(self._node, planned.name)
            return configured.value, bool(configured.secrets)
        references = self._spec.inputs.get(planned.name, ())
        if planned.form == "one":
            return self._load(planned.name, references[0]), False
        return [self._load(planned.name, reference) for reference in references], False

    def _load(self, name: str, reference: SourceRef) -> Any:
        origin = self._bound.plan.origin_of(reference.step)
        key = str(self._bound.out(origin, reference.output).io_manager)
        manager, resources = self._scope.io_manager(key)
        context = InputContext(
            upstream_output=output_context(self._bound, reference, resources, self._log),
            name=name,
            step=self._spec.step,
            run_id=self._spec.run_id,
            pipeline=self._bound.pipeline.name,
            type=self._node.step.hints.get(name),
            config=self._bound.resource_config(key),
            resources=resources,
            log=self._log,
        )
        with _explained(f"while loading input {name!r} of step {self._spec.step!r} with io_manager {key!r}"):
            return plain_scalar(as_annotated(manager.load_input(context), context.type), context.type)

    def _check_input(self, planned: PlannedInput, value: Any, seconds: float, secret: bool) -> None:
        problem = type_problem(value, self._node.step.hints.get(planned.name, NO_DEFAULT), secret=secret)
        managers = {self._manager_of(reference) for reference in self._spec.inputs.get(planned.name, ())}
        self._record(
            InputLoaded,
            input=planned.name,
            manager=", ".join(sorted(managers)),
            seconds=round(seconds, 6),
            problem=problem,
        )
        if problem:
            raise TypeCheckFailed(f"input {planned.name!r} of step {self._spec.step!r}: {problem}")

    def _manager_of(self, reference: SourceRef) -> str:
        return self._bound.plan.origin_of(reference.step).output(reference.output).io_manager

    # --- out ---

    def take_result(self, result: Any) -> None:
        """Takes what the step's function returned; of a generator, everything it yields, as it yields it."""
        if inspect.isgenerator(result) or is_several(result):
            for item in result:
                self._take_item(item)
        elif isinstance(result, (Output, DynamicOutput, AssetMaterialization, Expectation)):
            self._take_item(result)
        elif not self._is_no_output(result):
            several = len(self._node.step.outputs) > 1
            self._take_members(result) if several else self._take_value(result)
        self._check_complete(generator=inspect.isgenerator(result))

    def _is_no_output(self, result: Any) -> bool:
        """Whether it says that none of several outputs was produced, or that a dynamic one has no values."""
        outputs = self._node.step.outputs
        is_empty = isinstance(result, (list, tuple)) and not result
        if len(outputs) > 1:
            return result is None or is_empty
        (name, out) = next(iter(outputs.items()))
        if is_empty and isinstance(out, DynamicOut):
            self._keys[name] = {}
            return True
        return False

    def _take_item(self, item: Any) -> None:
        if isinstance(item, (AssetMaterialization, Expectation)):
            self._record.record(item)
        elif isinstance(item, Output):
            self._take_output(item)
        elif isinstance(item, DynamicOutput):
            self._take_dynamic(item)
        else:
            raise self._wrong(
                f"yielded {with_article(type_name(type(item)))}",
                "Yield Output(value), DynamicOutput(value, key=...), AssetMaterialization(...) or Expectation(...).",
            )

    def _take_value(self, value: Any) -> None:
        (name, out) = next(iter(self._node.step.outputs.items()))
        if isinstance(out, DynamicOut):
            raise self._wrong(
                f"returned {'None' if value is None else with_article(type_name(type(value)))} for its dynamic output",
                "Yield DynamicOutput(value, key=...) for each value, or return a list of them.",
            )
        if isinstance(out, NothingOut):
            if value is not None:
                problem = type_problem(value, None)
                self._record(OutputProduced, output=name, problem=problem)
                raise TypeCheckFailed(f"output {name!r} of step {self._spec.step!r}: {problem}")
            self.produced[name] = None
            return
        self._take_output(Output(value, name))

    def _take_members(self, result: Any) -> None:
        """Takes the members of a tuple as the outputs, in the order in which the step declares them."""
        outputs = self._node.step.outputs
        try:
            members = members_by_name(result, outputs)
        except ValueError as error:
            hint = f'Return a tuple ({", ".join(outputs)}), or yield Output(value, "name") for each output.'
            raise self._wrong(str(error), hint) from None
        for name, value in members.items():
            self._take_member(name, outputs[name], value)

    def _take_member(self, name: str, out: Out, value: Any) -> None:
        if isinstance(out, DynamicOut):
            if not isinstance(value, (list, tuple)) or not all(isinstance(item, DynamicOutput) for item in value):
                raise self._wrong(
                    f"returned {with_article(type_name(type(value)))} for its dynamic output {name!r}",
                    "Return a list of DynamicOutput(value, key=...) in that place.",
                )
            self._keys[name] = {}
            for item in value:
                self._take_dynamic(replace(item, name=name) if item.name == DEFAULT_OUTPUT else item)
        elif value is None and out.optional:
            raise self._wrong(
                f"returned None in the place of its optional output {name!r}",
                f'To leave it out, yield the others. To give None as its value, yield Output(None, "{name}").',
            )
        else:
            self._take_output(Output(value, name))

    def _take_output(self, item: Output) -> None:
        out = self._declared(item.name)
        if isinstance(out, DynamicOut):
            raise self._wrong(f"yielded Output for its dynamic output {item.name!r}", "Yield DynamicOutput instead.")
        if item.name in self.produced:
            raise self._wrong(f"yielded its output {item.name!r} twice")
        if not isinstance(out, NothingOut):
            metadata = plain_metadata(item.metadata, f"output {item.name!r} of step {self._spec.step!r}")
            self._store(item.name, out, item.value, None, metadata)
        self.produced[item.name] = None

    def _take_dynamic(self, item: DynamicOutput) -> None:
        out = self._declared(item.name)
        if not isinstance(out, DynamicOut):
            raise self._wrong(f"yielded DynamicOutput for its output {item.name!r}", "Declare it as DynamicOut.")
        keys = self._keys.setdefault(item.name, {})
        if item.key in keys:
            raise self._wrong(f"yielded the key {item.key!r} of its output {item.name!r} multiple times")
        self._store(item.name, out, item.value, item.key, {})
        keys[item.key] = None

    def _store(self, name: str, out: Out, value: Any, mapping_key: str | None, metadata: dict[str, Any]) -> None:
        declared = self._node.step.output_type(name)
        value = plain_scalar(value, declared)
        problem = type_problem(value, declared)
        self._record(OutputProduced, output=name, mapping_key=mapping_key, problem=problem, metadata=metadata)
        if problem:
            hint = " (to leave an optional output out, do not yield it)" if value is None and out.optional else ""
            raise TypeCheckFailed(f"output {name!r} of step {self._spec.step!r}: {problem}{hint}")
        key = str(out.io_manager)
        manager, resources = self._scope.io_manager(key)
        reference = SourceRef(self._spec.step, name, self._spec.run_id, mapping_key)
        context = output_context(self._bound, reference, resources, self._log, self._spec.attempt)
        self._confirm()
        started = clock.monotonic()
        with _explained(f"while storing output {name!r} of step {self._spec.step!r} with io_manager {key!r}"):
            self._record_materializations(key, manager.handle_output(context, value), metadata)
        crash_point("step.stored")
        seconds = round(clock.monotonic() - started, 6)
        self._record(OutputStored, output=name, manager=key, mapping_key=mapping_key, seconds=seconds)

    def _record_materializations(self, key: str, returned: Any, metadata: dict[str, Any]) -> None:
        """Records the assets that an IO manager returned, with what the step said about the output; of several assets
        it is not known which one it is about."""
        if returned is None:
            return
        if isinstance(returned, AssetMaterialization):
            # What the manager knows counts more: a "path" of the step's own must not hide where the value is.
            returned = replace(returned, metadata={**metadata, **returned.metadata})
        several = isinstance(returned, Iterable) and not isinstance(returned, (str, bytes, Mapping))
        for item in returned if several else [returned]:
            if not isinstance(item, AssetMaterialization):
                raise DefinitionError(
                    f"The IO manager {key!r} returned {item!r} from handle_output.",
                    hint="It may return nothing, an AssetMaterialization or several.",
                )
            self._record.record(item)

    def _declared(self, name: str) -> Out:
        outputs = self._node.step.outputs
        if name not in outputs:
            raise self._wrong(f"yielded an output {name!r} that it does not declare", near_misses(name, outputs))
        return outputs[name]

    def _check_complete(self, generator: bool) -> None:
        for name, out in self._node.step.outputs.items():
            if isinstance(out, DynamicOut):
                keys = self._keys.get(name)
                if keys is not None or not out.optional:
                    self.produced[name] = tuple(keys or ())
            elif isinstance(out, NothingOut):
                self.produced[name] = None
            elif name not in self.produced and not out.optional:
                raise self._wrong(
                    f"did not produce its output {name!r}, which is not optional",
                    "Yield it on every path, or declare it with optional=True."
                    if generator
                    else f'Yield or return Output(value, "{name}"), or declare it with optional=True.',
                )

    def _wrong(self, problem: str, hint: str | None = None) -> DefinitionError:
        return DefinitionError(f"Step {self._spec.step!r} {problem}.", hint=hint)


def output_context(
    bound: BoundRun,
    reference: SourceRef,
    resources: Resources,
    log: logging.Logger,
    attempt: int = 1,
) -> OutputContext:
    """The context that names one stored value to its IO manager."""
    origin = bound.plan.origin_of(reference.step)
    out = bound.out(origin, reference.output)
    declared = bound.node(origin).step.output_type(reference.output)
    return OutputContext(
        step=reference.step,
        name=reference.output,
        run_id=reference.run_id,
        pipeline=bound.pipeline.name,
        mapping_key=reference.mapping_key,
        metadata=dict(out.metadata),
        type=None if declared is NO_DEFAULT else declared,
        version=origin.version,
        config=bound.resource_config(str(out.io_manager)),
        resources=resources,
        attempt=attempt,
        partition=reference.step.rpartition("[")[2].rstrip("]") if "[" in reference.step else None,
        storage_dir=bound.run.storage or None,
        log=log,
        is_active=partial(is_run_active, bound.run.storage),
    )


def stored_value(bound: BoundRun, reference: SourceRef, record: Recorder) -> Any:
    """Loads one stored value outside of a step."""
    origin = bound.plan.origin_of(reference.step)
    key = str(bound.out(origin, reference.output).io_manager)
    scope = bound.scope()
    try:
        scope.provide([key], record, ResourceContext(run_id=bound.run.run_id, pipeline=bound.pipeline.name))
        manager, resources = scope.io_manager(key)
        upstream = output_context(bound, reference, resources, record.logger())
        context = InputContext(
            upstream_output=upstream,
            run_id=bound.run.run_id,
            pipeline=bound.pipeline.name,
            config=bound.resource_config(key),
            resources=resources,
            log=record.logger(),
        )
        return manager.load_input(context)
    finally:
        scope.tear_down(record)


def memoized_steps(bound: BoundRun) -> list[str]:
    """The selected steps that have a version and whose outputs are all stored in that version."""
    record = Recorder("", 0, lambda _line, _event: None, Interruption())
    return [
        planned.key
        for planned in bound.plan.selected()
        if planned.version is not None
        and all(_is_stored(bound, planned, output, record) for output in planned.outputs if output.io_manager)
    ]


def _is_stored(bound: BoundRun, planned: PlannedStep, output: PlannedOutput, record: Recorder) -> bool:
    scope = bound.scope()
    try:
        context = ResourceContext(run_id=bound.run.run_id, pipeline=bound.pipeline.name)
        scope.provide([output.io_manager], record, context)
        manager, resources = scope.io_manager(output.io_manager)
        reference = SourceRef(planned.key, output.name, bound.run.run_id)
        return bool(manager.has_output(output_context(bound, reference, resources, record.logger())))
    finally:
        scope.tear_down(record)


@contextmanager
def _explained(note: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        with suppress(Exception):  # a note is a courtesy, and an exception may refuse it
            error.add_note(f"({note})")
        raise
