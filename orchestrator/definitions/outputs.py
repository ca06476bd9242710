"""Declarations of a step's outputs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.definitions.signature import NO_DEFAULT
from orchestrator.definitions.source_location import Where, check_name, definition_error, lowered
from orchestrator.definitions.values import DEFAULT_OUTPUT


@dataclass(frozen=True)
class Out:
    """One output of a step. With `optional`, leaving it out means that a branch was not taken.

    `io_manager` names the resource that stores it; by default the step's, or `io_manager`. `metadata` reaches the IO
    manager as `context.metadata` (a path, a table name, whatever that manager understands).
    """

    type: Any = NO_DEFAULT
    optional: bool = False
    io_manager: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    description: str | None = None


@dataclass(frozen=True)
class DynamicOut(Out):
    """An output that yields any number of `DynamicOutput`s, known only when the step runs. Zero is a valid number."""


@dataclass(frozen=True)
class NothingOut(Out):
    """The output of a function annotated `-> None`: it orders steps and carries no value."""


def read_outputs(
    declared: Any, function: Callable[..., Any], io_manager: str | None, what: str, where: Where
) -> dict[str, Out]:
    """The step's outputs by name, each with its IO manager decided; an undeclared output is one called `result`."""
    if declared is None:
        declared = {DEFAULT_OUTPUT: _returned(function)}
    elif isinstance(declared, Out):
        declared = {DEFAULT_OUTPUT: declared}
    if not isinstance(declared, Mapping) or not all(isinstance(out, Out) for out in declared.values()):
        raise definition_error(
            what,
            where,
            f"outputs={declared!r} is not a declaration of outputs.",
            'Write outputs=Out(type), outputs=DynamicOut(type) or outputs={"name": Out(type), ...}.',
        )
    if not declared:
        raise definition_error(
            what, where, "outputs={} declares no output.", "Annotate the function with `-> None` instead."
        )
    for name, out in declared.items():
        if not isinstance(out.metadata, Mapping):
            problem = f"the metadata of its output {name!r} is not a dictionary."
            raise definition_error(what, where, problem, 'Write metadata={"name": ...}.')
    return {
        check_name(f"output of {lowered(what)},", name, where): _stored_by(out, io_manager)
        for name, out in declared.items()
    }


def _stored_by(out: Out, io_manager: str | None) -> Out:
    return replace(out, io_manager=out.io_manager or io_manager or "io_manager")


def _returned(function: Callable[..., Any]) -> Out:
    annotation = getattr(function, "__annotations__", {}).get("return", NO_DEFAULT)
    if annotation in (None, "None") and not inspect.isgeneratorfunction(function):
        return NothingOut()
    return Out()
