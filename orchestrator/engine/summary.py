"""Summarizes a run's state in the form that people and scripts read."""

from __future__ import annotations

from orchestrator.engine.progress import RunProgress
from orchestrator.engine.step_graph import RunStep
from orchestrator.model.run import RunDetail, RunRecord, StepSummary


def run_detail(record: RunRecord, run: RunProgress) -> RunDetail:
    """The run with all its steps, in the order of the plan."""
    return RunDetail(
        run_id=record.run_id,
        pipeline=record.pipeline,
        mode=record.mode,
        status=run.status,
        created_at=record.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        tags=record.tags,
        trigger=record.trigger,
        steps=tuple(step_summary(step) for step in run.network.in_order()),
    )


def step_summary(step: RunStep) -> StepSummary:
    """One step."""
    return StepSummary(
        key=step.key,
        status=step.state,
        attempts=step.tries,
        duration_s=None if step.seconds is None else round(step.seconds, 6),
        error=step.error.headline() if step.error and step.is_finished else None,
        waited_s=step.waited,
        place=step.place,
    )
