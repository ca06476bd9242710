"""Finding the run that a command is about: by its id or a beginning of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.cli.options import store_of
from orchestrator.cli.output import say
from orchestrator.errors import NotPossible

if TYPE_CHECKING:
    from orchestrator.runlog.run_log import RunLog
    from orchestrator.service.queued_runs import QueuedRunView
    from orchestrator.service.workspace import Workspace


def unbegun_of(found: Workspace, reference: str) -> QueuedRunView | None:
    """The run, if it has not begun."""
    from orchestrator.service.queued_runs import find_unbegun

    with store_of(found) as store:
        return find_unbegun(store, reference)


def begun(found: Workspace, reference: str, wait: bool) -> RunLog:
    """The files of a run; with `wait`, once it has begun."""
    from orchestrator.service.queued_runs import wait_until_begun

    run_id = full_id(found, reference)

    def look() -> QueuedRunView | None:
        return unbegun_of(found, run_id)

    unbegun = wait_until_begun(found.state, look, None, say) if wait else look()
    if unbegun is not None:
        raise unbegun.no_output()
    return run_log_of(found, run_id)


def full_id(found: Workspace, reference: str) -> str:
    from orchestrator.catalog.runs import resolve_run

    with store_of(found) as store:
        return store(resolve_run, reference)


def run_log_of(found: Workspace, reference: str) -> RunLog:

    run_id = full_id(found, reference)
    run_log = found.run(run_id)
    if not run_log.has_files():
        raise NotPossible(
            f"The files of run {run_id} are gone.",
            hint=f"Its events are still there: orchestrator sql \"FROM events WHERE run_id = '{run_id}' ORDER BY seq\"",
        )
    return run_log
