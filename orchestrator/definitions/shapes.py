"""Reads from a pydantic schema which values may stand at each place of a configuration. A schema of an unknown kind
accepts anything.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from orchestrator.typed import Typed

Schema = Mapping[str, Any]

ANYTHING: Schema = {"type": "any"}
_TEXT: Schema = {"type": "str"}
_NOTHING: Schema = {"type": "none"}
SECRET: Schema = {"type": "secret"}
# Schemas that hold what they mean in "schema", whatever else they do with a value.
_AROUND = frozenset(
    {
        *("default", "function-before", "function-after", "function-wrap", "model", "dataclass", "custom-error"),
        *("model-field", "dataclass-field", "typed-dict-field", "definitions"),
    }
)
_OBJECTS = frozenset({"model-fields", "dataclass-args", "typed-dict"})
_LISTS = frozenset({"list", "set", "frozenset", "tuple", "generator"})
_LEAVES = frozenset(
    {
        *("none", "bool", "int", "float", "str", "literal", "enum", "any", "dict", "secret"),
        # Read from text, and from hardly anything else.
        *("decimal", "date", "time", "datetime", "timedelta", "uuid", "url", "multi-host-url", "bytes", "complex"),
        "fraction",
    }
)


class Shapes:
    """The schema of one configuration. A place in it is described by its leaves: the simple types, lists and objects
    that a value there may be."""

    def __init__(self, core_schema: Schema) -> None:
        self._definitions: dict[str, Schema] = {}
        self._known: dict[int, list[Schema]] = {}  # by the identity of schemas, which live as long as this does
        self._core_schema = core_schema
        self.root = self._leaves(core_schema)

    def item(self, leaves: Iterable[Schema], index: int) -> list[Schema]:
        """The leaves of a member of a list."""
        found: list[Schema] = []
        for leaf in leaves:
            if leaf["type"] == "any":
                found.append(ANYTHING)
            elif leaf["type"] in _LISTS:
                found += self._leaves(_item_schema(leaf, index))
        return found or [ANYTHING]

    def member(self, leaves: Iterable[Schema], whole: Mapping[str, Any], key: str) -> list[Schema]:
        """The leaves of a member of a mapping. `whole` is the mapping: a tag in it may tell types apart."""
        candidates = [leaf for leaf in leaves if leaf["type"] in _OBJECTS or leaf["type"] in ("dict", "any")]
        agreeing = [leaf for leaf in candidates if self._agrees(leaf, whole)]
        found: list[Schema] = []
        for leaf in agreeing or candidates:
            if leaf["type"] == "any":
                found.append(ANYTHING)
            elif leaf["type"] == "dict":
                found += self._leaves(leaf.get("values_schema", ANYTHING))
            else:
                found += self._leaves(_fields(leaf).get(key) or leaf.get("extras_schema") or ANYTHING)
        return found or [ANYTHING]

    def _agrees(self, leaf: Schema, whole: Mapping[str, Any]) -> bool:
        """Whether the mapping says nothing else where this type allows certain constants only."""
        if leaf["type"] not in _OBJECTS:
            return True
        for name, field in _fields(leaf).items():
            options = self._leaves(field) if name in whole else []
            if options and all(option["type"] == "literal" for option in options):
                given = whole[name]
                meant = [given.text, given.value] if isinstance(given, Typed) else [given]
                expected = [value for option in options for value in option["expected"]]
                if not any(value in expected for value in meant):
                    return False
        return True

    def _leaves(self, schema: Schema) -> list[Schema]:
        if id(schema) not in self._known:
            self._known[id(schema)] = list(self._flat(schema, frozenset()))
        return self._known[id(schema)]

    def _flat(self, schema: Schema, seen: frozenset[str]) -> Iterator[Schema]:
        kind = schema.get("type")
        if kind == "definitions":
            self._definitions.update({one["ref"]: one for one in schema["definitions"]})
        if _makes_secret(schema):
            yield SECRET
        if kind == "definition-ref":
            reference = schema["schema_ref"]
            if reference not in seen:
                yield from self._flat(self._definitions.get(reference, ANYTHING), seen | {reference})
        elif kind == "nullable":
            yield _NOTHING
            yield from self._flat(schema["schema"], seen)
        elif kind in _AROUND:
            yield from self._flat(schema["schema"], seen)
        elif kind in _LEAVES or kind in _LISTS or kind in _OBJECTS:
            yield schema
        else:
            for inner in _inside(schema):
                yield from self._flat(inner, seen)


def _inside(schema: Schema) -> Iterator[Schema]:
    """The schemas that one of a less simple kind stands for."""
    kind = schema.get("type")
    if kind == "union":
        yield from (choice[0] if isinstance(choice, tuple) else choice for choice in schema["choices"])
    elif kind == "tagged-union":
        yield from (choice for choice in schema["choices"].values() if isinstance(choice, Mapping))
    elif kind == "lax-or-strict":
        yield schema["lax_schema"]
    elif kind == "json-or-python":
        yield schema["python_schema"]
    elif kind == "chain":
        yield from schema["steps"]
    elif kind == "json" or (kind == "function-plain" and _is_pydantics(schema)):
        yield _TEXT  # JSON in a text; a network address, a time zone, a regular expression
    elif kind not in ("is-instance", "is-subclass", "callable"):
        yield ANYTHING


def _item_schema(leaf: Schema, index: int) -> Schema:
    schemas = leaf.get("items_schema", ANYTHING)
    if not isinstance(schemas, list):
        return schemas  # type: ignore[no-any-return]
    variadic = leaf.get("variadic_item_index")
    if variadic is not None and index >= variadic:
        return schemas[variadic]  # type: ignore[no-any-return]
    return schemas[index] if index < len(schemas) else ANYTHING


def _fields(leaf: Schema) -> dict[str, Schema]:
    """The fields of an object by their names, and by the names that they may be given under."""
    fields = leaf["fields"]
    named = fields.items() if isinstance(fields, Mapping) else [(field["name"], field) for field in fields]
    found: dict[str, Schema] = {}
    for name, field in named:
        alias = field.get("validation_alias", name)
        aliases = [alias] if isinstance(alias, str) else [path[0] for path in alias if len(path) == 1]
        found.update(dict.fromkeys([name, *aliases], field))
    return found


def has_field(leaf: Schema, name: str) -> bool:
    """Whether values of this kind are mappings that may have such a key."""
    return leaf["type"] == "dict" or (leaf["type"] in _OBJECTS and name in _fields(leaf))


def takes_lists(leaf: Schema) -> bool:
    return leaf["type"] in _LISTS or leaf["type"] == "any"


def takes_mappings(leaf: Schema) -> bool:
    return leaf["type"] in _OBJECTS or leaf["type"] in ("any", "dict")


def constants(leaf: Schema) -> list[Any]:
    """The values that a Literal or an Enum allows; empty for anything else."""
    if leaf["type"] == "literal":
        return [one.value if isinstance(one, enum.Enum) else one for one in leaf["expected"]]
    return [member.value for member in leaf["members"]] if leaf["type"] == "enum" else []


def _makes_secret(schema: Schema) -> bool:
    """Whether what is validated becomes one of pydantic's secrets, which hide their value."""
    function = schema.get("function", {}).get("function") if str(schema.get("type")).startswith("function-") else None
    module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
    if module == "pydantic.types" and name.startswith("Secret"):
        return True
    return isinstance(function, type) and any(
        base.__module__ == "pydantic.types" and base.__name__.startswith("Secret") for base in function.__mro__
    )


def _is_pydantics(schema: Schema) -> bool:
    function = schema.get("function", {}).get("function")
    return str(getattr(function, "__module__", "")).startswith("pydantic.")
