"""Shows a run that has not begun and has no files; `service.queued_runs` finds out why it waits."""

from __future__ import annotations

from datetime import datetime

from orchestrator.cli.runs_view import ago
from orchestrator.service.queued_runs import QueuedRunView


def unbegun_words(run: QueuedRunView, now: datetime) -> str:
    """What `runs show` says of it."""
    at = (run.summary.finished_at if run.is_over else None) or run.summary.created_at
    head = f"run {run.run_id}  {run.summary.pipeline}  {run.summary.status} {ago(at, now)}"
    return f"{head}\nIt never began: {run.reason}." if run.is_over else f"{head}\nIt waits: {run.reason}."
