"""Settles a configuration whose values are still as they were typed: each becomes what its field makes of it.

What is stored with a run is settled, so that it means the same when it is read again. Reports no problems.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from orchestrator.definitions.config import ConfigSchema, Path
from orchestrator.definitions.pipeline import Mode, PipelineDefinition
from orchestrator.errors import DefinitionError
from orchestrator.planning.run_config import (
    pipeline_input_schemas,
    resource_schema,
    resources_of,
    step_input_schema,
    step_schema,
)
from orchestrator.typed import opened, plain, typed_texts


class SettledConfig(Struct, frozen=True):
    """A configuration without typed values, and the text that each of them had, by its path."""

    config: dict[str, Any]
    written: Mapping[Path, str]


def settle_config(
    pipeline: PipelineDefinition, mode: Mode, config: Mapping[str, Any], environment: Mapping[str, str]
) -> SettledConfig:
    """The configuration with every typed value settled by the type of its field."""
    if not any(True for _ in typed_texts(config)):
        return SettledConfig(dict(config), {})
    settling = _Settling(pipeline, mode, environment)
    return SettledConfig(settling.config(config), settling.written)


class _Settling:
    def __init__(self, pipeline: PipelineDefinition, mode: Mode, environment: Mapping[str, str]) -> None:
        self._pipeline = pipeline
        self._mode = mode
        self._environment = environment
        self.written: dict[Path, str] = {}

    def config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        parts = {"steps": lambda part: self._steps(part, ""), "resources": self._resources, "inputs": self._inputs}
        result = {}
        for name, part in config.items():
            settle = parts.get(name)
            inside = opened(part)
            result[str(name)] = settle(inside) if settle and isinstance(inside, Mapping) else plain(part)
        return result

    def _steps(self, entries: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        return {str(name): self._step(opened(entry), f"{prefix}{name}") for name, entry in entries.items()}

    def _step(self, entry: Any, node: str) -> Any:
        nodes = self._pipeline.graph.nodes
        if not isinstance(entry, Mapping):
            return plain(entry)
        if node in nodes:
            return self._entry(entry, step_schema(nodes[node].step), ("steps", node))
        if any(other.startswith(f"{node}.") for other in nodes):
            if "steps" not in entry:
                return self._steps(entry, f"{node}.")
            inside = opened(entry["steps"])
            nested = self._steps(inside, f"{node}.") if isinstance(inside, Mapping) else plain(inside)
            return {**plain(entry), "steps": nested}
        return plain(entry)

    def _entry(self, entry: Mapping[str, Any], schema: ConfigSchema | None, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, part in entry.items():
            inside = opened(part)
            if name == "config" and schema is not None:
                result[name] = self._settled([schema], part, (*path, name))
            elif name == "inputs" and path[0] == "steps" and isinstance(inside, Mapping):
                result[name] = {key: self._step_input(path[1], key, value) for key, value in inside.items()}
            else:
                result[str(name)] = plain(part)
        return result

    def _step_input(self, node: str, name: str, value: Any) -> Any:
        schema = step_input_schema(self._pipeline.graph.nodes[node].step, name)
        return self._settled([schema] if schema else [], value, ("steps", node, "inputs", name))

    def _inputs(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {
            str(name): self._settled(pipeline_input_schemas(self._pipeline, name), value, ("inputs", name))
            for name, value in inputs.items()
        }

    def _resources(self, entries: Mapping[str, Any]) -> dict[str, Any]:
        bound = resources_of(self._mode)
        return {
            str(name): self._entry(
                opened(entry), resource_schema(bound[name]) if name in bound else None, ("resources", name)
            )
            if isinstance(opened(entry), Mapping)
            else plain(entry)
            for name, entry in entries.items()
        }

    def _settled(self, schemas: list[ConfigSchema], value: Any, path: Path) -> Any:
        """By the first schema with which all agree; several steps may take one input."""
        self.written.update({(*path, *map(str, place)): text for place, text in typed_texts(value)})
        results = []
        for schema in schemas:
            try:
                result = schema.settle(value, self._environment)
                results.append(result)
                if all(not other.convert(result, self._environment, ())[1] for other in schemas):
                    return result
            except DefinitionError:
                continue  # said when the configuration is checked, if the step takes part
        return results[0] if results else plain(value)
