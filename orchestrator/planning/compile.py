"""Compiles a pipeline and a request into the plan of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from orchestrator.definitions.graph import Node
from orchestrator.definitions.handles import CollectedHandle, Handle, PipelineInput
from orchestrator.definitions.outputs import DynamicOut, NothingOut
from orchestrator.definitions.pipeline import Mode, PipelineDefinition, Preset
from orchestrator.definitions.pod import Pod
from orchestrator.definitions.resource import IOManagerDefinition
from orchestrator.errors import HOW_TO_SET, ConfigError
from orchestrator.model.reach import StoredWithin
from orchestrator.model.run import PRIORITY_TAG
from orchestrator.planning.changes import changed_nodes
from orchestrator.planning.plan import (
    Plan,
    PlannedInput,
    PlannedOutput,
    PlannedRun,
    PlannedStep,
    PlanRequest,
    Source,
    template_key,
)
from orchestrator.planning.run_config import (
    config_problems,
    merged,
    resources_of,
    retries_enabled,
    step_entries,
    without_resources,
)
from orchestrator.planning.shape import Shape, check_selection, io_managers_of, origin_of, selected_in
from orchestrator.planning.typed_config import SettledConfig, settle_config
from orchestrator.planning.versions import step_versions
from orchestrator.typed import escaped, storable, with_texts

IN_PROCESS = "in_process"


def plan_run(
    pipeline: PipelineDefinition,
    request: PlanRequest,
    environment: Mapping[str, str],
    *,
    isolation: str = "fork",
    replaced: ReplacedMode | None = None,
) -> PlannedRun:
    """The plan and the settled decisions of one run. Pure but for what user annotations do when evaluated.

    Raises ConfigError with every problem of the configuration, or DefinitionError for an unknown mode or preset.
    `isolation` is the location's own, for steps that choose none; `replaced` takes the place of the mode that the
    request names.
    """
    preset = pipeline.preset(request.preset) if request.preset else None
    mode = _mode(pipeline, preset, request)
    given = with_texts(request.config, request.typed)
    config = merged(preset.config if preset else _inherited_config(request, mode), given)
    if replaced is not None:
        mode, config = replaced.mode, without_resources(config, replaced.stand_ins)
    settled = settle_config(pipeline, mode, config, environment)
    config = escaped(storable(settled.config)) if request.stored else settled.config
    selection = request.selection or tuple(preset.select if preset else ())
    executor = request.executor or mode.executor or request.default_executor
    shape = Shape(pipeline, mode, selected_in(pipeline, selection))
    if request.check:
        _check_config(shape, settled, environment, stored=request.stored)
    check_selection(shape, continues=request.inherited is not None)
    versions = step_versions(pipeline, mode, config) if request.memoize else {}
    entries = step_entries(config, pipeline.graph.nodes).by_node
    plan = Plan(
        pipeline=pipeline.name,
        mode=mode.name,
        steps=tuple(
            _planned(shape, node, _Given(config, entries.get(node.key, {})), isolation, versions)
            for node in shape.nodes()
        ),
        retries_enabled=retries_enabled(config),
    )
    tags = {**pipeline.tags, **(preset.tags if preset else {}), **request.tags}
    planned = PlannedRun(
        mode=mode.name,
        config=config,
        tags={str(name): str(value) for name, value in tags.items()},
        selection=tuple(selection),
        executor=executor,
        description=pipeline.description,
        stored_within=_stored_within(shape),
        changed=changed_nodes(shape, request.inherited, config) if request.inherited else (),
    )
    return planned.with_plan(plan)


def _inherited_config(request: PlanRequest, mode: Mode) -> Mapping[str, Any]:
    """The configuration of the run that is continued. That of resources is its mode's own: in another mode the same
    names stand for other things, and what was meant for a real database must not reach a test."""
    if request.inherited is None:
        return {}
    config = request.inherited.config
    if mode.name == request.inherited.mode:
        return config
    return {name: section for name, section in config.items() if name != "resources"}


def _check_config(shape: Shape, settled: SettledConfig, environment: Mapping[str, str], *, stored: bool) -> None:
    problems = config_problems(
        shape.pipeline,
        shape.mode,
        settled.config,
        environment,
        nodes=shape.run_nodes(),
        resources=shape.needed_resources(),
        written=settled.written,
        stored=stored,
    )
    if problems:
        hint = f"`orchestrator pipeline config {shape.pipeline.name}` prints a template with every field."
        if all(problem.unset for problem in problems):
            hint = HOW_TO_SET
        elif all(problem.unwired for problem in problems):
            hint = (
                f"Pass it the output of a step in the function of pipeline {shape.pipeline.name!r}"
                f" ({shape.pipeline.where}), or configure it: --set {'.'.join(problems[0].path)}=VALUE."
            )
        raise ConfigError(
            f"The configuration of pipeline {shape.pipeline.name!r} (mode {shape.mode.name!r}) is not valid:",
            details=[str(problem) for problem in problems],
            hint=hint,
        )


class ReplacedMode(Struct, frozen=True):
    """A mode some of whose resources were replaced. What the configuration says of `stand_ins`, objects that take
    none, was meant for those they stand in for."""

    mode: Mode
    stand_ins: frozenset[str] = frozenset()


def _mode(pipeline: PipelineDefinition, preset: Preset | None, request: PlanRequest) -> Mode:
    if preset and preset.mode and request.mode and preset.mode != request.mode:
        raise ConfigError(
            f"Preset {preset.name!r} runs in mode {preset.mode!r}, and mode {request.mode!r} was asked for.",
            hint="Leave one of the two out.",
        )
    return pipeline.mode(request.mode or (preset.mode if preset else None))


class _Given(Struct, frozen=True):
    """What the configuration of the run says that concerns one step: as a whole, and the step's own entry."""

    config: Mapping[str, object]
    entry: Mapping[str, Any]

    def has_input(self, name: str) -> bool:
        return name in (self.entry.get("inputs") or {})

    def has_pipeline_input(self, name: str) -> bool:
        given = self.config.get("inputs")
        return isinstance(given, Mapping) and name in given


def _planned(shape: Shape, node: Node, given: _Given, isolation: str, versions: Mapping[str, str]) -> PlannedStep:
    step = node.step
    selected = node.key in shape.selected
    return PlannedStep(
        key=template_key(node.key, len(node.scope)),
        node=node.key,
        inputs=tuple(_input(node, name, given) for name in step.inputs) if selected else (),
        outputs=tuple(
            PlannedOutput(
                name,
                io_manager="" if isinstance(out, NothingOut) else str(out.io_manager),
                optional=out.optional,
                dynamic=isinstance(out, DynamicOut),
            )
            for name, out in step.outputs.items()
        ),
        after=tuple((_source(h), isinstance(h, CollectedHandle)) for h in node.after) if selected else (),
        scope=node.scope,
        tags=node.tags,
        priority=_priority(node.tags),
        retry=step.retry,
        timeout=step.timeout,
        resources=step.resources,
        hooks=tuple(hook.name for hook in node.hooks),
        isolation=step.isolation or isolation,
        executor=step.executor,
        pod=_pod(step.pod or shape.mode.pod),
        version=versions.get(node.key),
        selected=selected,
        keys=tuple(sorted(keys for keys in shape.selected.get(node.key, ()) if keys)),
    )


def _pod(pod: Pod | None) -> dict[str, Any] | None:
    return None if pod is None else pod.planned()


def _input(node: Node, name: str, given: _Given) -> PlannedInput:
    wire = node.inputs.get(name)
    if wire is None:
        return PlannedInput(name, "config" if given.has_input(name) else "default")
    if wire.is_list:
        return PlannedInput(name, "list", tuple(_source(h) for h in wire.handles if not isinstance(h, PipelineInput)))
    (handle,) = wire.handles
    if isinstance(handle, PipelineInput):
        return PlannedInput(name, "config" if given.has_pipeline_input(handle.name) else "default")
    return PlannedInput(name, "collect" if isinstance(handle, CollectedHandle) else "one", (_source(handle),))


def _source(handle: Handle | CollectedHandle) -> Source:
    origin = origin_of(handle)
    # The depth is the step's own: the handle of one value of a dynamic output is one level deeper than its step.
    return Source(template_key(origin.node.key, len(origin.node.scope)), origin.output_name)


def _priority(tags: Mapping[str, str]) -> int:
    try:
        return int(tags.get(PRIORITY_TAG, "0"))
    except ValueError:
        return 0  # a tag is free text; one that is no number asks for nothing special


def _stored_within(shape: Shape) -> tuple[StoredWithin, ...]:
    """The IO managers of the selected steps that do not reach every machine, each with the first step it serves."""
    bound = resources_of(shape.mode)
    found: dict[str, StoredWithin] = {}
    for node in shape.nodes():
        for name in sorted(io_managers_of(node)):
            manager = bound.get(name)
            if isinstance(manager, IOManagerDefinition) and manager.reach != "anywhere":
                found.setdefault(name, StoredWithin(node.key, manager.name, manager.reach, manager.in_storage))
    return tuple(found.values())
