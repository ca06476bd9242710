"""The configuration of a run: its shape, merging, and finding everything wrong with it at once. Plans nothing.

    steps:      {top_people: {config: {n: 5}, inputs: {people: ...}}}
    resources:  {warehouse: {config: {...}}}
    inputs:     {name: ...}                                              # parameters of the pipeline's own function
    execution:  {retries: enabled}                                       # or disabled

A step of a nested pipeline is `outer.inner: ...` or `outer: {inner: ...}` or `outer: {steps: {inner: ...}}`. Any
scalar may be `{env: NAME}`. A configuration is stored as it was written, never with a secret filled in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from orchestrator.definitions.config import NOTHING_WRITTEN, ConfigSchema, Path, Problem
from orchestrator.definitions.graph import Wire
from orchestrator.definitions.handles import PipelineInput
from orchestrator.definitions.pipeline import DEFAULT_IO_MANAGER, Mode, PipelineDefinition
from orchestrator.definitions.resource import ResourceDefinition
from orchestrator.definitions.signature import NO_DEFAULT
from orchestrator.definitions.source_location import Where
from orchestrator.definitions.step import StepDefinition
from orchestrator.errors import DefinitionError, near_misses
from orchestrator.io_managers.filesystem import filesystem_io_manager
from orchestrator.typed import opened

_UNWIRED = "required, and missing: no step provides it"
TOP_LEVEL = ("steps", "resources", "inputs", "execution")


def without_resources(config: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The configuration without that of some resources."""
    given = config.get("resources")
    if not isinstance(given, Mapping):
        return dict(config)
    return {**config, "resources": {name: entry for name, entry in given.items() if name not in set(names)}}


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Both configurations in one; where they disagree, `over` wins."""
    result = dict(base)
    for key, value in over.items():
        # A typed mapping (`--set 'steps.x.config={n: 1}'`) is merged like any other.
        before, inside = opened(result.get(key)), opened(value)
        both = isinstance(before, Mapping) and isinstance(inside, Mapping)
        result[key] = merged(before, inside) if both else value
    return result


def resources_of(mode: Mode) -> dict[str, ResourceDefinition]:
    """The resources that a mode binds, with the default IO manager where it binds none."""
    return {DEFAULT_IO_MANAGER: filesystem_io_manager, **mode.resources}


def step_schema(step: StepDefinition) -> ConfigSchema | None:
    """What the step's configuration must look like; None when it takes none."""
    owner = (str(step), step.where)
    return ConfigSchema(step.config_type, step.config_default, owner) if step.takes_config else None


def resource_schema(resource: ResourceDefinition) -> ConfigSchema | None:
    """What the resource's configuration must look like; None when it takes none."""
    owner = (str(resource), resource.where)
    return ConfigSchema(resource.config_type, resource.config_default, owner) if resource.takes_config else None


def step_input_schema(step: StepDefinition, name: str) -> ConfigSchema | None:
    """What a configured value of the step's input must look like; None when nothing is known of it."""
    return _usable(step.hints.get(name), (f"{step}, input {name!r}", step.where))


def pipeline_input_schemas(pipeline: PipelineDefinition, name: str) -> list[ConfigSchema]:
    """What a configured value of the pipeline's input must look like: for its own parameter, or else for each step
    that takes it."""
    given = pipeline.graph.inputs.get(name)
    own = _usable(given.hint, (f"{pipeline}, input {name!r}", pipeline.where)) if given is not None else None
    if own is not None:
        return [own]
    schemas = [
        step_input_schema(node.step, parameter)
        for node in pipeline.graph.nodes.values()
        for parameter, wire in node.inputs.items()
        if not wire.is_list and any(isinstance(h, PipelineInput) and h.name == name for h in wire.handles)
    ]
    return [schema for schema in schemas if schema is not None]


def input_schema(pipeline: PipelineDefinition, node: str, parameter: str) -> ConfigSchema | None:
    """What the configured value of an input of a step must look like, whichever way it is configured."""
    placed = pipeline.graph.nodes[node]
    schema, wire = step_input_schema(placed.step, parameter), placed.inputs.get(parameter)
    if wire is None or not isinstance(wire.handles[0], PipelineInput):
        return schema
    own = pipeline.graph.inputs.get(wire.handles[0].name)
    return schema or (_usable(own.hint, (str(pipeline), pipeline.where)) if own is not None else None)


def _usable(hint: Any, owner: tuple[str, Where]) -> ConfigSchema | None:
    """A schema for an annotation that need not be one of a configuration: tables are annotated too."""
    if hint is None or hint is NO_DEFAULT or hint is Any:
        return None
    schema = ConfigSchema(hint, owner=owner)
    try:
        schema.require()
    except DefinitionError:
        return None
    return schema


class StepEntries(Struct, frozen=True):
    """The `steps` part of a configuration with nested pipelines flattened: one entry a step, and what was wrong."""

    by_node: dict[str, Mapping[str, Any]]
    problems: tuple[Problem, ...]


def step_entries(config: Mapping[str, Any], nodes: Iterable[str]) -> StepEntries:
    """The entry of each configured step, by its place in the pipeline (`outer.inner`)."""
    nodes = tuple(nodes)
    known = frozenset(nodes)
    found: dict[str, Mapping[str, Any]] = {}
    problems: list[Problem] = []

    def visit(entries: Any, prefix: str, path: Path) -> None:
        if not isinstance(entries, Mapping):
            problems.append(Problem(path, "must be a mapping from step to its configuration"))
            return
        for name, entry in entries.items():
            node, here = f"{prefix}{name}", (*path, str(name))
            if node in found:
                problems.append(Problem(here, f"step {node} is configured twice"))
            elif node in known:
                problems.extend(_entry_problems(entry, here, ("config", "inputs")))
                if isinstance(entry, Mapping):
                    found[node] = entry
            elif any(other.startswith(f"{node}.") for other in nodes):
                nested = isinstance(entry, Mapping) and "steps" in entry
                visit(entry["steps"] if nested else entry or {}, f"{node}.", (*here, "steps") if nested else here)
            else:
                problems.append(Problem(here, f"there is no such step. {near_misses(node, nodes, 'step')}"))

    visit(_section(config, "steps"), "", ("steps",))
    return StepEntries(found, tuple(problems))


def config_problems(
    pipeline: PipelineDefinition,
    mode: Mode,
    config: Mapping[str, Any],
    environment: Mapping[str, str],
    *,
    nodes: Iterable[str],
    resources: Iterable[str],
    written: Mapping[Path, str] = NOTHING_WRITTEN,
    stored: bool = True,
) -> list[Problem]:
    """Everything wrong with a configuration for a run of these nodes with these resources.

    The configuration of steps and resources that take no part is not looked at, but must name existing ones.
    `written` is the text of values that were typed. One that is stored may not have secrets in it.
    """
    given = _Given(environment, written, stored)
    problems = [
        Problem((str(key),), f"unknown. A configuration has: {', '.join(TOP_LEVEL)}.")
        for key in config
        if key not in TOP_LEVEL
    ]
    entries = step_entries(config, pipeline.graph.nodes)
    problems += entries.problems
    for node in nodes:
        step = pipeline.graph.nodes[node].step
        entry = entries.by_node.get(node, {})
        path = ("steps", node)
        problems += given.checked(step_schema(step), entry, path)
        problems += _input_problems(pipeline, node, _section(entry, "inputs"), given)
    problems += _resource_problems(mode, _section(config, "resources"), given, set(resources))
    problems += _pipeline_input_problems(pipeline, _section(config, "inputs"), set(nodes), given)
    problems += _execution_problems(_section(config, "execution"))
    return problems


def _section(config: Mapping[str, Any], name: str) -> Any:
    """A part of a configuration; an empty one in YAML is None."""
    found = config.get(name)
    return {} if found is None else found


def retries_enabled(config: Mapping[str, Any]) -> bool:
    """Whether steps of the run may be retried at all."""
    return (config.get("execution") or {}).get("retries", True) not in (False, "disabled")


class _Given(Struct, frozen=True):
    """What values are checked with."""

    environment: Mapping[str, str]
    written: Mapping[Path, str]
    stored: bool

    def checked(self, schema: ConfigSchema | None, entry: Mapping[str, Any], path: Path) -> list[Problem]:
        """The problems of the `config` in an entry."""
        here, raw = (*path, "config"), entry.get("config")
        if schema is None:
            return [Problem(here, "it takes no configuration")] if raw is not None else []
        _, problems = schema.check(raw, self.environment, here, self.written)
        return [*problems, *(schema.literal_secrets(raw, here) if self.stored and not problems else [])]

    def converted(self, schema: ConfigSchema, raw: Any, path: Path) -> list[Problem]:
        """The problems of an input."""
        _, problems = schema.convert(raw, self.environment, path, self.written)
        return [*problems, *(schema.literal_secrets(raw, path) if self.stored and not problems else [])]


def _input_problems(pipeline: PipelineDefinition, node: str, given: Any, check: _Given) -> list[Problem]:
    placed = pipeline.graph.nodes[node]
    here = ("steps", node, "inputs")
    if not isinstance(given, Mapping):
        return [Problem(here, "must be a mapping from input to value")]
    problems = []
    for name, value in given.items():
        schema = step_input_schema(placed.step, name)
        if name not in placed.step.inputs:
            known = placed.step.inputs
            hint = near_misses(str(name), known, "input") if known else "The step takes none."
            problems.append(Problem((*here, str(name)), f"unknown. {hint}"))
        elif name in placed.inputs:
            problems.append(Problem((*here, name), _wired(placed.inputs[name])))
        elif schema is not None:
            problems += check.converted(schema, value, (*here, name))
    for name, parameter in placed.step.inputs.items():
        if name not in placed.inputs and name not in given and not parameter.has_default:
            problems.append(Problem((*here, name), _UNWIRED, incomplete=True, unwired=True))
    return problems


def _wired(wire: Wire) -> str:
    if len(wire.handles) == 1 and isinstance(wire.handles[0], PipelineInput):
        return f"is an input of the pipeline: configure inputs.{wire.handles[0]}"
    sources = ", ".join(map(str, wire.handles)) or "an empty list"
    return f"comes from {sources}, and cannot be configured"


def _resource_problems(mode: Mode, given: Any, check: _Given, needed: set[str]) -> list[Problem]:
    if not isinstance(given, Mapping):
        return [Problem(("resources",), "must be a mapping from resource to its configuration")]
    bound = resources_of(mode)
    problems = []
    for name, entry in given.items():
        path = ("resources", str(name))
        if name not in bound:
            hint = near_misses(str(name), bound, "resource")
            problems.append(Problem(path, f"mode {mode.name!r} has no such resource. {hint}"))
        else:
            problems += _entry_problems(entry, path, ("config",))
    for name in sorted(needed & bound.keys()):
        entry = given.get(name)
        entry = entry if isinstance(entry, Mapping) else {}
        problems += check.checked(resource_schema(bound[name]), entry, ("resources", name))
    return problems


def _pipeline_input_problems(pipeline: PipelineDefinition, given: Any, nodes: set[str], check: _Given) -> list[Problem]:
    if not isinstance(given, Mapping):
        return [Problem(("inputs",), "must be a mapping from input to value")]
    known = pipeline.graph.inputs
    problems = []
    for name in given:
        if name not in known:
            hint = near_misses(str(name), known, "input") if known else "The pipeline takes none."
            problems.append(Problem(("inputs", str(name)), f"unknown. {hint}"))
    wanted = {
        handle.name
        for key in nodes
        for wire in pipeline.graph.nodes[key].inputs.values()
        for handle in wire.handles
        if isinstance(handle, PipelineInput)
    }
    for name in sorted(wanted & given.keys()):
        found = [check.converted(one, given[name], ("inputs", name)) for one in pipeline_input_schemas(pipeline, name)]
        problems += next(filter(None, found), [])
    missing = sorted(name for name in wanted - given.keys() if not _has_default(pipeline, name))
    return problems + [Problem(("inputs", name), "required, and missing", incomplete=True) for name in missing]


def _has_default(pipeline: PipelineDefinition, name: str) -> bool:
    return pipeline.graph.inputs[name].default is not NO_DEFAULT


def _execution_problems(given: Any) -> list[Problem]:
    if not isinstance(given, Mapping):
        return [Problem(("execution",), "must be a mapping")]
    problems = [Problem(("execution", str(key)), "unknown. There is: retries.") for key in given if key != "retries"]
    if given.get("retries", True) not in (True, False, "enabled", "disabled"):
        problems.append(Problem(("execution", "retries"), "must be enabled or disabled"))
    return problems


def _entry_problems(entry: Any, path: Path, allowed: tuple[str, ...]) -> list[Problem]:
    if entry is None:
        return []
    if not isinstance(entry, Mapping):
        return [Problem(path, f"must be a mapping with {' and '.join(allowed)}, got {entry!r}")]
    return [
        Problem((*path, str(key)), f"unknown. Here belongs: {', '.join(allowed)}.")
        for key in entry
        if key not in allowed
    ]
