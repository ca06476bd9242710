"""A pipeline's graph as a tree of lines: each step below the last of those it needs, with all of them named. Reads
plans, and never a definition.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from orchestrator.cli.output import Painter
from orchestrator.cli.styles import BOLD, CYAN, DIM
from orchestrator.planning.plan import Plan, PlannedInput, PlannedStep, Source


def graph_lines(plan: Plan, paint: Painter) -> Iterator[str]:
    """The graph. `⇉` marks a step that runs once for each key of a dynamic output."""
    place = {step.key: index for index, step in enumerate(plan.steps)}
    below: dict[str | None, list[PlannedStep]] = defaultdict(list)
    for step in plan.steps:
        needed = {source.step for source in _sources(step)}
        below[max(needed, key=place.__getitem__, default=None)].append(step)
    yield from _tree(None, below, "", paint)


def _tree(parent: str | None, below: dict[str | None, list[PlannedStep]], indent: str, paint: Painter) -> Iterator[str]:
    children = below.get(parent, [])
    for index, step in enumerate(children):
        last = index == len(children) - 1
        if parent is None:
            branch, deeper = "", ""
        else:
            branch = ("╰─" if last else "├─") + ("⇉ " if _is_mapped_here(step, parent) else "▸ ")
            deeper = "   " if last else "│  "
        name = paint(BOLD, step.key)
        yield f"{paint(DIM, indent + branch)}{name}{_outputs(step, paint)}  {paint(DIM, _needs(step))}".rstrip()
        traits = _traits(step)
        if traits:
            has_children = bool(below.get(step.key))
            yield paint(DIM, f"{indent}{deeper}{'│' if has_children else ' '}    {traits}")
        yield from _tree(step.key, below, indent + deeper, paint)


def _outputs(step: PlannedStep, paint: Painter) -> str:
    if len(step.outputs) == 1 and step.outputs[0].name == "result" and not step.outputs[0].dynamic:
        return "?" if step.outputs[0].optional else ""
    names = [
        f"{output.name}{'[*]' if output.dynamic else ''}{'?' if output.optional else ''}" for output in step.outputs
    ]
    return paint(CYAN, f" → {', '.join(names)}")


def _needs(step: PlannedStep) -> str:
    parts = [_input(planned) for planned in step.inputs]
    if step.after:
        parts.append("after " + ", ".join(_name(source) for source, _ in step.after))
    return "; ".join(part for part in parts if part)


def _input(planned: PlannedInput) -> str:
    if planned.form == "config":
        return f"{planned.name} ← configuration"
    if planned.form == "default":
        return f"{planned.name} = default"
    sources = ", ".join(_name(source) for source in planned.sources)
    return f"{planned.name} ← " + {"one": sources, "list": f"[{sources}]", "collect": f"all of {sources}"}[planned.form]


def _name(source: Source) -> str:
    return source.step if source.output == "result" else f"{source.step}.{source.output}"


def _traits(step: PlannedStep) -> str:
    traits = []
    if step.resources:
        traits.append(f"uses {', '.join(step.resources)}")
    managers = sorted({output.io_manager for output in step.outputs} - {"", "io_manager"})
    if managers:
        traits.append(f"stored by {', '.join(managers)}")
    if step.retry.max_retries:
        traits.append(f"{step.retry.max_retries} retries")
    if step.timeout:
        traits.append(f"timeout {step.timeout:g}s")
    if step.tags:
        traits.append(" ".join(f"{name}={value}" for name, value in step.tags.items()))
    return " · ".join(traits)


def _is_mapped_here(step: PlannedStep, parent: str) -> bool:
    return bool(step.scope) and step.scope[-1].rpartition(".")[0] == parent.replace("[?]", "")


def _sources(step: PlannedStep) -> Iterator[Source]:
    for planned in step.inputs:
        yield from planned.sources
    for source, _ in step.after:
        yield source
