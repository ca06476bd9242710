"""Which steps of a run need not run, because an earlier run has their outputs. Reads no earlier run: what those have
made comes in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import datetime

from msgspec import Struct

from orchestrator.engine.progress import RunProgress
from orchestrator.engine.step_graph import Network, Produced, RunStep
from orchestrator.errors import NotFound, NotPossible, near_misses
from orchestrator.model.events import StepReused
from orchestrator.model.states import StepState
from orchestrator.planning.plan import Plan, PlannedOutput, PlannedStep, instance_key


class Known(Struct, frozen=True):
    """What an earlier run has of a step: its outputs, the run that made them (None: they are found by their version),
    and the version under which they are stored. One that was `skipped` has none."""

    run_id: str | None
    outputs: Produced
    version: str | None = None
    skipped: bool = False

    @property
    def is_memoized(self) -> bool:
        return self.run_id is None


# What the nearest earlier run has of the step with that key; None when none has ended it well.
Lookup = Callable[[str], Known | None]
Keep = Callable[[RunStep], bool]


def nearest(chain: Iterator[tuple[str, RunProgress]]) -> Lookup:
    """Finds what became of a step in the nearest of the runs that led here: the parent, its parent, and so on. `chain`
    is read only as far as that takes."""
    read: list[tuple[str, RunProgress]] = []

    def runs() -> Iterator[tuple[str, RunProgress]]:
        yield from read
        for item in chain:
            read.append(item)
            yield item

    def lookup(key: str) -> Known | None:
        found = (_known_in(progress.network.steps.get(key), run_id) for run_id, progress in runs())
        return next((known for known in found if known is not None), None)

    return lookup


def _known_in(step: RunStep | None, run_id: str) -> Known | None:
    """What one run has of a step; None when it did not end well there, or says nothing of where its value is."""
    if step is None:
        return None
    if step.state is StepState.SKIPPED:
        return Known(run_id, {}, skipped=True)
    if step.state not in (StepState.SUCCESS, StepState.REUSED):
        return None
    if step.run_id is None and step.planned.version is None:
        return None
    # One that was skipped before is marked as reused, without outputs, where it was not selected.
    return Known(step.run_id, step.outputs, step.planned.version, skipped=not step.outputs)


def unselected_steps(plan: Plan, *, now: datetime) -> list[StepReused]:
    """The steps to mark as reused in a run that follows no other: those that the plan has only for their outputs."""
    return reused_steps(plan, lambda _step: None, lambda _step: False, now=now)


def reused_steps(plan: Plan, lookup: Lookup, keep: Keep, *, now: datetime) -> list[StepReused]:
    """The steps to mark as reused, in an order in which a new run can apply them.

    Those are the steps that the plan has only for their outputs, and those that `keep` says need not run again and
    whose outputs are known. A step that is not selected and that no run has made is taken from wherever its IO
    manager finds it.
    """
    network = Network(plan)
    reused: list[StepReused] = []
    for planned in plan.steps:
        for step in network.instances[planned.key]:
            if step.is_selected and step.waiting == 0 and step.missing_input() is not None:
                network.finish(step, StepState.SKIPPED, {})  # whatever it was before: all it depends on is known
                continue
            found = _known(step, lookup)
            if step.is_selected and (found is None or step.waiting or not keep(step)):
                continue
            found = found or Known(None, _assumed(planned))
            network.finish(step, StepState.REUSED, found.outputs)
            memoized = step.is_selected and found.is_memoized
            event = StepReused(at=now, step=step.key, outputs=found.outputs, run_id=found.run_id, memoized=memoized)
            reused.append(event)
    return reused


def check_keys(plan: Plan, reused: Collection[StepReused], parent: str) -> None:
    """Refuses a selection that names keys which the run before did not have, or needs keys that no run has made."""
    network = Network(plan)
    users = _users_of_keys(plan)
    for event in reused:
        step = network.steps[event.step]
        network.finish(step, StepState.REUSED, event.outputs)
        for output in step.planned.outputs:
            dynamic = f"{step.planned.node}.{output.name}"
            if dynamic in users and event.run_id is None:
                raise NotPossible(
                    f"Step {users[dynamic]!r} needs the keys of {dynamic}, which neither run {parent} nor one before it"
                    " has produced.",
                    hint=f"Select '*{users[dynamic]}'.",
                )
    for planned in plan.selected():
        for keys in planned.keys:
            steps = (*network.instances[planned.key], *_makers_that_run(network, planned))
            known = {step.keys[: len(keys)] for step in steps if len(step.keys) >= len(keys)}
            if keys not in known:
                wanted = instance_key(planned.node, keys)
                there = sorted(instance_key(planned.node, mine) for mine in known)
                raise NotFound(f"There is no step {wanted!r} in run {parent}.", hint=near_misses(wanted, there, "key"))


def _makers_that_run(network: Network, planned: PlannedStep) -> Iterator[RunStep]:
    """The unfinished steps that produce keys for a step mapped over them. Under each there will be steps whose last
    keys are not known yet."""
    for dynamic in planned.scope:
        maker = network.plan.by_node[dynamic.rpartition(".")[0]]
        yield from (step for step in network.instances[maker.key] if not step.is_finished)


def _users_of_keys(plan: Plan) -> dict[str, str]:
    """A selected step that is mapped over, or collects, each dynamic output that one does."""
    users: dict[str, str] = {}
    for planned in plan.selected():
        collected = [source for each in planned.inputs if each.form == "collect" for source in each.sources]
        for source in (*collected, *(source for source, every_key in planned.after if every_key)):
            origin = plan.by_key[source.step]
            users.update(dict.fromkeys((*origin.scope, f"{origin.node}.{source.output}"), planned.node))
        users.update(dict.fromkeys(planned.scope, planned.node))
    dynamic = {f"{step.node}.{output.name}" for step in plan.steps for output in step.outputs if output.dynamic}
    return {name: user for name, user in users.items() if name in dynamic}


def finished_before(parent: RunProgress, changed: Collection[str] = ()) -> Keep:
    """For re-execution from failure: keeps a step that ended well in the parent and needs nothing that runs again.

    What failed, was interrupted, was abandoned or never began runs again, and so does everything after it. So does a
    step that is wired or configured (`changed`, by node) otherwise than in the parent. A step that was skipped is
    decided anew from the outputs it depends on.
    """

    def keep(step: RunStep) -> bool:
        before = parent.network.steps.get(step.key)
        if before is None or before.state not in (StepState.SUCCESS, StepState.REUSED):
            return False
        return step.planned.node not in changed and _is_same(step.planned, before.planned)

    return keep


def _is_same(now: PlannedStep, before: PlannedStep) -> bool:
    """Whether a step is the one that ran before: the same inputs, outputs and mapping."""
    if now.outputs != before.outputs or now.scope != before.scope:
        return False
    if now.version is not None and before.version is not None and now.version != before.version:
        return False
    return not before.selected or (now.inputs, now.after) == (before.inputs, before.after)


def _known(step: RunStep, lookup: Lookup) -> Known | None:
    found = lookup(step.key)
    if found is None or found.skipped or all(_fits(found, output) for output in step.planned.outputs):
        return found
    return None


def _fits(found: Known, output: PlannedOutput) -> bool:
    """Whether what is known of an output is what the step declares now."""
    if output.name not in found.outputs:
        return output.optional
    return output.dynamic == (found.outputs[output.name] is not None)


def _assumed(planned: PlannedStep) -> Produced:
    return {output.name: () if output.dynamic else None for output in planned.outputs}
