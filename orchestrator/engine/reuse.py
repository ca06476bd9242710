"""Which steps of a run need not run, because an earlier run has their outputs. Reads no earlier run: what those have
made comes in.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from orchestrator.engine.network import Network, Produced, RunStep
from orchestrator.engine.progress import RunProgress
from orchestrator.events import StepReused
from orchestrator.planning.plan import Plan
from orchestrator.states import StepState

# The run that produced a step's outputs and those outputs, by the step's key; None when no run is known to have.
Lookup = Callable[[str], tuple[str | None, Produced] | None]


def unselected_steps(plan: Plan, *, now: datetime) -> list[StepReused]:
    """The steps to mark as reused in a run that follows no other: those that the plan has only for their outputs."""
    return reused_steps(plan, lambda _step: None, lambda _step: False, now=now)


def reused_steps(plan: Plan, lookup: Lookup, keep: Callable[[RunStep], bool], *, now: datetime) -> list[StepReused]:
    """The steps to mark as reused, in an order in which a new run can apply them.

    Those are the steps that the plan has only for their outputs, and those that `keep` says need not run again and
    whose outputs are known. A step that is not selected and that no run has made is taken from wherever its IO
    manager finds it.
    """
    network = Network(plan)
    reused: list[StepReused] = []
    for planned in plan.steps:
        for step in network.instances[planned.key]:
            found = lookup(step.key)
            if found is None and not planned.selected:
                found = (None, {output.name: () if output.dynamic else None for output in planned.outputs})
            if found is None or (planned.selected and not keep(step)):
                continue
            run_id, outputs = found
            network.finish(step, StepState.REUSED, outputs)
            reused.append(StepReused(at=now, step=step.key, outputs=outputs, run_id=run_id))
    return reused


def finished_before(parent: RunProgress) -> Callable[[RunStep], bool]:
    """For re-execution from failure: keeps a step that ended well in the parent and needs nothing that runs again.

    What failed, was interrupted, was abandoned or never began runs again, and so does everything after it. A step
    that was skipped is decided anew from the outputs it depends on.
    """

    def keep(step: RunStep) -> bool:
        before = parent.network.steps.get(step.key)
        if before is None or before.state not in (StepState.SUCCESS, StepState.REUSED):
            return False
        if step.failed_upstream is not None:
            return False
        return all(_is_settled(link.step, parent) for links in step.links for link in links) and step.waiting <= sum(
            _was_skipped(link.step, parent) for links in step.links for link in links
        )

    return keep


def _is_settled(upstream: RunStep, parent: RunProgress) -> bool:
    return upstream.state is StepState.REUSED or _was_skipped(upstream, parent)


def _was_skipped(upstream: RunStep, parent: RunProgress) -> bool:
    before = parent.network.steps.get(upstream.key)
    return before is not None and before.state is StepState.SKIPPED
