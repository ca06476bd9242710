"""Checks values against annotations at run time.

beartype decides; it looks at one element of a container, drawn at random, so that a check costs the same for a list
of ten and of ten million. For containers small enough not to matter we look at every element instead, so that the
same value always gets the same verdict. Annotations that beartype cannot judge are taken as satisfied; of a TypedDict
it judges only that the value is a dictionary.
"""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from orchestrator.definitions.signature import NO_DEFAULT

# Up to this many elements, each one is checked (a microsecond each).
_EVERY_ELEMENT = 1000


def type_problem(value: Any, annotation: Any, *, secret: bool = False) -> str | None:
    """What is wrong with the value's type, in a few words; None when it fits. A `secret` value is not shown."""
    if annotation is NO_DEFAULT or annotation is Any or _fits(value, annotation):
        return None
    if secret:
        return f"expected {type_name(annotation)}, got {with_article(type_name(type(value)))}"
    return f"expected {type_name(annotation)}, got {_shown(value)}{_difference(value, annotation)}"


def plain_scalar(value: Any, annotation: Any) -> Any:
    """The value; if it is a numpy integer, float or bool and the annotation asks for Python's own, that.

    Arithmetic in numpy wraps around where Python's does not, so a step that is annotated `int` is given an int.
    Elements of containers stay as they are.
    """
    plain = _plain(value)
    if plain is None or annotation is NO_DEFAULT or annotation is Any or _fits_itself(value, annotation):
        return value
    return plain if _fits_itself(plain, annotation) else value


def type_name(annotation: Any) -> str:
    """An annotation as a person would write it."""
    if isinstance(annotation, type) and not typing.get_args(annotation):
        module = annotation.__module__
        return annotation.__qualname__ if module in ("builtins", "__main__") else f"{module}.{annotation.__qualname__}"
    return str(annotation).replace("typing.", "")


def with_article(name: str) -> str:
    """The name with its indefinite article."""
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def needs_library(annotation: Any) -> bool:
    """Whether checking this annotation will import beartype: worth doing once, before processes are forked."""
    return not (annotation is NO_DEFAULT or annotation is Any or _is_plain_class(annotation))


def preload() -> None:
    """Imports what checks need."""
    _bearable()


def _is_plain_class(annotation: Any) -> bool:
    return type(annotation) is type and not typing.get_args(annotation) and not typing.is_typeddict(annotation)


def _fits(value: Any, annotation: Any) -> bool:
    if _fits_itself(value, annotation):
        return True
    plain = _plain(value)
    return plain is not None and _fits_itself(plain, annotation)


def _plain(value: Any) -> Any:
    """The bool, int or float that a numpy scalar stands for; None for anything else."""
    if type(value).__module__ != "numpy" or not isinstance(value, sys.modules["numpy"].generic):
        return None
    plain = value.item()
    return plain if type(plain) in (bool, int, float) else None


def _fits_itself(value: Any, annotation: Any) -> bool:
    if annotation is float:  # PEP 484: an int is acceptable where a float is expected
        return isinstance(value, (float, int)) and not isinstance(value, bool)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if _is_plain_class(annotation):
        return isinstance(value, annotation)
    arms = _arms(annotation)
    if arms:
        return any(_fits_itself(value, arm) for arm in arms)
    try:
        if not _bearable()(value, annotation):
            return _each_fits(value, annotation)
    except Exception:  # beartype raises its own errors for annotations it does not support
        return True
    return all(_fits(item, wanted) for _, item, wanted in _elements(value, annotation))


def _each_fits(value: Any, annotation: Any) -> bool:
    """Whether a container fits by its elements: beartype does not take numpy's scalars for Python's."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if not isinstance(origin, type) or not isinstance(value, origin):
        return False
    if isinstance(value, tuple) and origin is tuple and Ellipsis not in args and len(args) != len(value):
        return False
    elements = list(_elements(value, annotation, most=sys.maxsize))
    return bool(elements) and all(_fits(item, wanted) for _, item, wanted in elements)


def _arms(annotation: Any) -> tuple[Any, ...]:
    """The alternatives of a union."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return tuple(type(None) if arm is None else arm for arm in typing.get_args(annotation))
    return ()


def _elements(value: Any, annotation: Any, most: int = _EVERY_ELEMENT) -> Iterable[tuple[Any, Any, Any]]:
    """(where it is, the element, its annotation) for the elements that are checked one by one."""
    args = typing.get_args(annotation)
    if not args or not isinstance(value, (list, tuple, set, frozenset, dict)) or len(value) > most:
        return ()
    origin = typing.get_origin(annotation)
    if origin is tuple and not (len(args) == 2 and args[1] is Ellipsis):
        return zip(range(len(args)), value, args, strict=False)
    if not isinstance(origin, type):
        return ()
    if isinstance(value, dict):
        if not issubclass(origin, Mapping) or len(args) != 2:
            return ()
        keys = (("a key", key, args[0]) for key in value)
        return [*keys, *((key, item, args[1]) for key, item in value.items())]
    return [(position, item, args[0]) for position, item in enumerate(value)] if issubclass(origin, Iterable) else ()


@cache
def _bearable() -> Callable[[Any, Any], bool]:
    from beartype import BeartypeConf  # a tenth of a second: only for annotations that need it
    from beartype.door import is_bearable

    conf = BeartypeConf(is_pep484_tower=True)
    return lambda value, annotation: is_bearable(value, annotation, conf=conf)


def _shown(value: Any) -> str:
    if value is None:
        return "None"
    name = type_name(type(value))
    if isinstance(value, (int, float, bool, str, bytes)):
        text = repr(value)
        return f"{text if len(text) <= 60 else text[:57] + '...'} ({name})"
    return with_article(name)


def _difference(value: Any, annotation: Any) -> str:
    """What the names of the two types do not say: the length of a tuple, the element that does not fit, two classes of
    one name."""
    args = typing.get_args(annotation)
    if typing.get_origin(annotation) is tuple and isinstance(value, tuple) and Ellipsis not in args:
        members = 0 if args == ((),) else len(args)
        if len(value) != members:
            return f" with {len(value)} member{'' if len(value) == 1 else 's'}, not {members}"
    for where, item, wanted in _elements(value, annotation, most=sys.maxsize):
        if not _fits(item, wanted):
            return f" with {_shown(item)} {'as ' if where == 'a key' else 'at '}{where}{_difference(item, wanted)}"
    if type(value) is not annotation and type_name(type(value)) == type_name(annotation):
        return ", a different class of the same name: its module was imported or run twice"
    return ""
