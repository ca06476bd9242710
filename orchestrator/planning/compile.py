"""Making the plan of a run from a pipeline and what the caller asked for. Runs no step, and knows no earlier run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.definitions.graph import Node
from orchestrator.definitions.handles import CollectedHandle, Handle, PipelineInput
from orchestrator.definitions.outputs import DynamicOut, NothingOut
from orchestrator.definitions.pipeline import Mode, PipelineDefinition, Preset, sources_of
from orchestrator.definitions.resource import IOManagerDefinition
from orchestrator.errors import HOW_TO_SET, ConfigError
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
from orchestrator.planning.select import select
from orchestrator.planning.versions import step_versions
from orchestrator.records import PRIORITY_TAG

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
    config = merged(preset.config if preset else {}, request.config)
    if replaced is not None:
        mode, config = replaced.mode, without_resources(config, replaced.stand_ins)
    selection = request.selection or tuple(preset.select if preset else ())
    executor = request.executor or mode.executor or request.default_executor
    shape = _Shape(pipeline, mode, _selected(pipeline, selection))
    problems = config_problems(
        pipeline, mode, config, environment, nodes=shape.run_nodes(), resources=shape.needed_resources()
    )
    if problems and request.check:
        template = f"`orchestrator pipeline config {pipeline.name}` prints a template with every field."
        raise ConfigError(
            f"The configuration of pipeline {pipeline.name!r} (mode {mode.name!r}) is not valid:",
            details=[str(problem) for problem in problems],
            hint=HOW_TO_SET if all(problem.unset for problem in problems) else template,
        )
    _check_outside_inputs(shape, request)
    if request.check:
        _check_in_process_only(shape, executor)
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
        storage_dir=request.storage_dir,
    )
    tags = {**pipeline.tags, **(preset.tags if preset else {}), **request.tags}
    return PlannedRun(
        plan=plan,
        mode=mode.name,
        config=config,
        tags={str(name): str(value) for name, value in tags.items()},
        selection=tuple(selection),
        executor=executor,
        description=pipeline.description,
    )


@dataclass(frozen=True)
class ReplacedMode:
    """A mode some of whose resources were replaced. What the configuration says of `stand_ins`, objects that take
    none, was meant for those they stand in for."""

    mode: Mode
    stand_ins: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Shape:
    """A pipeline, the mode it runs in, and which of its nodes run."""

    pipeline: PipelineDefinition
    mode: Mode
    selected: frozenset[str]

    def run_nodes(self) -> list[str]:
        return [key for key in self.pipeline.graph.nodes if key in self.selected]

    def nodes(self) -> list[Node]:
        """The nodes that run and those whose outputs they need, in topological order."""
        graph = self.pipeline.graph.nodes
        kept = set(self.selected)
        for key in self.selected:
            for source in sources_of(graph[key]):
                if not isinstance(source, PipelineInput):
                    kept.add(_origin(source).node.key)
        for key in list(kept):
            # Whatever a step is mapped over must be there too: it tells how often the step runs.
            kept |= {dynamic.rpartition(".")[0] for dynamic in graph[key].scope}
        return [node for key, node in graph.items() if key in kept]

    def needed_resources(self) -> set[str]:
        """The resources that the nodes need which run, their IO managers and hooks included, all the way down."""
        needed: set[str] = set()
        graph = self.pipeline.graph.nodes
        for key in self.selected:
            node = graph[key]
            needed |= set(node.step.resources)
            needed |= {name for hook in node.hooks for name in hook.resources}
            needed |= io_managers_of(node)
        for node in self.nodes():
            needed |= io_managers_of(node)
        bound = resources_of(self.mode)
        frontier = needed
        while frontier:
            frontier = {name for key in frontier if key in bound for name in bound[key].resources} - needed
            needed |= frontier
        return needed


def io_managers_of(node: Node) -> set[str]:
    """The resources that store a node's outputs."""
    outs = node.step.outputs.values()
    return {str(out.io_manager) for out in outs if not isinstance(out, NothingOut)}


def upstream_of(pipeline: PipelineDefinition) -> dict[str, frozenset[str]]:
    """For each node, the nodes it depends on directly."""
    return {
        key: frozenset(_origin(source).node.key for source in sources_of(node) if not isinstance(source, PipelineInput))
        for key, node in pipeline.graph.nodes.items()
    }


def _mode(pipeline: PipelineDefinition, preset: Preset | None, request: PlanRequest) -> Mode:
    if preset and preset.mode and request.mode and preset.mode != request.mode:
        raise ConfigError(
            f"Preset {preset.name!r} runs in mode {preset.mode!r}, and mode {request.mode!r} was asked for.",
            hint="Leave one of the two out.",
        )
    return pipeline.mode(request.mode or (preset.mode if preset else None))


def _selected(pipeline: PipelineDefinition, selection: tuple[str, ...]) -> frozenset[str]:
    if not selection:
        return frozenset(pipeline.graph.nodes)
    return select(selection, upstream_of(pipeline))


def _origin(source: Handle | CollectedHandle) -> Handle:
    return source.element if isinstance(source, CollectedHandle) else source


@dataclass(frozen=True)
class _Given:
    """What the configuration of the run says that concerns one step: as a whole, and the step's own entry."""

    config: Mapping[str, object]
    entry: Mapping[str, Any]

    def has_input(self, name: str) -> bool:
        return name in (self.entry.get("inputs") or {})

    def has_pipeline_input(self, name: str) -> bool:
        given = self.config.get("inputs")
        return isinstance(given, Mapping) and name in given


def _planned(shape: _Shape, node: Node, given: _Given, isolation: str, versions: Mapping[str, str]) -> PlannedStep:
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
        version=versions.get(node.key),
        selected=selected,
    )


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
    origin = _origin(handle)
    # The depth is the step's own: the handle of one value of a dynamic output is one level deeper than its step.
    return Source(template_key(origin.node.key, len(origin.node.scope)), origin.output_name)


def _priority(tags: Mapping[str, str]) -> int:
    try:
        return int(tags.get(PRIORITY_TAG, "0"))
    except ValueError:
        return 0  # a tag is free text; one that is no number asks for nothing special


def _check_outside_inputs(shape: _Shape, request: PlanRequest) -> None:
    if request.has_parent:
        return
    graph = shape.pipeline.graph.nodes
    for key in shape.run_nodes():
        for dynamic in graph[key].scope:
            producer = dynamic.rpartition(".")[0]
            if producer not in shape.selected:
                raise ConfigError(
                    f"Step {key!r} is mapped over {dynamic}, and {producer!r} is not selected.",
                    hint=f"Select '*{key}', or continue an earlier run with --rerun RUN.",
                )


def _check_in_process_only(shape: _Shape, executor: str) -> None:
    if executor == IN_PROCESS:
        return
    bound = resources_of(shape.mode)
    for node in shape.nodes():
        for name in sorted(io_managers_of(node)):
            manager = bound.get(name)
            if isinstance(manager, IOManagerDefinition) and manager.in_process_only:
                raise ConfigError(
                    f"Mode {shape.mode.name!r} keeps the outputs of step {node.key!r} in memory ({manager.name}),"
                    f" and the {executor!r} executor runs every step in a process of its own.",
                    hint="Use --executor in_process, or a mode with an IO manager that stores values.",
                )
