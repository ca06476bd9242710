"""Finds the steps that a run which continues another cannot take over, because they are configured otherwise. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.definitions.graph import Node
from orchestrator.definitions.handles import PipelineInput
from orchestrator.definitions.pipeline import sources_of
from orchestrator.planning.plan import Inherited
from orchestrator.planning.run_config import resources_of, step_entries
from orchestrator.planning.shape import Shape, io_managers_of, with_their_needs


def changed_nodes(shape: Shape, before: Inherited, config: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys of the nodes that run and differ from the run before: in their configuration or configured inputs, in a
    resource that is another one in this mode, or in where their values are stored.

    Another configuration of a plain resource changes nothing: it is how a failure is often fixed.
    """
    graph = shape.pipeline.graph.nodes
    old, new = (step_entries(given, graph).by_node for given in (before.config, config))
    inputs = [given.get("inputs") or {} for given in (before.config, config)]
    known = shape.pipeline.modes.get(before.mode)
    bound = (resources_of(known) if known is not None else {}, resources_of(shape.mode))

    def is_changed(node: Node) -> bool:
        storing = with_their_needs(io_managers_of(node), bound[1])
        used = storing | with_their_needs(set(node.step.resources), bound[1])
        sources = {handle.name for handle in sources_of(node) if isinstance(handle, PipelineInput)}
        return (
            _given_to(old, node.key) != _given_to(new, node.key)
            or any(inputs[0].get(name) != inputs[1].get(name) for name in sources)
            or any(bound[0].get(name) is not bound[1].get(name) for name in used)
            or any(_of_resource(before.config, name) != _of_resource(config, name) for name in storing)
        )

    return tuple(key for key in shape.run_nodes() if is_changed(graph[key]))


def _given_to(entries: Mapping[str, Mapping[str, Any]], key: str) -> tuple[Any, Any]:
    entry = entries.get(key, {})
    return entry.get("config") or None, entry.get("inputs") or None


def _of_resource(config: Mapping[str, Any], name: str) -> Any:
    return ((config.get("resources") or {}).get(name) or {}).get("config") or None
