"""Versions of outputs: what makes one run's output as good as another's. Whether something of that version is stored is
known to its IO manager only.

The version of a step's outputs is a digest of the pipeline's name, the step's own `version`, its configuration, the
versions of its inputs, and, when it uses resources, of the mode with their versions and configuration. A step without
a version has none, nor has anything after it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.definitions.graph import Node
from orchestrator.definitions.handles import CollectedHandle, PipelineInput
from orchestrator.definitions.outputs import DynamicOut
from orchestrator.definitions.pipeline import Mode, PipelineDefinition
from orchestrator.planning.run_config import resources_of, step_entries


def step_versions(pipeline: PipelineDefinition, mode: Mode, config: Mapping[str, Any]) -> dict[str, str]:
    """The version of each node's outputs, for the nodes that have one."""
    versions: dict[str, str] = {}
    entries = step_entries(config, pipeline.graph.nodes).by_node
    for key, node in pipeline.graph.nodes.items():
        version = _version(pipeline.name, node, entries.get(key, {}), mode, config, versions)
        if version is not None:
            versions[key] = version
    return versions


def _version(
    pipeline: str,
    node: Node,
    entry: Mapping[str, Any],
    mode: Mode,
    config: Mapping[str, Any],
    known: Mapping[str, str],
) -> str | None:
    if node.step.version is None or node.scope:
        return None
    if any(isinstance(out, DynamicOut) or out.optional for out in node.step.outputs.values()):
        return None  # which outputs exist is only known by running it
    inputs: dict[str, Any] = {}
    for name, wire in node.inputs.items():
        for handle in wire.handles:
            if isinstance(handle, PipelineInput):
                inputs.setdefault(name, []).append((config.get("inputs") or {}).get(handle.name))
            elif isinstance(handle, CollectedHandle) or handle.node.key not in known:
                return None
            else:
                inputs.setdefault(name, []).append([known[handle.node.key], handle.output_name])
    resources = _resources(node.step.resources, mode, config)
    # The pipeline counts: two of them may have different steps called `load`, each with version "1".
    parts = [pipeline, node.step.name, node.step.version, entry.get("config"), entry.get("inputs"), inputs, resources]
    text = json.dumps(parts, sort_keys=True, default=repr)
    import hashlib  # takes 3 ms, and few steps have versions

    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _resources(needed: Iterable[str], mode: Mode, config: Mapping[str, Any]) -> dict[str, Any]:
    """What a step's outputs owe to resources, those that its own need included.

    The mode counts: the same name may stand for a test database in one and for the real one in another.
    """
    bound = resources_of(mode)
    given = config.get("resources") or {}
    found: dict[str, Any] = {}
    waiting = list(needed)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = [mode.name, bound[name].version, (given.get(name) or {}).get("config")]
            waiting += bound[name].resources
    return found
