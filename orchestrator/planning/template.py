"""A configuration template for a pipeline: every field there is, with its type and default, as commented YAML."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.definitions.config import ConfigSchema
from orchestrator.definitions.pipeline import Mode, PipelineDefinition
from orchestrator.definitions.signature import NO_DEFAULT
from orchestrator.planning.run_config import resource_schema, resources_of, step_schema


@dataclass(frozen=True)
class Entry:
    """One line of the template and what stands below it."""

    key: str
    value: str = ""
    note: str = ""
    required: bool = False
    children: tuple[Entry, ...] = ()

    def is_needed(self) -> bool:
        return self.required or any(child.is_needed() for child in self.children)

    def lines(self, depth: int = 0) -> Iterator[str]:
        # The mark stands in front of the indentation: taking it away leaves a line that fits.
        mark = "" if self.is_needed() else "# "
        note = f"   # {self.note}" if self.note else ""
        yield f"{mark}{'  ' * depth}{self.key}:{' ' + self.value if self.value else ''}{note}"
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
            yield Entry(f'"{key}"' if "." in key else key, children=tuple(children))


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
    described = schema.json_schema
    definitions = described.get("$defs", {})
    if "properties" not in described:
        kind = _type(described, definitions) if described else "anything"
        return Entry("config", "{}", kind)
    required = set(described.get("required", ())) if schema.default is NO_DEFAULT else set()
    fields = []
    for name, field in described["properties"].items():
        kind = _type(field, definitions)
        text = f". {field['description']}" if "description" in field else ""
        if name in required:
            fields.append(Entry(name, "...", f"{kind}, required{text}", required=True))
        else:
            fields.append(Entry(name, _yaml(field.get("default")), f"{kind}{text}"))
    return Entry("config", children=tuple(fields))


def _type(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        schema = definitions.get(str(schema["$ref"]).rsplit("/", 1)[-1], {})
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
