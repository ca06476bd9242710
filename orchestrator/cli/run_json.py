"""A run as `--json` prints it: everything that the text says of it, and more. The fields of `RunDetail` come first."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from orchestrator.cli.output import whole
from orchestrator.cli.run_report import step_note
from orchestrator.cli.run_warnings import warnings_json
from orchestrator.cli.runs_view import LAST_LINES
from orchestrator.engine.step_graph import RunStep
from orchestrator.engine.summary import run_detail, step_summary
from orchestrator.model.asset import asset_name
from orchestrator.model.events import AssetMaterialized, ExpectationChecked
from orchestrator.model.run import Acknowledgement, RunSummary
from orchestrator.model.states import ACTIVE_RUN_STATES, StepState
from orchestrator.service.history import RunView, has_owner, is_abandoned
from orchestrator.service.queued_runs import QueuedRunView
from orchestrator.state_dir import StateDir


def run_page_json(view: RunView, now: datetime, acknowledged: Acknowledgement | None = None) -> dict[str, Any]:
    """A run that has begun, with its steps, what they wrote and why they failed."""
    record, progress, facts = view.record, view.progress, view.events
    detail = run_detail(record, progress)
    needs_owner = progress.interrupted or progress.status in ACTIVE_RUN_STATES
    owner = None if view.has_owner is None or not needs_owner else "alive" if view.has_owner else "gone"
    return {
        **whole(detail),
        "steps": [_step(step, view) for step in progress.network.in_order()],
        "duration_s": _duration(detail, now),
        "location": record.location,
        "config": record.config,
        "preset": record.preset,
        "selection": record.selection,
        "executor": record.executor,
        "max_concurrent_steps": record.max_concurrent_steps,
        "parent_run_id": record.parent_run_id,
        "root_run_id": record.root_run_id,
        "owner": owner,
        "owned_by": whole(progress.owner) if owner is not None else None,
        "waits_for": None,
        "reason": progress.reason or None,
        "acknowledged": whole(acknowledged),
        "assets": [_asset(fact) for fact in facts if isinstance(fact, AssetMaterialized)],
        "expectations": [_expectation(fact) for fact in facts if isinstance(fact, ExpectationChecked)],
        "warnings": warnings_json(facts),
        "directory": str(view.directory),
    }


def unbegun_json(run: QueuedRunView, now: datetime) -> dict[str, Any]:
    """A run that has not begun, with what it waits for."""
    waits_for = None if run.is_over else run.reason
    reason = run.reason if run.is_over else None
    listed = {"duration_s": _duration(run.summary, now), "owner": None, "waits_for": waits_for, "reason": reason}
    return {**whole(run.summary), **listed, "steps": []}


def listed_json(
    state: StateDir, run: RunSummary, now: datetime, *, waits_for: str | None, damage: str | None
) -> dict[str, Any]:
    """A run in a list."""
    owner = None
    if run.status in ACTIVE_RUN_STATES:
        owner = "alive" if has_owner(state, run.run_id) else "gone" if is_abandoned(state, run) else None
    more = {"duration_s": _duration(run, now), "owner": owner, "waits_for": waits_for, "damage": damage}
    return {**whole(run), **more}


def _duration(run: RunSummary, now: datetime) -> float | None:
    """In seconds; of a run that is not over, until now."""
    return None if run.started_at is None else round(((run.finished_at or now) - run.started_at).total_seconds(), 6)


def _step(step: RunStep, view: RunView) -> dict[str, Any]:
    failed = step.state is StepState.FAILURE and step.error is not None
    return {
        **whole(step_summary(step)),
        "note": step_note(step) or None,
        "started_at": step.started_at,
        "reused_from": step.run_id if step.state is StepState.REUSED else None,
        "failure": whole(step.error) if failed else None,
        "last_lines": view.last_lines(step.key, step.tries, LAST_LINES) if failed else [],
    }


def _asset(fact: AssetMaterialized) -> dict[str, Any]:
    return {
        "name": asset_name(fact.asset),
        "asset": fact.asset,
        "partition": fact.partition,
        "step": fact.step,
        "at": fact.at,
        "description": fact.description,
        "metadata": fact.metadata,
        "tags": fact.tags,
    }


def _expectation(fact: ExpectationChecked) -> dict[str, Any]:
    return {
        "label": fact.label,
        "step": fact.step,
        "success": fact.success,
        "description": fact.description,
        "metadata": fact.metadata,
    }
