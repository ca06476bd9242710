"""Reads YAML 1.2 with its core schema: true and false, decimal, 0o and 0x numbers, null; everything else is text.

The parser is libyaml's (through PyYAML); what YAML 1.1 made of values is not used. Values that are not text keep the
text that they were read from (`typed.Typed`). Every malformed document raises NotYaml, with the line.
"""

from __future__ import annotations

import json
from typing import Any

import yaml
from msgspec import Struct, field

from orchestrator.typed import Place, Typed, plain_scalar

# Deeper than anybody writes, and shallow enough for everything that walks through a document later.
DEEPEST = 100
# A document may name a value again (`*alias`). What it expands to may be this much, and ten times what is written.
_ALLOWED_EXPANSION = 10_000
_CORE = "tag:yaml.org,2002:"
_KINDS = {"int": (int,), "float": (float, int), "bool": (bool,), "null": (type(None),)}

# The C parser is ten times as fast, and part of every wheel; a build from source may lack it.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class NotYaml(ValueError):
    """A text that is not a YAML document, or has a form that is refused here; `line` and `column` begin at 1."""

    def __init__(self, problem: str, line: int = 0, column: int = 0) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line
        self.column = column

    @property
    def where(self) -> str:
        """For the end of a file's name in a message."""
        return f", line {self.line}, column {self.column}" if self.line else ""


class YamlDocument(Struct, frozen=True):
    """A document: dictionaries, lists, texts, None, and `Typed` for the rest. `twice` are keys given twice."""

    data: Any
    lines: dict[Place, int]
    twice: tuple[Place, ...]


def read_yaml(text: str) -> YamlDocument:
    """The one document in the text; its data is None when there is none. Raises NotYaml."""
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise NotYaml(said, line, column) from None
    except UnicodeEncodeError:
        raise NotYaml("it has half of a surrogate pair, which is not a character") from None
    except RecursionError:
        raise NotYaml("it is nested too deeply") from None
    return YamlDocument(builder.data, builder.lines, tuple(builder.twice))


def read_json(text: str) -> Any:
    """Like the data of `read_yaml`, for a text that must be JSON. Raises NotYaml."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            name = next(key for n, (key, _) in enumerate(pairs) if key in dict(pairs[:n]))
            raise NotYaml(f"{name!r} is given twice in one object")
        return found

    def no_number(written: str) -> Any:
        raise NotYaml(f"JSON has no {written}")

    try:
        return json.loads(
            text,
            object_pairs_hook=members,
            parse_int=plain_scalar,
            parse_float=plain_scalar,
            parse_constant=no_number,
        )
    except json.JSONDecodeError as error:
        raise NotYaml(error.msg, error.lineno, error.colno) from None
    except RecursionError:
        raise NotYaml("it is nested too deeply") from None


class _Open(Struct):
    """A list or mapping whose end has not come yet."""

    items: list[Any] | dict[str, Any]
    place: Place
    anchor: str | None
    size: int = 1
    key: str | None = None
    merges: bool = False
    merged: list[dict[str, Any]] = field(default_factory=list)


class _Builder:
    """Makes a document of the parser's events: without recursion, whatever is written."""

    def __init__(self) -> None:
        self.data: Any = None
        self.lines: dict[Place, int] = {}
        self.twice: list[Place] = []
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._events = 0
        self._documents = 0

    def take(self, event: Any) -> None:
        self._events += 1
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise _refused(event, "it has several documents, and may have one")
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            self._begin(event)
        elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            self._end(event)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)

    def _scalar(self, event: Any) -> None:
        value = _read_scalar(event)
        if event.anchor:
            self._anchors[event.anchor] = value, 1
        if self._awaits_key():
            plain_merge = event.value == "<<" and event.implicit[0]
            self._take_key(str(event.value), event, merges=plain_merge)
        else:
            # An empty value was not typed.
            self._put(None if isinstance(value, Typed) and not value.text else value, 1, event)

    def _begin(self, event: Any) -> None:
        wanted = "seq" if isinstance(event, yaml.SequenceStartEvent) else "map"
        if event.tag not in (None, "!", _CORE + wanted):
            raise _refused(event, f"the tag {_tag(event.tag)} is not supported here")
        if self._awaits_key():
            raise _refused(event, "a key must be text")
        if len(self._open) >= DEEPEST:
            raise _refused(event, f"it is nested deeper than {DEEPEST} levels")
        place = self._place()
        self.lines.setdefault(place, event.start_mark.line + 1)
        if event.anchor:
            self._anchors.pop(event.anchor, None)
        self._open.append(_Open([] if wanted == "seq" else {}, place, event.anchor))

    def _end(self, event: Any) -> None:
        done = self._open.pop()
        if isinstance(done.items, dict):
            for source in done.merged:
                for key, value in source.items():
                    done.items.setdefault(key, value)
        if done.anchor:
            self._anchors[done.anchor] = done.items, done.size
        self._put(done.items, done.size, event)

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            inside = any(one.anchor == event.anchor for one in self._open)
            problem = "contains itself" if inside else "is defined nowhere before this"
            raise _refused(event, f"the value called &{event.anchor} {problem}")
        value, size = self._anchors[event.anchor]
        if not self._awaits_key():
            self._put(value, size, event)
        elif isinstance(value, (str, Typed)):
            self._take_key(str(value.text if isinstance(value, Typed) else value), event)
        else:
            raise _refused(event, "a key must be text")

    def _awaits_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].items, dict) and self._open[-1].key is None

    def _take_key(self, key: str, event: Any, *, merges: bool = False) -> None:
        top = self._open[-1]
        top.key, top.merges = key, merges
        place = (*top.place, key)
        if not merges and key in top.items:
            self.twice.append(place)
        self.lines[place] = event.start_mark.line + 1

    def _place(self) -> Place:
        if not self._open:
            return ()
        top = self._open[-1]
        return (*top.place, len(top.items) if isinstance(top.items, list) else str(top.key))

    def _put(self, value: Any, size: int, event: Any) -> None:
        self.lines.setdefault(self._place(), event.start_mark.line + 1)
        if not self._open:
            self.data = value
            return
        top = self._open[-1]
        top.size += size
        if top.size > _ALLOWED_EXPANSION + 10 * self._events:
            raise _refused(event, "its aliases expand to far more than is written")
        if isinstance(top.items, list):
            top.items.append(value)
        elif top.merges:
            top.merged += _merged(value, event)
            top.key = None
        else:
            top.items[str(top.key)] = value
            top.key = None


def _merged(value: Any, event: Any) -> list[dict[str, Any]]:
    sources = value if isinstance(value, list) else [value]
    if not all(isinstance(source, dict) for source in sources):
        raise _refused(event, "`<<` merges mappings, and this is not one")
    return sources


def _read_scalar(event: Any) -> Any:
    """The value of a scalar. Its tag, if it has one, may only say what the core schema knows."""
    text, tag = str(event.value), event.tag
    if tag is None:
        return plain_scalar(text) if event.implicit[0] else text
    if tag in ("!", _CORE + "str"):
        return text
    name = tag.removeprefix(_CORE)
    if name not in _KINDS or not tag.startswith(_CORE):
        raise _refused(event, f"the tag {_tag(tag)} is not supported here")
    value = plain_scalar(text)
    if not isinstance(value, Typed) or type(value.value) not in _KINDS[name]:
        raise _refused(event, f"{text!r} is not {_tag(tag)}")
    return value


def _tag(tag: str) -> str:
    return "!!" + tag.removeprefix(_CORE) if tag.startswith(_CORE) else tag


def _refused(event: Any, problem: str) -> NotYaml:
    return NotYaml(problem, event.start_mark.line + 1, event.start_mark.column + 1)
