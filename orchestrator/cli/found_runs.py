"""Finding the run that a command is about: by its id or a beginning of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.cli.options import session_of
from orchestrator.cli.output import say
from orchestrator.errors import NotPossible

if TYPE_CHECKING:
    from orchestrator.service.queued_runs import QueuedRunView
    from orchestrator.service.workspace import Workspace


def unbegun_of(found: Workspace, reference: str) -> QueuedRunView | None:
    """The run, if it has not begun."""
    from orchestrator.service.queued_runs import find_unbegun

    with session_of(found) as session:
        return find_unbegun(session, reference)


def begun(found: Workspace, reference: str, wait: bool) -> str:
    """The id of a run that has begun; with `wait`, once it has. Raises NotPossible."""
    from orchestrator.service.queued_runs import wait_until_begun

    run_id = full_id(found, reference)

    def look() -> QueuedRunView | None:
        return unbegun_of(found, run_id)

    unbegun = wait_until_begun(found.state, look, None, say) if wait else look()
    if unbegun is not None:
        raise unbegun.no_output()
    return with_files(found, run_id)


def full_id(found: Workspace, reference: str) -> str:

    with session_of(found) as session:
        return session.run_id(reference)


def with_files(found: Workspace, reference: str) -> str:
    """The id of a run whose files are there. Raises NotFound and NotPossible."""
    run_id = full_id(found, reference)
    if not found.run(run_id).has_files():
        raise NotPossible(
            f"The files of run {run_id} are gone.",
            hint=f"Its events are still there: orchestrator sql \"FROM events WHERE run_id = '{run_id}' ORDER BY seq\"",
        )
    return run_id
