"""Composition: what calling steps inside a pipeline function builds.

While a pipeline's function runs, each call to a step places a node in the graph under construction and returns
handles to the node's outputs. Handles carry their *scope*: the dynamic outputs they are mapped over, outermost
first. A node runs once for each combination of keys of its scope.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.definitions.outputs import DynamicOut, NothingOut, Out
from orchestrator.definitions.signature import NO_DEFAULT
from orchestrator.definitions.where import Where, broken, where_called
from orchestrator.errors import near_misses

if TYPE_CHECKING:
    from orchestrator.definitions.hooks import HookDefinition
    from orchestrator.definitions.step import StepDefinition

Scope = tuple[str, ...]


@dataclass(frozen=True)
class Handle:
    """An output of a step in a pipeline that is being composed. Give it to another step, or to `after=`."""

    node: Node
    output: str
    scope: Scope

    def __str__(self) -> str:
        return f"{self.node.key}.{self.output}"

    def __bool__(self) -> bool:
        raise _misuse(self, "an output has no value while the pipeline is composed", _BRANCH_HINT)

    def __iter__(self) -> Iterator[Any]:
        raise _misuse(self, "it is one output, and cannot be unpacked", "Declare several outputs, or use DynamicOut.")


_BRANCH_HINT = "To branch, give the step an optional output and leave it out at run time."


@dataclass(frozen=True)
class DynamicHandle:
    """A dynamic output: many values. `.map(f)` applies a step, or a function that calls steps, to each of them."""

    node: Node
    output: str
    scope: Scope

    def map(self, function: Callable[[Handle], Any]) -> Any:
        """What `function` makes of one value, done for every value; `.collect()` gathers the results."""
        element = Handle(self.node, self.output, (*self.scope, f"{self.node.key}.{self.output}"))
        return _apply(function, element, self)

    def collect(self) -> CollectedHandle:
        """All values of the dynamic output as one list, in the order they were produced."""
        return CollectedHandle(Handle(self.node, self.output, (*self.scope, f"{self.node.key}.{self.output}")))

    def __str__(self) -> str:
        return f"{self.node.key}.{self.output}"


@dataclass(frozen=True)
class MappedHandle:
    """An output of a step that was mapped over a dynamic output."""

    element: Handle

    def map(self, function: Callable[[Handle], Any]) -> Any:
        """Applies `function` to the value for each key in turn."""
        return _apply(function, self.element, self)

    def collect(self) -> CollectedHandle:
        """The values for all keys as one list, in the order the keys were produced."""
        return CollectedHandle(self.element)

    def __str__(self) -> str:
        return str(self.element)


@dataclass(frozen=True)
class CollectedHandle:
    """A list of the values of a mapped output: an input like any other."""

    element: Handle

    @property
    def scope(self) -> Scope:
        return self.element.scope[:-1]

    def __str__(self) -> str:
        return f"{self.element}.collect()"


@dataclass(frozen=True)
class PipelineInput:
    """A parameter of the pipeline's own function. At the top it is read from the configuration of the run."""

    name: str
    default: Any = NO_DEFAULT
    scope: Scope = ()

    def __str__(self) -> str:
        return self.name


class StepOutputs(tuple[Any, ...]):
    """The handles of a step with several outputs: unpack them in their declared order, or use their names."""

    names: tuple[str, ...]

    def __new__(cls, handles: Iterable[Any], names: Iterable[str]) -> StepOutputs:
        self = super().__new__(cls, handles)
        self.names = tuple(names)
        return self

    def __getattr__(self, name: str) -> Any:
        names = self.__dict__.get("names", ())
        if name in names:
            return self[names.index(name)]
        raise AttributeError(f"there is no output {name!r}. {near_misses(name, names, 'output')}")


@dataclass(frozen=True)
class Wire:
    """How one input gets its value. `handles` has several entries for a list of outputs (fan-in)."""

    handles: tuple[Handle | CollectedHandle | PipelineInput, ...]
    is_list: bool = False


@dataclass(eq=False)
class Node:
    """One use of a step in a pipeline."""

    key: str
    step: StepDefinition
    where: Where
    inputs: dict[str, Wire] = field(default_factory=dict)
    after: tuple[Handle | CollectedHandle, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    hooks: tuple[HookDefinition, ...] = ()
    scope: Scope = ()


@dataclass
class Graph:
    """The nodes of a pipeline in the order they were placed, which is a topological order, and its own inputs."""

    nodes: dict[str, Node] = field(default_factory=dict)
    inputs: dict[str, PipelineInput] = field(default_factory=dict)


@dataclass
class Composition:
    """A pipeline function that is running: where its nodes go, and what applies to all of them."""

    pipeline: str
    graph: Graph
    prefix: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    hooks: tuple[HookDefinition, ...] = ()
    names: dict[str, int] = field(default_factory=dict)
    scope: Scope = ()  # of the map() whose function is running

    def unique_name(self, name: str, where: Where, explicit: bool) -> str:
        """The name, or with `_2`, `_3` behind it when it is taken; an explicit alias that is taken is refused."""
        count = self.names.get(name, 0) + 1
        self.names[name] = count
        if count == 1:
            return name
        if explicit:
            raise broken(
                f"Pipeline {self.pipeline!r}",
                where,
                f"the name {name!r} is used twice.",
                "Choose another alias.",
            )
        return self.unique_name(f"{name}_{count}", where, explicit=False)


_current: contextvars.ContextVar[Composition | None] = contextvars.ContextVar("composition", default=None)


def composing() -> Composition | None:
    """The pipeline function that is running, if one is."""
    return _current.get()


@contextmanager
def composition(new: Composition) -> Iterator[Composition]:
    """Makes `new` the current composition."""
    token = _current.set(new)
    try:
        yield new
    finally:
        _current.reset(token)


@contextmanager
def not_composing() -> Iterator[None]:
    """Step calls are plain function calls again, even inside a composition."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)


def place_step(
    step: StepDefinition,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
    hooks: tuple[HookDefinition, ...] = (),
) -> Any:
    """Adds one use of a step to the pipeline that is being composed, and returns its outputs as handles."""
    current = composing()
    assert current is not None
    where = where_called()
    short = current.unique_name(name or step.name, where, explicit=name is not None)
    node = Node(current.prefix + short, step, where)
    after = kwargs.pop("after", ()) if "after" not in step.inputs else ()
    node.inputs = {
        input_name: _wire(node, input_name, value)
        for input_name, value in _by_name(node, tuple(step.inputs), args, kwargs).items()
    }
    node.after = _order_only(node, after)
    node.scope = _common_scope(node)
    node.tags = {**step.tags, **current.tags, **(tags or {})}
    node.hooks = tuple(dict.fromkeys((*step.hooks, *current.hooks, *hooks)))
    current.graph.nodes[node.key] = node
    return _handles(node)


def _handles(node: Node) -> Any:
    current = composing()
    assert current is not None
    # A node placed outside map() may still run once a key: one of its inputs was collected from a deeper level.
    mapped = len(node.scope) > len(current.scope)

    def handle(name: str, out: Out) -> Handle | DynamicHandle | MappedHandle:
        if isinstance(out, DynamicOut):
            return DynamicHandle(node, name, node.scope)
        plain = Handle(node, name, node.scope)
        return MappedHandle(plain) if mapped else plain

    handles = [handle(name, out) for name, out in node.step.outputs.items()]
    return handles[0] if len(handles) == 1 else StepOutputs(handles, node.step.outputs)


def _by_name(node: Node, names: tuple[str, ...], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    if len(args) > len(names):
        takes = ", ".join(names) if names else "none"
        raise _misuse(node, f"it is given {len(args)} inputs and takes {len(names)} ({takes})")
    given = dict(zip(names, args, strict=False))
    for name, value in kwargs.items():
        if name not in names:
            hint = near_misses(name, names, "input")
            if name in ("config", "context"):
                hint = f"`{name}` is not wired; it is provided when the step runs."
            raise _misuse(node, f"it has no input {name!r}", hint)
        if name in given:
            raise _misuse(node, f"its input {name!r} is given twice")
        given[name] = value
    return given


def _wire(node: Node, name: str, value: Any) -> Wire:
    if isinstance(value, (list, tuple)) and not isinstance(value, StepOutputs):
        return Wire(tuple(_source(node, name, item, in_list=True) for item in value), is_list=True)
    return Wire((_source(node, name, value),))


def _source(node: Node, name: str, value: Any, in_list: bool = False) -> Any:
    what = f"its input {name!r} is given {_describe(value)}"
    if isinstance(value, CollectedHandle) and in_list:
        raise _misuse(node, f"{what} inside a list", "collect() is a list already; pass it alone.")
    if isinstance(value, PipelineInput) and in_list:
        raise _misuse(node, f"{what} inside a list", "A parameter of the pipeline can only be an input by itself.")
    if isinstance(value, Handle) and isinstance(value.node.step.outputs[value.output], NothingOut):
        raise _misuse(node, f"{what}, which has no value", f"To run after {value.node.key}, write after=.")
    if isinstance(value, (Handle, CollectedHandle, PipelineInput)):
        return value
    if isinstance(value, DynamicHandle):
        hint = f"Write {value.node.key}(...).map({node.step.name}), or .collect() for one list."
        raise _misuse(node, f"{what}, which is dynamic: many values, not one", hint)
    if isinstance(value, MappedHandle):
        raise _misuse(node, f"{what}, which was mapped", "Go on with .map(...), or gather it with .collect().")
    if isinstance(value, StepOutputs):
        raise _misuse(node, what, f"Choose one of its outputs: {', '.join(value.names)}.")
    if value is None:
        raise _misuse(node, f"its input {name!r} is given None", "Leave the input out to use its default.")
    hint = "Inputs come from other steps; give constants as configuration."
    if callable(value) and hasattr(value, "alias"):
        hint = f"Call it: {getattr(value, 'name', 'step')}()."
    raise _misuse(node, what, hint)


def _order_only(node: Node, after: Any) -> tuple[Handle | CollectedHandle, ...]:
    found: list[Handle | CollectedHandle] = []
    items = list(after) if isinstance(after, (list, tuple, set, frozenset)) else [after]
    for item in items:
        if isinstance(item, (StepOutputs, list, tuple)):
            found.extend(_order_only(node, list(item)))
        elif isinstance(item, (Handle, CollectedHandle)):
            found.append(item)
        elif isinstance(item, (MappedHandle, DynamicHandle)):
            found.append(item.collect())
        elif item is not None:
            raise _misuse(node, f"after= is given {_describe(item)}", "Give it what calling a step returned.")
    return tuple(found)


def _common_scope(node: Node) -> Scope:
    sources = [handle for wire in node.inputs.values() for handle in wire.handles]
    scope: Scope = ()
    for source in (*sources, *node.after):
        shorter, longer = sorted((scope, source.scope), key=len)
        if longer[: len(shorter)] != shorter:
            raise _misuse(
                node,
                f"it depends on {shorter[-1]} and on {longer[-1]}, two dynamic outputs mapped independently",
                "Gather one of them with .collect() first.",
            )
        scope = longer
    return scope


def _apply(function: Callable[[Handle], Any], element: Handle, over: Any) -> Any:
    current = composing()
    if current is None:
        raise _misuse(over, "map() is called outside a pipeline function")
    outer, current.scope = current.scope, element.scope
    try:
        return _mapped(function(element), element.scope, over)
    finally:
        current.scope = outer


def _mapped(result: Any, scope: Scope, over: Any) -> Any:
    if isinstance(result, StepOutputs):
        return StepOutputs((_mapped(item, scope, over) for item in result), result.names)
    if isinstance(result, (list, tuple)):
        return tuple(_mapped(item, scope, over) for item in result)
    if isinstance(result, Handle) and result.scope == scope:
        return MappedHandle(result)
    if result is None or isinstance(result, (DynamicHandle, MappedHandle, CollectedHandle)):
        return result
    raise _misuse(over, f"map() was given a function that returns {_describe(result)}", "Return what a step returned.")


def _describe(value: Any) -> str:
    if isinstance(value, (Handle, DynamicHandle, MappedHandle, CollectedHandle, PipelineInput)):
        return f"the output {value}"
    if isinstance(value, StepOutputs):
        return "a step with several outputs"
    if callable(value) and hasattr(value, "alias"):
        return f"the step {getattr(value, 'name', '')!r} itself"
    text = repr(value)
    return text if len(text) <= 60 else f"a {type(value).__name__}"


def _misuse(subject: Any, problem: str, hint: str | None = None) -> Exception:
    current = composing()
    pipeline = f" of pipeline {current.pipeline!r}" if current else ""
    if isinstance(subject, MappedHandle):
        subject = subject.element
    node = subject if isinstance(subject, Node) else subject.node
    return broken(f"Step {node.key!r}{pipeline}", where_called(), f"{problem}.", hint)
