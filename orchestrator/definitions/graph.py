"""The graph of a pipeline, and the composition of one while its function runs.

While that function runs, each call to a step places a node in the graph (see `composition`) and returns handles to the
node's outputs (see `handles`). A node has a *scope*: the dynamic outputs it is mapped over, outermost first. It runs
once for each combination of keys of its scope.
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct, field

from orchestrator.definitions.source_location import Where, definition_error

if TYPE_CHECKING:
    from orchestrator.definitions.handles import CollectedHandle, Handle, PipelineInput
    from orchestrator.definitions.hooks import HookDefinition
    from orchestrator.definitions.step import StepDefinition

Scope = tuple[str, ...]


class Wire(Struct, frozen=True):
    """How one input gets its value. `handles` has several entries for a list of outputs (fan-in)."""

    handles: tuple[Handle | CollectedHandle | PipelineInput, ...]
    is_list: bool = False


class Node(Struct, eq=False):
    """One use of a step in a pipeline."""

    key: str
    step: StepDefinition
    where: Where
    inputs: dict[str, Wire] = field(default_factory=dict)
    after: tuple[Handle | CollectedHandle, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    hooks: tuple[HookDefinition, ...] = ()
    scope: Scope = ()


class Graph(Struct):
    """The nodes of a pipeline in the order they were placed, which is a topological order, and its own inputs."""

    nodes: dict[str, Node] = field(default_factory=dict)
    inputs: dict[str, PipelineInput] = field(default_factory=dict)


class Composition(Struct):
    """A pipeline function that is running: where its nodes go, and what applies to all of them."""

    pipeline: str
    graph: Graph
    prefix: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    hooks: tuple[HookDefinition, ...] = ()
    names: dict[str, int] = field(default_factory=dict)  # taken names, each with the last number put behind it
    scope: Scope = ()  # of the map() whose function is running

    def unique_name(self, name: str, where: Where, explicit: bool) -> str:
        """The name, or with `_2`, `_3` behind it when it is taken; an explicit alias that is taken is refused."""
        if name not in self.names:
            self.names[name] = 1
            return name
        if explicit:
            raise definition_error(
                f"Pipeline {self.pipeline!r}", where, f"the name {name!r} is used twice.", "Choose another alias."
            )
        number = self.names[name] + 1
        while f"{name}_{number}" in self.names:
            number += 1
        self.names[name] = number
        self.names[f"{name}_{number}"] = 1
        return f"{name}_{number}"


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
