"""Run-time checks of values against annotations.

beartype decides; it looks at one element of a container, drawn at random, so that a check costs the same for a list
of ten and of ten million. For containers small enough not to matter we look at every element instead, so that the
same value always gets the same verdict. Annotations that beartype cannot judge are taken as satisfied.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from orchestrator.definitions.signature import NO_DEFAULT

# Up to this many elements, each one is checked (a microsecond each).
_EVERY_ELEMENT = 1000


def type_problem(value: Any, annotation: Any) -> str | None:
    """What is wrong with the value's type, in a few words; None when it fits."""
    if annotation is NO_DEFAULT or annotation is Any or _fits(value, annotation):
        return None
    return f"expected {type_name(annotation)}, got {_shown(value)}"


def type_name(annotation: Any) -> str:
    """An annotation as a person would write it."""
    if isinstance(annotation, type) and not typing.get_args(annotation):
        module = annotation.__module__
        return annotation.__qualname__ if module in ("builtins", "__main__") else f"{module}.{annotation.__qualname__}"
    return str(annotation).replace("typing.", "")


def needs_library(annotation: Any) -> bool:
    """Whether checking this annotation will import beartype: worth doing once, before processes are forked."""
    return not (annotation is NO_DEFAULT or annotation is Any or _is_plain_class(annotation))


def preload() -> None:
    """Imports what checks need."""
    _bearable()


def _is_plain_class(annotation: Any) -> bool:
    return type(annotation) is type and not typing.get_args(annotation) and not typing.is_typeddict(annotation)


def _fits(value: Any, annotation: Any) -> bool:
    if annotation is float:  # PEP 484: an int is acceptable where a float is expected
        return isinstance(value, (float, int)) and not isinstance(value, bool)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if _is_plain_class(annotation):
        return isinstance(value, annotation)
    try:
        if not _bearable()(value, annotation):
            return False
    except Exception:  # beartype raises its own errors for annotations it does not support
        return True
    return all(_fits(item, wanted) for item, wanted in _elements(value, annotation))


def _elements(value: Any, annotation: Any) -> Iterable[tuple[Any, Any]]:
    args = typing.get_args(annotation)
    if not args or not isinstance(value, (list, tuple, set, frozenset, dict)) or len(value) > _EVERY_ELEMENT:
        return ()
    origin = typing.get_origin(annotation)
    if origin in (list, set, frozenset) and len(args) == 1:
        return [(item, args[0]) for item in value]
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return [(item, args[0]) for item in value]
    if isinstance(value, dict) and isinstance(origin, type) and issubclass(origin, Mapping) and len(args) == 2:
        return [*((key, args[0]) for key in value), *((item, args[1]) for item in value.values())]
    return ()


def _bearable() -> Callable[[Any, Any], bool]:
    from beartype.door import is_bearable  # a tenth of a second: only for annotations that need it

    return is_bearable


def _shown(value: Any) -> str:
    name = type_name(type(value))
    if isinstance(value, (int, float, bool, str, bytes, type(None))):
        text = repr(value)
        return f"{text if len(text) <= 60 else text[:57] + '...'} ({name})"
    return f"a {name}"
