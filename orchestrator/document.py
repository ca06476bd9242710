"""A YAML document and the lines that its values stand on: read, and made into a record with all problems told at once.

msgspec checks single values; what is here goes through the document, so that one problem does not hide the next.
Knows nothing of what the document is about.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from orchestrator.errors import ConfigError, near_misses

Where = tuple[str | int, ...]


def reader(read: Callable[[Any], Any]) -> msgspec.Meta:
    """For `Annotated[T, reader(read)]`: what is written there becomes what `read` makes of it; it raises ValueError
    with what is wrong."""
    return msgspec.Meta(extra={"read": read})


class Document:
    """What was written, and what is wrong with it so far (`problems`, each with the line that it is on)."""

    def __init__(self, node: yaml.Node | None, data: Any) -> None:
        self.data = data
        self._problems: list[tuple[int, str]] = []
        self._lines: dict[Where, int] = {}
        if node is not None:
            self._note(node, ())

    def problems(self) -> list[str]:
        """In the order of the document."""
        return [f"line {line}: {text}" for line, text in sorted(self._problems, key=lambda problem: problem[0])]

    def refuse(self, where: Where, problem: str) -> None:
        """Notes a problem with the value that stands there."""
        line = next((self._lines[where[:n]] for n in range(len(where), -1, -1) if where[:n] in self._lines), 1)
        name = _dotted(where)
        self._problems.append((line, f"{name}: {problem}" if name else problem))

    def record(self, kind: type[msgspec.Struct], data: Any, where: Where = ()) -> Any:
        """A struct of that kind; None if anything is wrong, which is noted."""
        if not isinstance(data, dict):
            return self.refuse(where, f"must be a mapping, got {data!r}")
        count = len(self._problems)
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        for name in data:
            if name not in fields:
                self.refuse((*where, str(name)), f"unknown key. {near_misses(str(name), list(fields), 'key')}")
        values = {}
        for name, field in fields.items():
            if name in data:
                values[name] = self._value(field.type, data[name], (*where, name))
            elif field.required:
                self.refuse((*where, name), "required, and missing")
        if len(self._problems) > count:
            return None
        try:
            return kind(**values)
        except ValueError as error:
            return self.refuse(where, str(error))

    # --- inside ---

    def _value(self, kind: Any, data: Any, where: Where) -> Any:
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self.record(kind, data, where)
        if origin is tuple:
            if not isinstance(data, list):
                return self.refuse(where, f"must be a list, got {data!r}")
            return tuple(self._value(arguments[0], one, (*where, place)) for place, one in enumerate(data))
        if origin is dict:
            if not isinstance(data, dict):
                return self.refuse(where, f"must be a mapping, got {data!r}")
            return {str(name): self._value(arguments[1], one, (*where, str(name))) for name, one in data.items()}
        try:
            return _single(kind, data)
        except ValueError as error:  # msgspec's own among them
            return self.refuse(where, str(error))

    def _note(self, node: yaml.Node, where: Where) -> None:
        self._lines.setdefault(where, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._note(item, (*where, index))
        elif isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                name = str(key.value)
                here = (*where, name)
                self._lines[here] = key.start_mark.line + 1
                if name in seen:
                    self.refuse(here, "given twice")
                seen.add(name)
                self._note(value, here)


def read_document(path: Path, what: str, hint: str | None = None) -> Document:
    """The document in a file. Raises ConfigError if it cannot be read, or is not YAML; `what` is what to call it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what} {path} cannot be read: {error}.") from error
    loader = _LOADER(text)
    try:
        node = loader.get_single_node()
        data = loader.construct_document(node) if node is not None else None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        said = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"{what} {path}{where} is not YAML: {said}.", hint=hint) from error
    finally:
        loader.dispose()
    return Document(node, data)


# The C parser is ten times as fast, and part of every wheel; a build from source may lack it.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _single(kind: Any, data: Any) -> Any:
    """One value. Raises ValueError."""
    read, choices = _read_of(kind), _choices(kind)
    if read is not None:
        data = read(data)
    if choices and data not in choices:
        raise ValueError(f"must be {' or '.join(choices)}, got {data!r}")
    try:
        return msgspec.convert(data, kind, strict=False)
    except msgspec.ValidationError as error:
        said = str(error).replace("`null`", "nothing").replace("Expected", "must be").partition(", got ")[0]
        raise ValueError(f"{_plain(said)}, got {data!r}") from None


def _read_of(kind: Any) -> Callable[[Any], Any] | None:
    metas = typing.get_args(kind)[1:] if typing.get_origin(kind) is typing.Annotated else ()
    return next((meta.extra["read"] for meta in metas if isinstance(meta, msgspec.Meta) and meta.extra), None)


def _choices(kind: Any) -> tuple[str, ...]:
    return typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else ()


# What msgspec calls things, in the words of people who write YAML.
_WORDS: Mapping[str, str] = types.MappingProxyType(
    {
        "`str | null`": "text",
        "`str`": "text",
        "`int`": "a whole number",
        "`float`": "a number",
        "`bool`": "true or false",
    }
)


def _plain(said: str) -> str:
    for word, plain in _WORDS.items():
        said = said.replace(word, plain)
    return said


def _dotted(where: Where) -> str:
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
