"""Finding the keys of a configuration that its JSON Schema has no place for. pydantic ignores them in most types, and a
misspelled field would silently keep its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.errors import near_misses

Path = tuple[str, ...]
Schema = Mapping[str, Any]
Unknown = tuple[Path, str]


def unknown_keys(value: Any, schema: Schema, definitions: Mapping[str, Schema], path: Path) -> list[Unknown]:
    """The keys inside the value, at any depth, that its JSON Schema has no place for."""
    if not isinstance(value, (dict, list)):
        return []
    found = [
        _unknown_in_list(value, option, definitions, path)
        if isinstance(value, list)
        else _unknown_in_dict(value, option, definitions, path)
        for option in _alternatives(value, schema, definitions)
    ]
    return min(found, key=len, default=[])


def _unknown_in_list(value: list[Any], schema: Schema, definitions: Mapping[str, Schema], path: Path) -> list[Unknown]:
    first, rest = schema.get("prefixItems", []), schema.get("items")
    schemas = [first[i] if i < len(first) else rest for i in range(len(value))]
    return [
        problem
        for i, (item, inner) in enumerate(zip(value, schemas, strict=True))
        if isinstance(inner, dict)
        for problem in unknown_keys(item, inner, definitions, (*path, str(i)))
    ]


def _unknown_in_dict(
    value: dict[str, Any], schema: Schema, definitions: Mapping[str, Schema], path: Path
) -> list[Unknown]:
    known, others = schema.get("properties"), schema.get("additionalProperties")
    problems = []
    for name, item in value.items():
        inner = (known or {}).get(name, others)
        if isinstance(inner, dict):
            problems += unknown_keys(item, inner, definitions, (*path, name))
        elif known is not None and not inner:
            hint = near_misses(name, known, "field") if known else "It has no fields."
            problems.append(((*path, name), f"unknown. {hint}"))
    return problems


def _alternatives(value: Any, schema: Schema, definitions: Mapping[str, Schema]) -> list[Schema]:
    """The schemas, of all that a union allows, that may be meant by a value of this form."""
    if "$ref" in schema:
        schema = definitions.get(str(schema["$ref"]).rsplit("/", 1)[-1], {})
    members = schema.get("anyOf") or schema.get("oneOf")
    if members:
        options = [option for member in members for option in _alternatives(value, member, definitions)]
        return [option for option in options if _agrees(value, option)] or options
    form = "array" if isinstance(value, list) else "object"
    return [schema] if schema.get("type", form) == form else []


def _agrees(value: Any, schema: Schema) -> bool:
    """Whether the value says nothing else where the schema allows one constant only (a tag that tells types apart)."""
    fields = schema.get("properties", {}) if isinstance(value, dict) else {}
    return all(value[name] == field["const"] for name, field in fields.items() if "const" in field and name in value)
