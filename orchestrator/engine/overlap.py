"""Selects the active runs that a schedule's `overlap` counts: those that the schedule asked for, and those of its
pipeline that a person started. Runs of other schedules and of sensors do not count.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field

from orchestrator.model.automation import ScheduleInfo, automation_id
from orchestrator.model.queued_run import UnfinishedRun
from orchestrator.model.run import BY_HAND


class Active(Struct, frozen=True):
    """The runs that count, oldest first. `notes` has the words for those about which something is not plain: one that
    has not begun, for instance."""

    run_ids: tuple[str, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)


def active_runs(location: str, declared: ScheduleInfo, modes: tuple[str, ...], runs: Iterable[UnfinishedRun]) -> Active:
    """The unfinished runs that count for a schedule. `modes` are those of its pipeline, as far as they are known."""
    id, mode = automation_id(location, declared.name), _mode(declared, modes)
    ids: list[str] = []
    notes: dict[str, str] = {}
    for run in runs:
        own = run.trigger.name == id and run.trigger.kind not in BY_HAND
        if not own and not _is_by_hand(run, location, declared.pipeline, mode):
            continue
        ids.append(run.run_id)
        if not run.has_begun:
            notes[run.run_id] = "the previous run has not begun" if own else "a run asked for by hand has not begun"
        elif not own:
            notes[run.run_id] = "a run that was started by hand has not finished"
    return Active(tuple(ids), notes)


def _is_by_hand(run: UnfinishedRun, location: str, pipeline: str, mode: str | None) -> bool:
    if run.trigger.kind not in BY_HAND or (run.location, run.pipeline) != (location, pipeline):
        return False
    return mode in (None, run.mode)


def _mode(declared: ScheduleInfo, modes: tuple[str, ...]) -> str | None:
    """The mode in which the schedule runs its pipeline; None if it is not known."""
    if declared.mode is not None:
        return declared.mode
    if len(modes) == 1:
        return modes[0]
    return "default" if "default" in modes else None
