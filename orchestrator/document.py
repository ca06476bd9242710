"""A YAML document and the lines of its values: made into a record, with all problems reported at once.

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

from orchestrator.errors import ConfigError, near_misses
from orchestrator.typed import Place, Typed, plain
from orchestrator.yaml_text import NotYaml, YamlDocument, read_yaml


def reader(read: Callable[[Any], Any]) -> msgspec.Meta:
    """For `Annotated[T, reader(read)]`: the value is what `read` makes of what was written; it raises ValueError to
    refuse it."""
    return msgspec.Meta(extra={"read": read})


class Document:
    """What was written, and what is wrong with it so far (`problems`, each with the line that it is on)."""

    def __init__(self, document: YamlDocument) -> None:
        self.data = document.data
        self._problems: list[tuple[int, str]] = []
        self._lines = document.lines
        for place in document.twice:
            self.refuse(place, "given twice")

    def problems(self) -> list[str]:
        """In the order of the document."""
        return [f"line {line}: {text}" for line, text in sorted(self._problems, key=lambda problem: problem[0])]

    def refuse(self, where: Place, problem: str) -> None:
        """Notes a problem with the value that stands there."""
        line = next((self._lines[where[:n]] for n in range(len(where), -1, -1) if where[:n] in self._lines), 1)
        name = _dotted(where)
        self._problems.append((line, f"{name}: {problem}" if name else problem))

    def record(self, kind: type[msgspec.Struct], data: Any, where: Place = ()) -> Any:
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

    def _value(self, kind: Any, data: Any, where: Place) -> Any:
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
            return {
                self._key(arguments[0], name, where): self._value(arguments[1], data[name], (*where, name))
                for name in data
            }
        try:
            return _single(kind, data)
        except ValueError as error:  # msgspec's own among them
            return self.refuse(where, str(error))

    def _key(self, kind: Any, name: str, where: Place) -> str:
        try:
            return str(_single(kind, name))
        except ValueError as error:
            self.refuse((*where, name), str(error))
            return name


def read_document(path: Path, what: str, hint: str | None = None) -> Document:
    """The document in a file. Raises ConfigError if it cannot be read, or is not YAML; `what` is what to call it."""
    try:
        return Document(read_yaml(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what} {path} cannot be read: {error}.") from error
    except NotYaml as error:
        raise ConfigError(f"{what} {path}{error.where} is not YAML: {error.problem}.", hint=hint) from None


def _single(kind: Any, written: Any) -> Any:
    """One value. Raises ValueError."""
    read, choices = _read_of(kind), _choices(kind)
    data = _meant(kind, written)
    if read is not None:
        data = read(data)
    if choices and data not in choices:
        raise ValueError(f"must be {' or '.join(choices)}, got {written!r}")
    try:
        return msgspec.convert(data, kind, strict=False)
    except msgspec.ValidationError as error:
        said = str(error).replace("`null`", "nothing").replace("Expected", "must be").partition(", got ")[0]
        raise ValueError(f"{_plain(said)}, got {written!r}") from None


def _meant(kind: Any, written: Any) -> Any:
    """What a typed value means where a value of that kind belongs: where that is text, the text as it was typed."""
    if not isinstance(written, Typed):
        return written
    members = [_bare(member) for member in _members(kind)]
    if written.value is None and type(None) in members:
        return None
    return written.text if Any in members or str in members or _choices(kind) else plain(written)


def _members(kind: Any) -> tuple[Any, ...]:
    """The types that a union is made of; a type that is not one by itself."""
    return typing.get_args(kind) if typing.get_origin(kind) in (types.UnionType, typing.Union) else (kind,)


def _bare(kind: Any) -> Any:
    return typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind


def _read_of(kind: Any) -> Callable[[Any], Any] | None:
    annotated = [one for one in _members(kind) if typing.get_origin(one) is typing.Annotated]
    metas = [meta for one in annotated for meta in typing.get_args(one)[1:] if isinstance(meta, msgspec.Meta)]
    return next((meta.extra["read"] for meta in metas if meta.extra), None)


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
    for word, words in _WORDS.items():
        said = said.replace(word, words)
    return said


def _dotted(where: Place) -> str:
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
