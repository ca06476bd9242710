"""Decides what each typed value of a configuration means: the text as it was typed, or what YAML reads in it.

Where the field is text it gets the text: `01234`, `1.10` and `no` are not changed on their way. Where it is a number,
a truth value or anything, it gets what YAML reads. A union takes what fits exactly: for `int | str`, `5` is a number
and `01234` is text, because no number is written that way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import Any

from orchestrator.definitions.shapes import Schema, Shapes, constants, has_field, takes_lists, takes_mappings
from orchestrator.typed import Typed, opened, plain

Path = tuple[str, ...]
# What is made of a text as well as of a number.
_NUMBERS = frozenset({"int", "float", "decimal", "fraction", "complex", "any"})


def is_reference(value: Any) -> bool:
    """Whether it is `{env: NAME}`."""
    if not isinstance(value, Mapping) or value.keys() != {"env"}:
        return False
    return isinstance(value["env"], str) or (isinstance(value["env"], Typed) and value["env"] is opened(value["env"]))


def is_data(leaves: Iterable[Schema]) -> bool:
    """Whether `{env: NAME}` at such a place is a mapping with a key called env, because nothing else fits."""
    leaves = list(leaves)
    return any(has_field(leaf, "env") for leaf in leaves) and all(
        leaf["type"] == "none" or (takes_mappings(leaf) and leaf["type"] != "any") for leaf in leaves
    )


def settled(value: Any, shapes: Shapes, refused: Callable[[Any], Set[Path]]) -> Any:
    """The value without typed ones in it. `refused` are the places where a settled value is not valid: there, the
    other reading is tried, and kept if it is valid."""
    first = _Settling(shapes, frozenset())
    result = first.settle(value, shapes.root, ())
    if not first.undecided:
        return result
    wrong = refused(result) & first.undecided
    if not wrong:
        return result
    second = _Settling(shapes, wrong).settle(value, shapes.root, ())
    corrected = wrong - refused(second)
    return _Settling(shapes, corrected).settle(value, shapes.root, ()) if corrected != wrong else second


def references_as_data(value: Any, shapes: Shapes) -> frozenset[Path]:
    """The places of mappings that look like `{env: NAME}` and are data."""

    def visit(value: Any, leaves: list[Schema], path: Path) -> Iterator[Path]:
        if isinstance(value, Mapping):
            if is_reference(value) and is_data(leaves):
                yield path
            for key, item in value.items():
                yield from visit(item, shapes.member(leaves, value, str(key)), (*path, str(key)))
        elif isinstance(value, (list, tuple)):
            for index, item in enumerate(value):
                yield from visit(item, shapes.item(leaves, index), (*path, str(index)))

    return frozenset(visit(value, shapes.root, ()))


def literal_secrets(value: Any, shapes: Shapes) -> list[Path]:
    """The places of secrets that are given as they are, and not as `{env: NAME}`."""

    def visit(value: Any, leaves: list[Schema], path: Path) -> Iterator[Path]:
        if is_reference(value) and not is_data(leaves):
            return
        if isinstance(value, Mapping):
            for key, item in value.items():
                yield from visit(item, shapes.member(leaves, value, str(key)), (*path, str(key)))
        elif isinstance(value, (list, tuple)):
            for index, item in enumerate(value):
                yield from visit(item, shapes.item(leaves, index), (*path, str(index)))
        elif value is not None and any(leaf["type"] == "secret" for leaf in leaves):
            yield path

    return list(visit(value, shapes.root, ()))


class _Settling:
    """One way through a configuration. `other` are the places to settle the other way."""

    def __init__(self, shapes: Shapes, other: Set[Path]) -> None:
        self._shapes = shapes
        self._other = other
        self.undecided: set[Path] = set()

    def settle(self, value: Any, leaves: list[Schema], path: Path) -> Any:
        inside = opened(value)
        if is_reference(inside) and not is_data(leaves):
            return {"env": str(inside["env"].text if isinstance(inside["env"], Typed) else inside["env"])}
        if isinstance(inside, Mapping) and (inside is value or any(map(takes_mappings, leaves))):
            return {
                str(key): self.settle(item, self._shapes.member(leaves, inside, str(key)), (*path, str(key)))
                for key, item in inside.items()
            }
        if isinstance(inside, (list, tuple)) and (inside is value or any(map(takes_lists, leaves))):
            return [
                self.settle(item, self._shapes.item(leaves, index), (*path, str(index)))
                for index, item in enumerate(inside)
            ]
        return self._scalar(value, leaves, path) if isinstance(value, Typed) else value

    def _scalar(self, value: Typed, leaves: list[Schema], path: Path) -> Any:
        if isinstance(value.value, float) and not math.isfinite(value.value):
            return str(value.value)  # JSON has none; the types that do read it from text
        as_text = _means_text(value, leaves)
        if not as_text or _may_be_number(value, leaves):
            self.undecided.add(path)
        return value.text if as_text != (path in self._other) else plain(value)


def _means_text(typed: Typed, leaves: list[Schema]) -> bool:
    for leaf in leaves:
        if any(constant == typed.text and isinstance(constant, str) for constant in constants(leaf)):
            return True
    fits = any(_fits(typed.value, leaf) for leaf in leaves)
    is_text_too = any(leaf["type"] == "str" for leaf in leaves)
    if not fits or not is_text_too:
        return not fits
    if typed.text == "":
        return True  # `--set name=` empties a text
    is_number = isinstance(typed.value, (int, float)) and not isinstance(typed.value, bool)
    return is_number and repr(typed.value) != typed.text


def _may_be_number(typed: Typed, leaves: list[Schema]) -> bool:
    """Whether the number can be tried where the text is not valid: `0x10` is one for YAML, and not for pydantic."""
    is_whole = isinstance(typed.value, int) and not isinstance(typed.value, bool)
    return is_whole and any(leaf["type"] in _NUMBERS for leaf in leaves)


def _fits(value: Any, leaf: Schema) -> bool:
    """Whether a field of that kind has a use for a value of this type."""
    kind = leaf["type"]
    if kind == "any":
        return True
    if value is None or isinstance(value, bool):
        return kind == ("none" if value is None else "bool") or _is_constant(value, leaf)
    if isinstance(value, (int, float)):
        return kind == "float" or (kind == "int" and isinstance(value, int)) or _is_constant(value, leaf)
    return takes_lists(leaf) if isinstance(value, list) else takes_mappings(leaf)


def _is_constant(value: Any, leaf: Schema) -> bool:
    return any(constant == value and type(constant) is type(value) for constant in constants(leaf))
