"""Which nodes of a pipeline a run has: those that run, and those that are there for their outputs only. Refuses
selections that cannot be carried out.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

from msgspec import Struct

from orchestrator.definitions.graph import Node
from orchestrator.definitions.handles import CollectedHandle, Handle, PipelineInput
from orchestrator.definitions.outputs import NothingOut
from orchestrator.definitions.pipeline import Mode, PipelineDefinition, sources_of
from orchestrator.definitions.resource import ResourceDefinition
from orchestrator.errors import ConfigError
from orchestrator.planning.plan import instance_key
from orchestrator.planning.run_config import resources_of
from orchestrator.planning.selection import Selection, Wiring, select


class Shape(Struct, frozen=True):
    """A pipeline, the mode it runs in, and which of its nodes run."""

    pipeline: PipelineDefinition
    mode: Mode
    selected: Selection

    def run_nodes(self) -> list[str]:
        return [key for key in self.pipeline.graph.nodes if key in self.selected]

    def nodes(self) -> list[Node]:
        """The nodes that run and those whose outputs they need, in topological order."""
        graph = self.pipeline.graph.nodes
        kept = set(self.selected)
        for key in self.selected:
            for source in sources_of(graph[key]):
                if not isinstance(source, PipelineInput):
                    kept.add(origin_of(source).node.key)
        for key in list(kept):
            # Whatever a step is mapped over must be there too: it tells how often the step runs.
            kept |= {dynamic.rpartition(".")[0] for dynamic in graph[key].scope}
        return [node for key, node in graph.items() if key in kept]

    def needed_resources(self) -> set[str]:
        """The resources that the nodes need which run, their IO managers and hooks included, all the way down."""
        needed: set[str] = set()
        graph = self.pipeline.graph.nodes
        for key in self.selected:
            node = graph[key]
            needed |= set(node.step.resources)
            needed |= {name for hook in node.hooks for name in hook.resources}
            needed |= io_managers_of(node)
        for node in self.nodes():
            needed |= io_managers_of(node)
        return with_their_needs(needed, resources_of(self.mode))


def with_their_needs(names: Set[str], bound: Mapping[str, ResourceDefinition]) -> set[str]:
    """These resources and those that they need, all the way down."""
    needed = set(names)
    frontier = needed
    while frontier:
        frontier = {name for key in frontier if key in bound for name in bound[key].resources} - needed
        needed |= frontier
    return needed


def io_managers_of(node: Node) -> set[str]:
    """The resources that store a node's outputs."""
    outs = node.step.outputs.values()
    return {str(out.io_manager) for out in outs if not isinstance(out, NothingOut)}


def wiring_of(pipeline: PipelineDefinition) -> dict[str, Wiring]:
    """For each node, what a selection needs to know of it."""
    return {key: Wiring(len(node.scope), _needs(node)) for key, node in pipeline.graph.nodes.items()}


def _needs(node: Node) -> dict[str, int]:
    needs: dict[str, int] = {}
    for source in sources_of(node):
        if not isinstance(source, PipelineInput):
            origin = origin_of(source).node
            shared = min(len(source.scope), len(origin.scope))
            needs[origin.key] = min(shared, needs.get(origin.key, shared))
    return needs


def selected_in(pipeline: PipelineDefinition, selection: tuple[str, ...]) -> Selection:
    return select(selection or ("*",), wiring_of(pipeline))


def origin_of(source: Handle | CollectedHandle) -> Handle:
    return source.element if isinstance(source, CollectedHandle) else source


def check_selection(shape: Shape, *, continues: bool) -> None:
    """Refuses a selection for which it cannot be known how often a step is to run."""
    for key, chosen in shape.selected.items():
        for keys in chosen:
            if keys and not continues:
                raise ConfigError(
                    f"The selection names one key of step {key!r} ({instance_key(key, keys)}), and a new run has none"
                    " of its keys yet.",
                    hint="Continue an earlier run, with --rerun RUN or --from-failure RUN.",
                )
        if not continues:
            _check_producers_selected(shape, key)
    for node in shape.nodes():
        for dynamic in node.scope:
            _check_new_keys(shape, node, dynamic.rpartition(".")[0])


def _check_producers_selected(shape: Shape, key: str) -> None:
    node = shape.pipeline.graph.nodes[key]
    collected = [source.element for source in sources_of(node) if isinstance(source, CollectedHandle)]
    for dynamic in (*node.scope, *(name for element in collected for name in element.scope)):
        producer = dynamic.rpartition(".")[0]
        if producer not in shape.selected:
            how = "is mapped over" if dynamic in node.scope else "collects the values of"
            raise ConfigError(
                f"Step {key!r} {how} {dynamic}, and {producer!r} is not selected.",
                hint=f"Select '*{key}', or continue an earlier run with --rerun RUN.",
            )


def _check_new_keys(shape: Shape, node: Node, producer: str) -> None:
    """A step is selected for all new keys that a selected one makes, or the others would have no value and no part."""
    mine = shape.selected.get(node.key, frozenset())
    for made in shape.selected.get(producer, ()):
        if any(keys == made[: len(keys)] for keys in mine):
            continue
        named = next((keys for keys in mine if made == keys[: len(made)]), None)
        if named is not None:
            raise ConfigError(
                f"Step {producer!r} is selected, so its new keys are not known yet, and"
                f" {instance_key(node.key, named)!r} names one.",
                hint=f"Select {instance_key(node.key, made)!r} as a whole, or leave {producer!r} out.",
            )
        raise ConfigError(
            f"Step {instance_key(producer, made)!r} is selected, so it makes new keys, and {node.key!r}, which is"
            " mapped over them and takes part in this run, is not selected for them.",
            hint=f"Select {instance_key(node.key, made)!r} as well.",
        )
