"""Imports a location's module and finds what it defines."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from msgspec import Struct, field

from orchestrator import clock
from orchestrator.definitions import type_checks
from orchestrator.definitions.automations import AutomationDefinition, ScheduleDefinition
from orchestrator.definitions.broken import BrokenDefinition, setting_aside
from orchestrator.definitions.pipeline import Mode, PipelineDefinition
from orchestrator.definitions.resource import IOManagerDefinition
from orchestrator.definitions.signature import NO_DEFAULT
from orchestrator.definitions.source_location import definition_error
from orchestrator.errors import DefinitionError, NotFound
from orchestrator.masking import Masker
from orchestrator.model.automation import ScheduleInfo, SensorInfo
from orchestrator.model.location import BrokenInfo, LocationInfo, PipelineInfo
from orchestrator.planning.run_config import config_problems, resource_schema, resources_of, step_schema
from orchestrator.worker.source_files import source_files
from orchestrator.worker.stale_bytecode import forget_young


class Target(Struct, frozen=True, dict=True):
    """What a location is: a module by name or a file, and the directory it is imported from. `secrets` are those of its
    variables that the workspace file takes from the environment."""

    name: str
    working_dir: str
    module: str | None = None
    file: str | None = None
    isolation: str = "fork"
    secrets: Sequence[str] = ()

    @cached_property
    def masker(self) -> Masker:
        """Hides what the workspace file has given the location from the environment, whatever the user's code says.
        Made before any user code runs, which may change the environment."""
        return Masker(os.environ[name] for name in self.secrets if name in os.environ)


class Definitions(Struct, frozen=True):
    """What a location's module defines, by name."""

    pipelines: Mapping[str, PipelineDefinition] = field(default_factory=dict)
    automations: Mapping[str, AutomationDefinition] = field(default_factory=dict)
    broken: Sequence[BrokenDefinition] = ()

    def pipeline(self, name: str) -> PipelineDefinition:
        """The pipeline of that name. Raises NotFound, saying which are near, or what is wrong with it."""
        for one in self.broken:
            if one.kind == "pipeline" and one.name == name:
                raise one.error
        if name not in self.pipelines:
            raise NotFound.named("pipeline", name, self.pipelines)
        return self.pipelines[name]

    def info(self, mask: Callable[[str], str] = str) -> LocationInfo:
        """What the location declares, for those who must not import it. `mask` hides secrets in what is said of broken
        definitions."""
        declared = [definition.info for definition in self.automations.values()]
        return LocationInfo(
            tuple(_pipeline_info(pipeline) for pipeline in self.pipelines.values()),
            tuple(info for info in declared if isinstance(info, ScheduleInfo)),
            tuple(info for info in declared if isinstance(info, SensorInfo)),
            tuple(BrokenInfo(one.kind, one.name, mask(one.error.message), one.error.hint) for one in self.broken),
        )


def load(target: Target) -> Definitions:
    """Imports the module and collects its definitions: they are module attributes, nothing has to be registered.

    Whatever user code raises while it is imported comes out as it is. A definition that cannot be right is set aside;
    when there is none that can, its error is raised.
    """
    _ = target.masker
    with setting_aside():
        module = _import(target)
    broken_ones: dict[int, BrokenDefinition] = {
        id(value): value for value in vars(module).values() if isinstance(value, BrokenDefinition)
    }
    pipelines = _right(_collect(module, PipelineDefinition, "pipeline"), check_presets, broken_ones, "pipeline")
    broken_pipelines = {one.name for one in broken_ones.values() if one.kind == "pipeline"}
    automations = _right(
        _collect(module, AutomationDefinition, "schedule or sensor"),
        lambda one: one.check(pipelines, broken_pipelines),
        broken_ones,
    )
    if broken_ones and not pipelines and not automations:
        raise next(iter(broken_ones.values())).error
    return Definitions(pipelines, automations, tuple(broken_ones.values()))


D = TypeVar("D", PipelineDefinition, AutomationDefinition)


def _right(
    found: dict[str, D], check: Callable[[D], None], broken_ones: dict[int, BrokenDefinition], kind: str = ""
) -> dict[str, D]:
    """Those that pass the check; the others join the broken ones."""
    right = {}
    for name, definition in found.items():
        try:
            check(definition)
            right[name] = definition
        except DefinitionError as error:
            what = kind or ("schedule" if isinstance(definition, ScheduleDefinition) else "sensor")
            broken_ones[id(definition)] = BrokenDefinition(what, name, definition.where, error)
    return right


def check_presets(pipeline: PipelineDefinition) -> None:
    """Refuses a preset whose configuration can never be valid, whatever is added to it when it is used."""
    for preset in pipeline.presets.values():
        if preset.mode is None and len(pipeline.modes) > 1:
            continue  # valid or not depends on the mode it will be run in
        mode = pipeline.mode(preset.mode)
        problems = config_problems(
            pipeline, mode, preset.config, {}, nodes=pipeline.graph.nodes, resources=resources_of(mode), stored=False
        )
        hopeless = [str(problem) for problem in problems if not problem.incomplete]
        if hopeless:
            what = f"preset {preset.name!r} can never be valid: {'; '.join(hopeless)}"
            raise definition_error(str(pipeline), preset.where, what)


def _import(target: Target) -> ModuleType:
    sys.path.insert(0, target.working_dir)
    began = clock.now()
    try:
        module = _import_file(target) if target.file else importlib.import_module(str(target.module))
    except BaseException as error:
        forget_young(source_files(target.working_dir, error), began)
        raise
    forget_young(source_files(target.working_dir), began)
    return module


def _import_file(target: Target) -> ModuleType:
    path = Path(target.working_dir, str(target.file)).resolve()
    if not path.is_file():
        raise DefinitionError(
            f"there is no file {path}.",
            hint="Correct `file:` (or `working_dir:`) in the workspace file.",
        )
    name = path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before executing it: dataclasses and pickle look their module up by name
    sys.path.insert(0, str(path.parent))
    spec.loader.exec_module(module)
    return module


def _collect(module: ModuleType, cls: type, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for value in vars(module).values():
        if not isinstance(value, cls):
            continue
        other = found.setdefault(value.name, value)  # type: ignore[attr-defined]
        if other is not value:
            raise definition_error(
                f"{kind.capitalize()} {value.name!r}",  # type: ignore[attr-defined]
                value.where,  # type: ignore[attr-defined]
                f"another {kind} has this name ({other.where}).",
                "Rename one of them.",
            )
    return found


def import_libraries(pipeline: PipelineDefinition, mode: Mode) -> None:
    """Imports now what every forked step would otherwise import again: it costs up to a tenth of a second each."""
    for node in pipeline.graph.nodes.values():
        step = node.step
        if inspect.iscoroutinefunction(inspect.unwrap(step.function)):
            _preload(["asyncio"])
        annotations = [hint for name, hint in step.hints.items() if name in step.inputs]
        annotations += [step.output_type(name) for name in step.outputs]
        if any(type_checks.needs_library(annotation) for annotation in annotations):
            type_checks.preload()
        schema = step_schema(step)
        if schema is not None:
            schema.preload()
    for definition in resources_of(mode).values():
        schema = resource_schema(definition)
        if schema is not None and schema.default is NO_DEFAULT:
            schema.preload()
        if isinstance(definition, IOManagerDefinition):
            _preload(definition.preload)


def _preload(modules: Iterable[str]) -> None:
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError:
            pass  # the step that needs it will say so, with the user's frames


def _pipeline_info(pipeline: PipelineDefinition) -> PipelineInfo:
    return PipelineInfo(
        name=pipeline.name,
        description=(pipeline.description or "").strip().split("\n")[0] or None,
        modes=tuple(pipeline.modes),
        presets=tuple(pipeline.presets),
        steps=len(pipeline.graph.nodes),
        tags=pipeline.tags,
        where=str(pipeline.where),
        executors={name: mode.executor for name, mode in pipeline.modes.items() if mode.executor},
    )
