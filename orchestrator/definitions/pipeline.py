"""Pipelines: graphs of steps, the modes they can run in, and presets."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from orchestrator.definitions.broken import check_usable, checked_later
from orchestrator.definitions.graph import Composition, Graph, Node, composing, composition
from orchestrator.definitions.handles import CollectedHandle, Handle, PipelineInput
from orchestrator.definitions.hooks import HookDefinition, check_hooks
from orchestrator.definitions.outputs import NothingOut
from orchestrator.definitions.pod import Pod
from orchestrator.definitions.resource import IOManagerDefinition, ResourceDefinition, constant_resource
from orchestrator.definitions.signature import NO_DEFAULT, read_signature, type_hints
from orchestrator.definitions.source_location import (
    Where,
    check_name,
    counted,
    definition_error,
    where_called,
    where_is,
)
from orchestrator.definitions.step import StepDefinition, check_tags
from orchestrator.errors import DefinitionError, near_misses
from orchestrator.typed import copied

if TYPE_CHECKING:
    from typing_extensions import ParamSpec  # its default is in `typing` from Python 3.13 on

    P = ParamSpec("P", default=...)
else:
    from typing import ParamSpec

    P = ParamSpec("P")

DEFAULT_IO_MANAGER = "io_manager"


@dataclass(frozen=True)
class Mode:
    """One way of running a pipeline: which resource each name stands for, and optionally which executor to use.

    `executor` is `subprocess`, `in_process`, `kubernetes` or the dotted path of a class; by default that of the
    workspace file. `pod` is for steps that have none of their own.
    `resources` maps names to resources or IO managers; any other object is used as the resource itself. The name
    `io_manager` is the one that steps use when they name no other; without it values are kept as files in the state
    directory.
    """

    name: str = "default"
    resources: Mapping[str, Any] = field(default_factory=dict)
    executor: str | None = None
    description: str | None = None
    pod: Pod | None = None
    where: Where = field(default_factory=where_called, repr=False, compare=False)

    @checked_later
    def __post_init__(self) -> None:
        check_name("mode", self.name, self.where)
        check_usable(self.pod)
        if self.pod is not None and not isinstance(self.pod, Pod):
            hint = 'Write pod=Pod(memory="8Gi").'
            raise definition_error(f"Mode {self.name!r}", self.where, f"pod={self.pod!r} is not a Pod.", hint)
        if not isinstance(self.resources, Mapping):
            hint = 'Write resources={"name": ...}.'
            raise definition_error(f"Mode {self.name!r}", self.where, "resources= is not a dictionary.", hint)
        bound = {
            check_name(f"resource of mode {self.name!r},", key, self.where): self._definition(key, value)
            for key, value in self.resources.items()
        }
        object.__setattr__(self, "resources", bound)

    def _definition(self, key: str, value: Any) -> ResourceDefinition:
        check_usable(value)
        if isinstance(value, ResourceDefinition):
            return value
        mistaken = _not_a_resource(value)
        if mistaken is not None:
            what, hint = mistaken
            raise definition_error(f"Mode {self.name!r}", self.where, f"the resource {key!r} is {what}.", hint)
        return constant_resource(key, value)


def _not_a_resource(value: Any) -> tuple[str, str] | None:
    """What a value is that can hardly be meant as the resource itself, and what to do about it."""
    if inspect.isclass(value):
        return f"the class {value.__name__} itself", f"Give an object: {value.__name__}(...)."
    if inspect.isfunction(value):
        name = value.__name__
        call = "" if name == "<lambda>" else f" If it returns one that is ready, call it: {name}(...)."
        return "a bare function", f"Decorate a function that makes it with @resource or @io_manager.{call}"
    if isinstance(value, (StepDefinition, PipelineDefinition, HookDefinition)):
        return f"{value}", "A resource is made with @resource or @io_manager, or is a plain object."
    return None


@dataclass(frozen=True)
class Preset:
    """A named bundle of mode, configuration, tags and step selection for running a pipeline."""

    name: str
    mode: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    select: Iterable[str] = ()
    where: Where = field(default_factory=where_called, repr=False, compare=False)

    @checked_later
    def __post_init__(self) -> None:
        check_name("preset", self.name, self.where)
        if not isinstance(self.config, Mapping):
            hint = 'Write config={"steps": {"name": {"config": {...}}}}.'
            raise definition_error(f"Preset {self.name!r}", self.where, "config= is not a dictionary.", hint)
        object.__setattr__(self, "config", copied(self.config))  # presets are often made from one dict
        object.__setattr__(self, "tags", check_tags(self.tags, f"Preset {self.name!r}", self.where))
        select = (self.select,) if isinstance(self.select, str) else tuple(self.select)
        object.__setattr__(self, "select", select)


_M = TypeVar("_M", Mode, Preset)


class PipelineDefinition(Generic[P]):
    """A pipeline. Inside another pipeline, calling it places all of its steps there, under `name.step`."""

    def __init__(
        self,
        function: Callable[P, Any],
        *,
        name: str | None = None,
        modes: Iterable[Mode] = (),
        presets: Iterable[Preset] = (),
        hooks: Iterable[HookDefinition] = (),
        tags: Mapping[str, object] | None = None,
        description: str | None = None,
    ) -> None:
        self.where: Where = where_is(function)
        self.name = check_name("pipeline", function.__name__ if name is None else name, self.where)
        self.function: Callable[..., Any] = function
        self.description = description or inspect.getdoc(function)
        self.tags = check_tags(tags, str(self), self.where)
        self.hooks = check_hooks(hooks, str(self), self.where)
        self.modes: dict[str, Mode] = self._by_name("mode", Mode, modes) or {"default": Mode(where=self.where)}
        self.presets: dict[str, Preset] = self._by_name("preset", Preset, presets)
        if inspect.isgeneratorfunction(inspect.unwrap(function)):
            raise definition_error(
                str(self), self.where, "its function yields, so nothing in it runs.", "Return instead."
            )
        self.parameters = self._check_parameters()
        self.graph = self._compose()
        for mode in self.modes.values():
            self.check_mode(mode)
        for preset in self.presets.values():
            if preset.mode is not None and preset.mode not in self.modes:
                hint = near_misses(preset.mode, self.modes, "mode")
                raise definition_error(str(self), preset.where, f"preset {preset.name!r} names no mode of it.", hint)
        # Not its attributes: other decorators leave some, and they may be called like ours.
        functools.update_wrapper(self, function, updated=())

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        return self._place(None, args, kwargs)

    def alias(self, name: str) -> Callable[P, Any]:
        """This pipeline under another name, for use inside another pipeline."""
        check_name(f"alias of pipeline {self.name!r},", name, where_called())
        return lambda *args, **kwargs: self._place(name, args, kwargs)

    def mode(self, name: str | None) -> Mode:
        """The mode of that name; without a name, the only one. Raises DefinitionError when that is not decided."""
        if name is None:
            if len(self.modes) == 1:
                return next(iter(self.modes.values()))
            raise DefinitionError(
                f"Pipeline {self.name!r} has several modes: {', '.join(self.modes)}.",
                hint="Choose one with --mode (or mode= in Python).",
            )
        if name not in self.modes:
            raise DefinitionError(
                f"Pipeline {self.name!r} has no mode {name!r}.", hint=near_misses(name, self.modes, "mode")
            )
        return self.modes[name]

    def preset(self, name: str) -> Preset:
        """The preset of that name."""
        if name not in self.presets:
            raise DefinitionError(
                f"Pipeline {self.name!r} has no preset {name!r}.",
                hint=near_misses(name, self.presets, "preset"),
            )
        return self.presets[name]

    def __str__(self) -> str:
        return f"Pipeline {self.name!r}"

    __repr__ = __str__

    def _by_name(self, kind: str, cls: type[_M], items: Iterable[_M]) -> dict[str, _M]:
        found: dict[str, _M] = {}
        for item in [items] if isinstance(items, cls) else items:
            check_usable(item)
            if not isinstance(item, cls):
                hint = f'Write {kind}s=[{cls.__name__}("name", ...)].'
                raise definition_error(
                    str(self), self.where, f"{kind}s= holds {item!r}, which is not a {cls.__name__}.", hint
                )
            if item.name in found:
                raise definition_error(
                    str(self), self.where, f"two {kind}s are called {item.name!r}.", "Rename one of them."
                )
            found[item.name] = item
        return found

    def _check_parameters(self) -> dict[str, PipelineInput]:
        signature = read_signature(self.function, str(self), self.where)
        if signature.takes_context or signature.takes_config:
            hint = "It only wires steps together; steps take `context` and `config`."
            raise definition_error(
                str(self), self.where, "a pipeline's function takes neither context nor config.", hint
            )
        hints = type_hints(self.function)
        return {
            p.name: PipelineInput(p.name, p.default, hint=hints.get(p.name, NO_DEFAULT)) for p in signature.parameters
        }

    def _compose(self) -> Graph:
        graph = Graph(inputs=dict(self.parameters))
        new = Composition(self.name, graph, tags={}, hooks=self.hooks)
        with composition(new):
            self.function(**self.parameters)
        if not graph.nodes:
            raise definition_error(str(self), self.where, "it has no steps.", "Call at least one step in its function.")
        return graph

    def _place(self, alias: str | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        outer = composing()
        if outer is None:
            raise definition_error(
                str(self),
                where_called(),
                "a pipeline is not called like a function.",
                f"Run it with `orchestrator run {self.name}` or `{self.name}.execute_in_process()`.",
            )
        where = where_called()
        name = outer.unique_name(alias or self.name, where, explicit=alias is not None)
        inner = Composition(
            outer.pipeline,
            outer.graph,
            prefix=f"{outer.prefix}{name}.",
            tags={**outer.tags, **self.tags},
            hooks=tuple(dict.fromkeys((*outer.hooks, *self.hooks))),
            scope=outer.scope,
        )
        with composition(inner):
            return self.function(**self._arguments(inner.prefix, outer.graph, args, kwargs, where))

    def _arguments(
        self, prefix: str, graph: Graph, args: tuple[Any, ...], kwargs: dict[str, Any], where: Where
    ) -> dict[str, Any]:
        if len(args) > len(self.parameters):
            problem = f"it takes {counted(self.parameters, 'input')} and is given {len(args)}."
            raise definition_error(str(self), where, problem)
        given = dict(zip(self.parameters, args, strict=False))
        for name, value in kwargs.items():
            if name not in self.parameters:
                hint = near_misses(name, self.parameters, "input") if self.parameters else None
                hint = "Give after= to the steps inside that have to wait." if name == "after" else hint
                raise definition_error(str(self), where, f"it has no input {name!r}.", hint)
            if name in given:
                raise definition_error(str(self), where, f"its input {name!r} is given twice.")
            given[name] = value
        for name, parameter in self.parameters.items():
            if name not in given:
                # What an inner pipeline is not given becomes an input of the outer one, under its full name.
                given[name] = PipelineInput(prefix + name, parameter.default, hint=parameter.hint)
                graph.inputs[prefix + name] = given[name]
        return given

    def check_mode(self, mode: Mode) -> None:
        """Refuses a mode that lacks something a step, hook, output or other resource needs."""
        for key, wanted_by, stores in self._required(mode):
            definition = mode.resources.get(key)
            if definition is None:
                if key == DEFAULT_IO_MANAGER:
                    continue
                kind = "IO manager" if stores else "resource"
                raise definition_error(
                    str(self),
                    self.where,
                    f"mode {mode.name!r} has no {kind} {key!r}, which {wanted_by} requires.",
                    f'Add it to the mode: Mode("{mode.name}", resources={{"{key}": ...}}).'
                    f" {near_misses(key, mode.resources, 'resource') if mode.resources else ''}".rstrip(),
                )
            if stores and not isinstance(definition, IOManagerDefinition):
                raise definition_error(
                    str(self),
                    self.where,
                    f"in mode {mode.name!r}, {key!r} is used as an IO manager by {wanted_by} and is not one.",
                    f"Make {definition.name!r} with @io_manager, returning an IOManager.",
                )
        for key in mode.resources:
            check_no_resource_cycle(mode.resources, key, mode.where)

    def _required(self, mode: Mode) -> Iterable[tuple[str, str, bool]]:
        """(resource name, what requires it, whether as an IO manager), for everything a mode must provide."""
        for node in self.graph.nodes.values():
            for key in node.step.resources:
                yield key, f"step {node.key!r}", False
            for name, out in node.step.outputs.items():
                if not isinstance(out, NothingOut):
                    assert out.io_manager is not None
                    yield out.io_manager, f"output {name!r} of step {node.key!r}", True
            for hook in node.hooks:
                for key in hook.resources:
                    yield key, f"hook {hook.name!r} on step {node.key!r}", False
        for name, definition in mode.resources.items():
            for key in definition.resources:
                yield key, f"resource {name!r}", False


def check_no_resource_cycle(resources: Mapping[str, Any], start: str, where: Where) -> None:
    """Refuses resources that need each other in a circle."""
    trail: list[str] = []

    def visit(key: str) -> None:
        if key in trail:
            circle = " -> ".join([*trail[trail.index(key) :], key])
            raise definition_error(
                f"Resource {key!r}", where, f"it needs itself: {circle}.", "Remove one of these needs."
            )
        trail.append(key)
        for needed in resources[key].resources if key in resources else ():
            visit(needed)
        trail.pop()

    visit(start)


def sources_of(node: Node) -> Iterable[Handle | CollectedHandle | PipelineInput]:
    """Everything a node is wired to, data and order alike."""
    for wire in node.inputs.values():
        yield from wire.handles
    yield from node.after
