"""Reads a function's parameters: the context, the configuration and the inputs. Does not call it."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from orchestrator.definitions.source_location import Where, definition_error

NO_DEFAULT: Any = inspect.Parameter.empty

# What a first parameter is called that takes the context; the last two say that the function does not use it.
CONTEXT_NAMES = ("context", "_context", "_")


class Parameter(Struct, frozen=True):
    """One parameter that is neither the context nor the configuration."""

    name: str
    default: Any = NO_DEFAULT

    @property
    def has_default(self) -> bool:
        return self.default is not NO_DEFAULT


class Signature(Struct, frozen=True):
    """What a user function takes, by the names of its parameters."""

    context_name: str | None  # what the parameter for the context is called; None when there is none
    takes_config: bool
    config_default: Any
    parameters: tuple[Parameter, ...]

    @property
    def takes_context(self) -> bool:
        return self.context_name is not None


def read_signature(function: Callable[..., Any], what: str, where: Where) -> Signature:
    """The function's signature; `*args`, `**kwargs` and `/` are refused, because an input needs a name."""
    parameters = list(inspect.signature(function).parameters.values())
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
            raise definition_error(
                what,
                where,
                f"it takes {stars}{parameter.name}, but inputs are recognised by name.",
                "Name each input; to take many values in one, declare a list input and pass a list of outputs.",
            )
        if parameter.kind is parameter.POSITIONAL_ONLY:
            problem = f"{parameter.name!r} is positional-only, but inputs are given by name."
            raise definition_error(what, where, problem, "Take the `/` out of its parameters.")
    context_name = parameters[0].name if parameters and parameters[0].name in CONTEXT_NAMES else None
    rest = parameters[1:] if context_name else parameters
    misplaced = next((p.name for p in rest if p.name in CONTEXT_NAMES), None)
    if misplaced is not None:
        raise definition_error(what, where, f"`{misplaced}` must be the first parameter.", _misplaced_hint(parameters))
    config = next((p for p in rest if p.name == "config"), None)
    return Signature(
        context_name=context_name,
        takes_config=config is not None,
        config_default=config.default if config is not None else NO_DEFAULT,
        parameters=tuple(Parameter(p.name, p.default) for p in rest if p.name != "config"),
    )


def _misplaced_hint(parameters: list[inspect.Parameter]) -> str:
    if parameters[0].name in CONTEXT_NAMES:
        return f"Keep one of them: `{parameters[0].name}` is the context already."
    return "Move it to the front."


def type_hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The function's annotations, evaluated; one that cannot be evaluated is left out rather than failing the rest.

    Names imported under `if TYPE_CHECKING:` do not exist at run time, and are no reason to refuse a step.
    """
    function = inspect.unwrap(function)
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception:  # an annotation is user code: evaluating it may raise anything
        return dict(_evaluable(function))


class Unevaluated(Struct, frozen=True):
    """An annotation that could not be evaluated, as it was written."""

    text: str

    def __str__(self) -> str:
        return self.text


def config_hint(function: Callable[..., Any], hints: dict[str, Any]) -> Any:
    """The annotation of the `config` parameter; None when it has none."""
    written = getattr(inspect.unwrap(function), "__annotations__", {})
    if "config" in written and "config" not in hints:
        return Unevaluated(str(written["config"]))
    return hints.get("config")


def _evaluable(function: Callable[..., Any]) -> typing.Iterator[tuple[str, Any]]:
    scope = vars(sys.modules.get(function.__module__, object))
    for name, annotation in getattr(function, "__annotations__", {}).items():
        if not isinstance(annotation, str):
            yield name, type(None) if annotation is None else annotation
            continue
        try:
            value = eval(annotation, dict(scope))
        except Exception:  # as above
            continue
        yield name, type(None) if value is None else value
