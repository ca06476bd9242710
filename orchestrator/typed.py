"""Values as a person typed them: the text, and what YAML 1.2 reads in it. Which of the two a field gets is decided
where the type of the field is known (`definitions.settle`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import PurePath
from typing import Any

from msgspec import Struct

from orchestrator.errors import ConfigError, shortened

# Values of these types are stored as they are.
_STORABLE = frozenset({str, int, bool, type(None)})
Place = tuple[str | int, ...]


class Typed(Struct, frozen=True):
    """A value from a file or a command line that YAML does not read as text: a number, true, false, null, or, after
    `--set`, a whole list or mapping."""

    text: str
    value: Any

    def __repr__(self) -> str:
        return self.text  # messages show what was typed


_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]{1,20}|0o[0-7]{1,22}|0x[0-9a-fA-F]{1,16}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
# JSON readers and DuckDB agree on whole numbers of 64 bits.
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1


def plain_scalar(text: str) -> str | Typed:
    """What the core schema of YAML 1.2 reads in an unquoted scalar; the text itself when it is text.

    A number that a 64-bit integer or a finite float cannot hold stays text, so that no digit of it is lost.
    """
    if text in _NULL:
        return Typed(text, None)
    if text in _BOOL:
        return Typed(text, _BOOL[text])
    if _INT.fullmatch(text):
        number = int(text, 8 if text.startswith("0o") else 16 if text.startswith("0x") else 10)
        return Typed(text, number) if _LEAST <= number <= _MOST else text
    if _INFINITE.fullmatch(text):
        return Typed(text, float(text.replace(".", "", 1)))
    if _FLOAT.fullmatch(text) and any(character in ".eE" for character in text):
        return Typed(text, float(text)) if math.isfinite(float(text)) else text
    return text


def opened(value: Any) -> Any:
    """The list or mapping of a typed one; anything else as it is."""
    return value.value if isinstance(value, Typed) and isinstance(value.value, (list, dict)) else value


def plain(value: Any) -> Any:
    """The value with what YAML reads in place of each typed one. JSON has no infinity, so that one stays text."""
    if isinstance(value, Typed):
        is_json = not isinstance(value.value, float) or math.isfinite(value.value)
        return plain(value.value) if is_json else value.text
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def storable(value: Any) -> Any:
    """The value as it is stored in JSON, so that a run gets back what user code meant: texts for paths, for bytes of
    UTF-8 and for numbers that JSON has no form for, the values of enums, dicts for dataclasses. Raises ConfigError."""
    kind = type(value)
    if kind in _STORABLE:
        return value
    if kind is dict:  # asked by type first, which is much faster than by abstract class
        return {
            key if type(key) is str else _storable_key(key): item if type(item) in _STORABLE else storable(item)
            for key, item in value.items()
        }
    if isinstance(value, Mapping):
        return {_storable_key(key): storable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(item) for item in value]
    return _storable_scalar(value)


def _storable_scalar(value: Any) -> Any:
    if isinstance(value, Enum):
        return storable(value.value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, (bytes, bytearray)):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            shown = shortened(repr(value), 60)
            hint = "Give a text that stands for them, or the path of a file that holds them."
            raise ConfigError(f"Configuration is text: the bytes {shown} are not UTF-8.", hint=hint) from None
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: storable(getattr(value, field.name)) for field in fields(value) if field.init}
    return value


def _storable_key(key: Any) -> Any:
    found = _storable_scalar(key)
    if found is None:
        raise ConfigError("A key of the configuration is None.", hint="Use a text as the key.")
    return found


def copied(value: Any) -> Any:
    """A deep copy of dicts, lists and tuples, so that later changes by the caller have no effect. A key that is an enum
    becomes its value, by which it is known everywhere else."""
    if isinstance(value, Mapping):
        return {
            key.value if isinstance(key, Enum) else key: item if type(item) in _STORABLE else copied(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [item if type(item) in _STORABLE else copied(item) for item in value]
    return tuple(copied(item) for item in value) if type(value) is tuple else value


def escaped(value: Any) -> Any:
    """The value with each character that UTF-8 has no form for (an odd byte of a file name, half of a surrogate pair)
    written as `\\udcXX`, in keys too."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, Mapping):
        return {escaped(key): escaped(item) for key, item in value.items()}
    return [escaped(item) for item in value] if isinstance(value, (list, tuple)) else value


def typed_texts(value: Any, place: Place = ()) -> Iterable[tuple[Place, str]]:
    """The text of each typed value inside `value`, by its place. Outer ones come after those inside them."""
    inside = opened(value)
    if isinstance(inside, Mapping):
        for key, item in inside.items():
            yield from typed_texts(item, (*place, str(key)))
    elif isinstance(inside, (list, tuple)):
        for index, item in enumerate(inside):
            yield from typed_texts(item, (*place, index))
    if isinstance(value, Typed):
        yield place, value.text


def with_texts(value: Any, texts: Iterable[tuple[Place, str]]) -> Any:
    """The opposite of `plain` and `typed_texts`: the value with its typed texts put back. Changes `value` in place."""
    root = [value]
    for place, text in texts:
        container: Any = root
        key: str | int = 0
        for part in place:
            container, key = container[key], part
        scalar = plain_scalar(text)
        is_scalar = isinstance(scalar, Typed) and not isinstance(container[key], (list, dict))
        container[key] = scalar if is_scalar else Typed(text, container[key])
    return root[0]
