"""Where in the user's code a definition stands, and errors that point there."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

from orchestrator.errors import DefinitionError, near_misses
from orchestrator.ids import NAME

F = TypeVar("F", bound=Callable[..., Any])


class Where(Struct, frozen=True):
    """A line of user code."""

    module: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.module}, {_short(self.file)}:{self.line}"


def where_is(function: Callable[..., Any]) -> Where:
    """Where a function is defined (its `def` line or first decorator)."""
    code = inspect.unwrap(function).__code__
    return Where(function.__module__ or "?", code.co_filename, code.co_firstlineno)


def where_called() -> Where:
    """The innermost line outside this package on the current call stack."""
    frame = sys._getframe(1)
    # By module and not by file: the generated `__init__` of a dataclass has no file.
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("orchestrator."):
        frame = frame.f_back
    return Where(frame.f_globals.get("__name__", "?"), frame.f_code.co_filename, frame.f_lineno)


def definition_error(what: str, where: Where, problem: str, hint: str | None = None) -> DefinitionError:
    """The error for a definition that can never work: what it is, where it stands, what is wrong, what to do."""
    return DefinitionError(f"{what} ({where}): {problem}", hint=hint)


def check_name(kind: str, name: object, where: Where) -> str:
    """The name, if it can be one: a name becomes a file name, a word on the command line and part of larger names."""
    if isinstance(name, str) and NAME.fullmatch(name) and len(name) <= 100:
        return name
    raise definition_error(
        capitalized(f"{kind} {name!r}"),
        where,
        "that cannot be a name.",
        "A name has 1 to 100 ASCII letters, digits and underscores, and does not begin with a digit."
        + _naming_hint(name),
    )


def _naming_hint(name: object) -> str:
    if name == "<lambda>":
        return " Give the lambda one with name=..."
    return " Give it an ASCII one with name=..." if isinstance(name, str) and not name.isascii() else ""


def _short(file: str) -> str:
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except ValueError:
        return file


def check_options(decorator: str, target: Callable[..., Any], options: dict[str, Any]) -> None:
    """Refuses an option that `target` does not take, naming the near ones."""
    known = [p.name for p in inspect.signature(target).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for name in options:
        if name not in known:
            near = near_misses(name, known, "option")
            hint = near if near.startswith("Did you mean") else f"There is: {', '.join(known)}."
            raise definition_error(decorator, where_called(), f"there is no option {name!r}.", hint)


def shows_options(target: Callable[..., Any]) -> Callable[[F], F]:
    """Has `help` and editors show, for a decorator, the options that `target` takes."""

    def wrap(decorator: F) -> F:
        function = inspect.Parameter("function", inspect.Parameter.POSITIONAL_ONLY, default=None)
        options = [p for p in inspect.signature(target).parameters.values() if p.kind is p.KEYWORD_ONLY]
        decorator.__signature__ = inspect.Signature([function, *options])  # type: ignore[attr-defined]
        return decorator

    return wrap


def check_function(decorator: str, function: Any, *, may_wait: bool = False) -> None:
    """Refuses to decorate anything but a plain function; an `async` one only where it `may_wait`."""
    if hasattr(function, "where"):
        # Before unwrapping, which would look through our own decorators.
        raise definition_error(decorator, where_called(), f"{function} is decorated already.", "Use one decorator.")
    plain = inspect.unwrap(function) if callable(function) else function
    if not hasattr(plain, "__code__"):
        kind = "a class" if inspect.isclass(plain) else repr(function)
        hint = (
            f"Options go by name: {decorator}(name=...)." if isinstance(function, str) else "Write a function for it."
        )
        raise definition_error(decorator, where_called(), f"it decorates a function, and is given {kind}.", hint)
    if inspect.isasyncgenfunction(plain):
        raise definition_error(
            decorator, where_is(function), f"{function.__name__!r} is an async generator.", "Use a plain one."
        )
    if inspect.iscoroutinefunction(plain) and not may_wait:
        raise definition_error(
            decorator, where_is(function), f"{function.__name__!r} is async.", "Use a plain function."
        )


def check_keys(keys: Iterable[str], what: str, where: Where) -> tuple[str, ...]:
    """Names of resources that something needs, sorted; anything that is not a collection of names is refused."""
    if isinstance(keys, str):
        raise definition_error(what, where, f"resources={keys!r} is a string.", f'Write resources={{"{keys}"}}.')
    if not isinstance(keys, Iterable):
        raise definition_error(
            what, where, f"resources={keys!r} is not a set of names.", 'Write resources={"name", ...}.'
        )
    return tuple(sorted({check_name(f"resource of {lowered(what)},", key, where) for key in keys}))


def capitalized(what: str) -> str:
    """The name of a definition as it begins a sentence; the rest keeps its case: "IO manager 'lake'"."""
    return f"{what[0].upper()}{what[1:]}"


def lowered(what: str) -> str:
    """The name of a definition as it stands in the middle of a sentence: "step 'load'", but "IO manager 'lake'"."""
    return what if what[:2].isupper() else f"{what[0].lower()}{what[1:]}"


def counted(names: Iterable[str], kind: str) -> str:
    """How many there are and which: "no inputs", "1 input (a)", "2 inputs (a, b)"."""
    names = list(names)
    if not names:
        return f"no {kind}s"
    return f"{len(names)} {kind}{'' if len(names) == 1 else 's'} ({', '.join(names)})"
