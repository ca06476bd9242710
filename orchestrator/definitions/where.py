"""Where in the user's code a definition stands, and errors that say so."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import DefinitionError, near_misses
from orchestrator.layout import NAME


@dataclass(frozen=True)
class Where:
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


def broken(what: str, where: Where, problem: str, hint: str | None = None) -> DefinitionError:
    """The error for a definition that can never work: what it is, where it stands, what is wrong, what to do."""
    return DefinitionError(f"{what} ({where}): {problem}", hint=hint)


def check_name(kind: str, name: object, where: Where) -> str:
    """The name, if it can be one: a name becomes a file name, a word on the command line and part of larger names."""
    if isinstance(name, str) and NAME.fullmatch(name) and len(name) <= 100:
        return name
    raise broken(
        f"{kind} {name!r}",
        where,
        "that cannot be a name.",
        "A name is letters, digits and underscores, does not begin with a digit, and has at most 100 of them.",
    )


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
            raise broken(decorator, where_called(), f"there is no option {name!r}.", near_misses(name, known, "option"))
