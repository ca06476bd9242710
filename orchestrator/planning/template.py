"""A configuration template for a pipeline: every field there is, with its type and default, as commented YAML. Checks
nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from orchestrator.definitions.config import ConfigSchema, Path, Schema
from orchestrator.definitions.pipeline import Mode, PipelineDefinition
from orchestrator.definitions.signature import NO_DEFAULT
from orchestrator.planning.run_config import resource_schema, resources_of, step_schema

# What YAML takes for something else than text.
_YAML_WORDS = {"on", "off", "yes", "no", "true", "false", "null"}


class Entry(Struct, frozen=True):
    """One line of the template and what stands below it."""

    key: str
    value: str = ""
    note: str = ""
    required: bool = False
    children: tuple[Entry, ...] = ()

    def is_needed(self) -> bool:
        return self.required or any(child.is_needed() for child in self.children)

    def lines(self, depth: int = 0) -> Iterator[str]:
        mark = "" if self.is_needed() else "# "
        note = f"   # {self.note}" if self.note else ""
        key = json.dumps(self.key) if self.key.lower() in _YAML_WORDS or "." in self.key else self.key
        # Taking the mark away leaves a line that fits.
        yield f"{'  ' * depth}{mark}{key}:{' ' + self.value if self.value else ''}{note}"
        for child in self.children:
            yield from child.lines(depth + 1)


def config_template(pipeline: PipelineDefinition, mode: Mode) -> str:
    """The template. What is required stands as it must be filled in; everything optional is commented out with its
    default, so that the text can be used once the required values are there."""
    entries = [
        Entry("inputs", children=tuple(_inputs(pipeline))),
        Entry("steps", children=tuple(_steps(pipeline))),
        Entry("resources", children=tuple(_resources(mode))),
        Entry("execution", children=(Entry("retries", "enabled", "or disabled: no step is tried again"),)),
    ]
    lines = [f"# Configuration of pipeline {pipeline.name}, mode {mode.name}. Any value may be {{env: NAME}}."]
    for entry in entries:
        if entry.children:
            lines += entry.lines()
    return "\n".join(lines) + "\n"


def _inputs(pipeline: PipelineDefinition) -> Iterator[Entry]:
    for name, value in pipeline.graph.inputs.items():
        yield _loose_input(name, value.default)


def _steps(pipeline: PipelineDefinition) -> Iterator[Entry]:
    for key, node in pipeline.graph.nodes.items():
        children = []
        schema = step_schema(node.step)
        if schema is not None:
            children.append(_config(schema))
        loose = [_loose_input(name, p.default) for name, p in node.step.inputs.items() if name not in node.inputs]
        if loose:
            children.append(Entry("inputs", children=tuple(loose)))
        if children:
            yield Entry(key, children=tuple(children))


def _resources(mode: Mode) -> Iterator[Entry]:
    for key, definition in resources_of(mode).items():
        schema = resource_schema(definition)
        if schema is not None:
            yield Entry(key, children=(_config(schema),))


def _loose_input(name: str, default: Any) -> Entry:
    if default is NO_DEFAULT:
        return Entry(name, "...", "required: no step provides it", required=True)
    return Entry(name, _yaml(default))


def _config(schema: ConfigSchema) -> Entry:
    definitions = schema.json_schema.get("$defs", {})
    described = _resolved(schema.json_schema, definitions)
    if described.get("properties"):
        is_needed = schema.default is NO_DEFAULT
        return Entry("config", children=tuple(_fields(described, definitions, schema.default_values(), is_needed)))
    kind = _type(described, definitions) if described else "anything"
    if _is_secret(described, definitions):
        return Entry("config", "{env: NAME}", kind, required=schema.default is NO_DEFAULT)
    if schema.default is not NO_DEFAULT:
        return Entry("config", _yaml(schema.default), kind)
    _, problems = schema.check(None, {})
    return Entry("config", "...", f"{kind}, required", required=True) if problems else Entry("config", "{}", kind)


def _fields(
    described: Schema, definitions: Mapping[str, Schema], given: Mapping[str, Any], needed: bool, inside: Path = ()
) -> Iterator[Entry]:
    """The fields of an object. `given` are their values by default, `inside` the types that they are part of."""
    required = described.get("required", ()) if needed else ()
    for name, field in described["properties"].items():
        inner = _resolved(field, definitions)
        default = given.get(name, field.get("default", NO_DEFAULT))
        text = f"{field['description']}" if "description" in field else ""
        reference, is_required = str(field.get("$ref", "")), name in required
        children: tuple[Entry, ...] = ()
        if inner.get("properties") and default is not None and reference not in inside:
            nested = default if isinstance(default, Mapping) else {}
            children = tuple(_fields(inner, definitions, nested, is_required, (*inside, reference)))
        # What is required but has no field that is must be written as a whole: a key with nothing below it is null.
        if children and (not is_required or any(child.is_needed() for child in children)):
            yield Entry(name, note=text, children=children)
        else:
            kind = _type(field, definitions) + (", required" if is_required else "")
            note = f"{kind}. {text}" if text else kind
            hides = default is not None and _is_secret(field, definitions)
            value = f"{{env: {name.upper()}}}" if hides else _value(inner, default, is_required)
            yield Entry(name, value, note, required=is_required)


def _is_secret(schema: Schema, definitions: Mapping[str, Schema]) -> bool:
    """Whether it is a SecretStr or its kin: a default is not printed, and a value belongs into the environment."""
    schema = _resolved(schema, definitions)
    options = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    return bool(schema.get("writeOnly")) or any(_is_secret(option, definitions) for option in options)


def _value(schema: Schema, default: Any, required: bool) -> str:
    if default is not NO_DEFAULT and not required:
        return _yaml(default)
    # Made anew for each configuration, by code that a schema does not show; empty is the likeliest.
    empty = {"array": "[]", "object": "{}"}.get(str(schema.get("type")), "...")
    return "..." if required else empty


def _resolved(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    if "$ref" in schema:
        return definitions.get(str(schema["$ref"]).rsplit("/", 1)[-1], {})
    return schema


def _type(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    schema = _resolved(schema, definitions)
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return _yaml(schema["const"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(_type(option, definitions) for option in schema[key])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}), definitions)}"
    if "properties" in schema:
        return "{" + ", ".join(schema["properties"]) + "}"
    return str(schema.get("format") or schema.get("type") or "anything")


def _yaml(value: Any) -> str:
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        return repr(value)
