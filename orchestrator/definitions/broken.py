"""Sets aside definitions that are wrong while a location is loaded, so that the others in its module can be used.
Everywhere else a decorator raises at once: in a test, or when the module is imported by hand.

A decorated function is replaced by a BrokenDefinition. A value that is made in the arguments of a decorator (a Mode, a
Preset, a RetryPolicy) is kept with its error, which whatever uses the value raises.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar, cast

from orchestrator.definitions.source_location import (
    Where,
    capitalized,
    check_function,
    check_options,
    definition_error,
    where_called,
    where_is,
)
from orchestrator.errors import DefinitionError

P = ParamSpec("P")
T = TypeVar("T")

# The values that were refused, each with the reason, while a location is loaded; None everywhere else.
_refused: contextvars.ContextVar[list[tuple[Any, DefinitionError]] | None] = contextvars.ContextVar(
    "refused", default=None
)


@contextmanager
def setting_aside() -> Iterator[None]:
    """Makes decorators return a BrokenDefinition instead of raising DefinitionError."""
    token = _refused.set([])
    try:
        yield
    finally:
        _refused.reset(token)


def _sets_aside() -> bool:
    return _refused.get() is not None


def checked_later(check: Callable[[T], None]) -> Callable[[T], None]:
    """For the `__post_init__` of a value: while a location is loaded, what it raises is raised by `check_usable`."""

    @functools.wraps(check)
    def checked(value: T) -> None:
        try:
            check(value)
        except DefinitionError as error:
            refused = _refused.get()
            if refused is None:
                raise
            refused.append((value, error))

    return checked


def check_usable(value: object) -> None:
    """Raises the error of a broken definition, or of a value that was refused when it was made."""
    if isinstance(value, BrokenDefinition):
        raise value.error
    for refused, error in _refused.get() or ():
        if refused is value:
            raise error


class BrokenDefinition:
    """Takes the place of a definition that cannot be right. Using it raises the error."""

    def __init__(self, kind: str, name: str, where: Where, error: DefinitionError) -> None:
        self.kind = kind  # step, pipeline, schedule, sensor, resource, "IO manager" or hook
        self.name = name
        self.where = where
        self.error = error

    def __call__(self, *_args: Any, **_kwargs: Any) -> Any:
        raise self.error

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise self.error

    def __str__(self) -> str:
        return capitalized(f"{self.kind} {self.name!r}")

    __repr__ = __str__


def defined(kind: str, function: Any, make: Callable[[], T], name: object = None) -> T | Any:
    """What `make` returns; while a location is loaded, a BrokenDefinition if it raises."""
    try:
        return make()
    except DefinitionError as error:
        if not _sets_aside():
            raise
        return _set_aside(kind, function, error, name)
    except Exception as error:
        if not _sets_aside():
            raise
        return _set_aside(kind, function, _explained(kind, function, error), name)


def decorate(
    kind: str,
    decorator: str,
    function: Any,
    options: dict[str, Any],
    cls: Callable[..., Any],
    *,
    may_wait: bool = False,
    **fixed: Any,
) -> Any:
    """What a decorator returns: `cls(function, **options)`, or, without a function, a decorator that makes that of one.
    Options are those of `cls` that are given by name."""

    def make(function: Any) -> Any:
        def define() -> Any:
            check_options(decorator, cls.__init__, options)
            check_function(decorator, function, may_wait=may_wait)
            return cls(function, **fixed, **options)

        return defined(kind, function, define, options.get("name"))

    return make if function is None else make(function)


def named_options(kind: str, example: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """For a decorator whose options are all given by name: refuses others, naming the near ones."""

    def wrap(decorator: Callable[P, T]) -> Callable[P, T]:
        required = [
            p.name for p in inspect.signature(decorator).parameters.values() if p.default is inspect.Parameter.empty
        ]

        @functools.wraps(decorator)
        def checked(*args: P.args, **options: P.kwargs) -> T:
            try:
                if args:
                    hint = f"Write {example}."
                    raise definition_error(
                        f"@{kind}", where_called(), "its options are given by name, in parentheses.", hint
                    )
                check_options(f"@{kind}", decorator, options)
            except DefinitionError as error:
                if not _sets_aside():
                    raise
                refused = error  # outlives its clause
                return lambda function: _set_aside(kind, function, refused, options.get("name"))  # type: ignore[return-value]
            given: dict[str, Any] = {**dict.fromkeys(required), **options}
            return cast(Callable[..., T], decorator)(**given)  # one that is missing is refused as None is

        return checked

    return wrap


def _set_aside(kind: str, function: Any, error: DefinitionError, name: object) -> Any:
    given = name if isinstance(name, str) else getattr(function, "__name__", "?")
    try:
        where = where_is(function)
    except AttributeError:  # it is no function: that is what is wrong
        where = where_called()
    return BrokenDefinition("sensor" if kind.endswith("sensor") else kind, given, where, error)


def _explained(kind: str, function: Any, error: Exception) -> DefinitionError:
    """What user code raised while it was defined, with its line."""
    frames = traceback.extract_tb(error.__traceback__)
    line = f", line {frames[-1].lineno}" if frames else ""
    said = "".join(traceback.format_exception_only(error)).strip()
    what = f"{kind.capitalize()} {getattr(function, '__name__', '?')!r}"
    return definition_error(what, where_is(function), f"its function raised {said}{line}.")
