"""Placing steps: what happens when a step is called inside a pipeline function. Never calls the step's own function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.definitions.graph import Node, Scope, Wire, composing
from orchestrator.definitions.handles import (
    CollectedHandle,
    DynamicHandle,
    Handle,
    MappedHandle,
    PipelineInput,
    StepOutputs,
    describe,
    is_uncalled,
    misuse,
    output_names,
)
from orchestrator.definitions.outputs import DynamicOut, NothingOut, Out
from orchestrator.definitions.source_location import counted, where_called
from orchestrator.errors import near_misses

if TYPE_CHECKING:
    from orchestrator.definitions.hooks import HookDefinition
    from orchestrator.definitions.step import StepDefinition


def place_step(
    step: StepDefinition,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
    hooks: tuple[HookDefinition, ...] = (),
) -> Any:
    """Adds one use of a step to the pipeline that is being composed, and returns its outputs as handles."""
    current = composing()
    assert current is not None
    where = where_called()
    short = current.unique_name(name or step.name, where, explicit=name is not None)
    node = Node(current.prefix + short, step, where)
    after = kwargs.pop("after", ()) if "after" not in step.inputs else ()
    node.inputs = {
        input_name: _wire(node, input_name, value)
        for input_name, value in _by_name(node, tuple(step.inputs), args, kwargs).items()
    }
    node.after = _order_only(node, after)
    node.scope = _common_scope(node)
    node.tags = {**step.tags, **current.tags, **(tags or {})}
    node.hooks = tuple(dict.fromkeys((*step.hooks, *current.hooks, *hooks)))
    current.graph.nodes[node.key] = node
    return _handles(node)


def _handles(node: Node) -> Any:
    current = composing()
    assert current is not None
    # A node placed outside map() may still run once a key: one of its inputs was collected from a deeper level.
    mapped = len(node.scope) > len(current.scope)

    def handle(name: str, out: Out) -> Handle | DynamicHandle | MappedHandle:
        if isinstance(out, DynamicOut):
            return DynamicHandle(node, name, node.scope)
        plain = Handle(node, name, node.scope)
        return MappedHandle(plain) if mapped else plain

    handles = [handle(name, out) for name, out in node.step.outputs.items()]
    return handles[0] if len(handles) == 1 else StepOutputs(handles, node.step.outputs)


def _by_name(node: Node, names: tuple[str, ...], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    if len(args) > len(names):
        raise misuse(node, f"it takes {counted(names, 'input')} and is given {len(args)}")
    given = dict(zip(names, args, strict=False))
    for name, value in kwargs.items():
        if name not in names:
            hint = near_misses(name, names, "input") if names else None
            if name in ("config", "context"):
                hint = f"`{name}` is not wired; it is provided when the step runs."
            raise misuse(node, f"it has no input {name!r}", hint)
        if name in given:
            raise misuse(node, f"its input {name!r} is given twice")
        given[name] = value
    return given


def _wire(node: Node, name: str, value: Any) -> Wire:
    if isinstance(value, (list, tuple)) and not isinstance(value, StepOutputs):
        return Wire(tuple(_source(node, name, item, in_list=True) for item in value), is_list=True)
    return Wire((_source(node, name, value),))


def _source(node: Node, name: str, value: Any, in_list: bool = False) -> Any:
    what = f"its input {name!r} is given {describe(value)}"
    if isinstance(value, CollectedHandle) and in_list:
        raise misuse(node, f"{what} inside a list", "collect() is a list already; pass it alone.")
    if isinstance(value, PipelineInput) and in_list:
        raise misuse(node, f"{what} inside a list", "A parameter of the pipeline can only be an input by itself.")
    if isinstance(value, Handle) and isinstance(value.node.step.outputs[value.output_name], NothingOut):
        raise misuse(node, f"{what}, which has no value", f"To run after {value.node.key}, write after=.")
    if isinstance(value, (Handle, CollectedHandle, PipelineInput)):
        _check_own(node, value, what)
        return value
    if isinstance(value, DynamicHandle):
        hint = f"Write {value.node.key}(...).map({node.step.name}), or .collect() for one list."
        raise misuse(node, f"{what}, which is dynamic: many values, not one", hint)
    if isinstance(value, MappedHandle):
        raise misuse(node, f"{what}, which was mapped", "Go on with .map(...), or gather it with .collect().")
    if isinstance(value, StepOutputs):
        raise misuse(node, what, f"Choose one of its outputs: {', '.join(output_names(value))}.")
    if is_uncalled(value):
        raise misuse(node, what, "Call it, with () behind it.")
    if value is None:
        raise misuse(node, what, "Leave the input out to use its default.")
    raise misuse(node, what, "Inputs come from other steps; give constants as configuration.")


def _check_own(node: Node, value: Handle | CollectedHandle | PipelineInput, what: str) -> None:
    current = composing()
    assert current is not None
    if isinstance(value, PipelineInput):
        own = current.graph.inputs.get(value.name) is value
    else:
        origin = value.element.node if isinstance(value, CollectedHandle) else value.node
        own = current.graph.nodes.get(origin.key) is origin
    if not own:
        raise misuse(node, f"{what}, which belongs to another pipeline", "Call that step in this pipeline as well.")


def _order_only(node: Node, after: Any) -> tuple[Handle | CollectedHandle, ...]:
    found: list[Handle | CollectedHandle] = []
    items = after if isinstance(after, (list, tuple)) else [after]
    if isinstance(after, (set, frozenset)):
        items = sorted(after, key=str)  # the same plan each time
    for item in items:
        if isinstance(item, (list, tuple, set, frozenset)):
            found.extend(_order_only(node, item))
        elif isinstance(item, (Handle, CollectedHandle)):
            found.append(item)
        elif isinstance(item, (MappedHandle, DynamicHandle)):
            found.append(item.collect())
        elif item is not None:
            raise misuse(node, f"after= is given {describe(item)}", "Give it what calling a step returned.")
    for handle in found:
        _check_own(node, handle, f"after= is given {describe(handle)}")
    return tuple(found)


def _common_scope(node: Node) -> Scope:
    sources = [handle for wire in node.inputs.values() for handle in wire.handles]
    scope: Scope = ()
    for source in (*sources, *node.after):
        shorter, longer = sorted((scope, source.scope), key=len)
        if longer[: len(shorter)] != shorter:
            raise misuse(
                node,
                f"it depends on {shorter[-1]} and on {longer[-1]}, two dynamic outputs mapped independently",
                "Gather one of them with .collect() first.",
            )
        scope = longer
    return scope
