"""Handles: what calling a step inside a pipeline function returns, in place of values that will exist at run time. None
of them ever learns its value.

A handle carries its scope: the dynamic outputs that its value is mapped over. Anything that would need the value
itself (an `if`, a comparison, a loop) is refused where it stands, because it would silently mean something else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from orchestrator.definitions.graph import Node, Scope, composing
from orchestrator.definitions.signature import NO_DEFAULT
from orchestrator.definitions.source_location import definition_error, lowered, where_called
from orchestrator.errors import near_misses

_BRANCH_HINT = "To branch, give a step an optional output and leave it out at run time."
_MANY_HINT = "Apply a step to each of its values with .map(step), or gather them in a list with .collect()."


class Placeholder(Struct, frozen=True, eq=False):
    """Stands for something that is known only when the pipeline runs."""

    def __bool__(self) -> bool:
        raise misuse(self, f"{describe(self)} has no value while the pipeline is composed", _BRANCH_HINT)

    def __eq__(self, other: object) -> bool:
        # `if answer() == 1:` would otherwise quietly never be true.
        raise misuse(self, f"{describe(self)} cannot be compared while the pipeline is composed", _BRANCH_HINT)

    __hash__ = object.__hash__

    if not TYPE_CHECKING:  # to a type checker, an attribute that is not there should be just that

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            if name == _only_output(self):
                return self  # by the name of the step's only output, as with several outputs
            raise AttributeError(f"{describe(self)} has no {name!r}: it stands for a value that will exist at run time")

    def map(self, _function: Callable[[Handle], Any]) -> Any:
        raise self._not_many("mapped")

    def collect(self) -> CollectedHandle:
        raise self._not_many("collected")

    def _not_many(self, what: str) -> Exception:
        hint = "A step that gives many values declares outputs=DynamicOut(...)."
        return misuse(self, f"{describe(self)} is one value, and cannot be {what}", hint)

    def __iter__(self) -> Iterator[Any]:
        several = isinstance(self, (DynamicHandle, MappedHandle))
        hint = _MANY_HINT if several else "To return several values, declare several outputs or a DynamicOut."
        raise misuse(self, f"{describe(self)} cannot be unpacked or looped over", hint)


class Handle(Placeholder, frozen=True, eq=False):
    """An output of a step in a pipeline that is being composed. Give it to another step, or to `after=`."""

    node: Node
    output_name: str
    scope: Scope

    def __str__(self) -> str:
        return f"{self.node.key}.{self.output_name}"


class DynamicHandle(Placeholder, frozen=True, eq=False):
    """A dynamic output: many values. `.map(f)` applies a step, or a function that calls steps, to each of them."""

    node: Node
    output_name: str
    scope: Scope

    def map(self, function: Callable[[Handle], Any]) -> Any:
        """What `function` makes of one value, done for every value; `.collect()` gathers the results."""
        element = Handle(self.node, self.output_name, (*self.scope, f"{self.node.key}.{self.output_name}"))
        return _apply(function, element, self)

    def collect(self) -> CollectedHandle:
        """All values of the dynamic output as one list, in the order they were produced."""
        return CollectedHandle(
            Handle(self.node, self.output_name, (*self.scope, f"{self.node.key}.{self.output_name}"))
        )

    def __str__(self) -> str:
        return f"{self.node.key}.{self.output_name}"


class MappedHandle(Placeholder, frozen=True, eq=False):
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


class CollectedHandle(Placeholder, frozen=True, eq=False):
    """A list of the values of a mapped output: an input like any other."""

    element: Handle

    @property
    def scope(self) -> Scope:
        return self.element.scope[:-1]

    def map(self, _function: Callable[[Handle], Any]) -> Any:
        raise self._is_a_list("map")

    def collect(self) -> CollectedHandle:
        raise self._is_a_list("collect")

    def _is_a_list(self, method: str) -> Exception:
        hint = f"Give it to a step; after a nested map, what that step returns has {method}() again."
        return misuse(self, f"{describe(self)} is a list already, and has no {method}()", hint)

    def __str__(self) -> str:
        return f"{self.element}.collect()"


class PipelineInput(Placeholder, frozen=True, eq=False):
    """A parameter of the pipeline's own function. At the top it is read from the configuration of the run."""

    name: str
    default: Any = NO_DEFAULT
    scope: Scope = ()
    hint: Any = NO_DEFAULT

    def __str__(self) -> str:
        return self.name


def _only_output(value: object) -> str | None:
    """The name of the output that a handle stands for, when its step has no other."""
    handle = value.element if isinstance(value, MappedHandle) else value
    if isinstance(handle, (Handle, DynamicHandle)) and len(handle.node.step.outputs) == 1:
        return handle.output_name
    return None


class StepOutputs(tuple[Any, ...]):
    """The handles of a step with several outputs: unpack them in their declared order, or use their names."""

    _names: tuple[str, ...]

    def __new__(cls, handles: Iterable[Any], names: Iterable[str]) -> StepOutputs:
        self = super().__new__(cls, handles)
        self._names = tuple(names)
        # As attributes of the object, which go before a tuple's own methods: `count` is a likely name for an output.
        vars(self).update(zip(self._names, self, strict=True))
        return self

    def __getattr__(self, name: str) -> Any:
        names = output_names(self) if "_names" in vars(self) else ()
        raise AttributeError(f"there is no output {name!r}. {near_misses(name, names, 'output')}")


def output_names(outputs: StepOutputs) -> tuple[str, ...]:
    """The names of the handles, in their order."""
    return tuple(vars(outputs)["_names"])


def _apply(function: Callable[[Handle], Any], element: Handle, over: Any) -> Any:
    current = composing()
    if current is None:
        raise misuse(over, "map() is called outside a pipeline function")
    if not callable(function):
        raise misuse(over, f"map() is given {describe(function)}", "Give it the step itself, not called: .map(step).")
    outer, current.scope = current.scope, element.scope
    try:
        return _mapped(function(element), element.scope, over)
    finally:
        current.scope = outer


def _mapped(result: Any, scope: Scope, over: Any) -> Any:
    if isinstance(result, StepOutputs):
        return StepOutputs((_mapped(item, scope, over) for item in result), output_names(result))
    if isinstance(result, (list, tuple)):
        return tuple(_mapped(item, scope, over) for item in result)
    if isinstance(result, Handle) and result.scope == scope:
        return MappedHandle(result)
    if result is None or isinstance(result, (DynamicHandle, MappedHandle, CollectedHandle)):
        return result
    what = f"map() was given a function that returns {describe(result)}"
    if isinstance(result, Handle):
        raise misuse(over, f"{what}, which does not depend on the value it is given", "Give that value to the step.")
    raise misuse(over, what, "Return what a step returned.")


def describe(value: Any) -> str:
    """A value as an error message names it."""
    if isinstance(value, PipelineInput):
        return f"the input {value}"
    if isinstance(value, Placeholder):
        return f"the output {value}"
    if isinstance(value, StepOutputs):
        return f"all outputs of {str(value[0]).rpartition('.')[0]}"
    if is_uncalled(value):
        return f"the {lowered(str(value))} itself"
    text = repr(value)
    return text if len(text) <= 60 else f"a {type(value).__name__}"


def is_uncalled(value: Any) -> bool:
    """Whether this is a step or a pipeline that should have been called."""
    return callable(value) and hasattr(value, "alias")


def misuse(subject: Any, problem: str, hint: str | None = None) -> Exception:
    """The error for a pipeline function that does with `subject` (a node, or a handle) what cannot be done."""
    current = composing()
    pipeline = f" of pipeline {current.pipeline!r}" if current else ""
    if isinstance(subject, PipelineInput):
        what = f"Input {subject.name!r}"
    else:
        handle = subject.element if isinstance(subject, (MappedHandle, CollectedHandle)) else subject
        what = f"Step {(handle if isinstance(handle, Node) else handle.node).key!r}"
    return definition_error(f"{what}{pipeline}", where_called(), f"{problem}.", hint)
