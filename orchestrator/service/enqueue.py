"""Queues runs for the daemon to start."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from orchestrator.catalog.session import open_store
from orchestrator.catalog.ticks import EnqueuedRun, TickBatch, commit_ticks
from orchestrator.errors import UsageError
from orchestrator.planning.plan import PlanRequest
from orchestrator.service.start_run import Continued, plan_new
from orchestrator.service.workspace import Workspace


def enqueue_run(workspace: Workspace, request: PlanRequest, continued: Continued | None = None) -> str:
    """Plans a run and puts it into the queue; its id. Raises before anything is written when it cannot be right."""
    if request.memoize:
        raise UsageError("--memoize looks at stored values when the run begins, and does not go with --detach.")
    _, _, record, _ = plan_new(workspace, request, continued)
    queued = EnqueuedRun(record=replace(record, plan=msgspec.Raw(b"null")), plan=record.plan)
    with open_store(workspace.state) as store:
        store(commit_ticks, TickBatch([], [], [queued]))
    return record.run_id
