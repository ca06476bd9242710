"""Taking over a run whose owner is gone, in the foreground. It needs its slot again: others may have it by now."""

from __future__ import annotations

from orchestrator.errors import NotPossible
from orchestrator.locks import HeldLock
from orchestrator.model.queued_run import as_queued
from orchestrator.runlog.run_log import RunLog
from orchestrator.service.admission import Terms, enter
from orchestrator.service.driver import OwnedRun
from orchestrator.service.history import progress_of
from orchestrator.service.interrupts import Interrupts
from orchestrator.service.workspace import Workspace


def take_over(workspace: Workspace, run_log: RunLog, terms: Terms, interrupts: Interrupts) -> OwnedRun:
    """Owns the run, once limits allow it to go on. Raises NotPossible when the run is over or is driven, before it
    waits for anything."""
    own_unfinished(run_log).release()
    record = run_log.record()
    lock = enter(
        workspace.state,
        workspace.settings,
        as_queued(record, foreground=True),
        record.trigger,
        lambda: own_unfinished(run_log),
        terms,
        interrupts,
    )
    return OwnedRun(run_log, record, lock)


def own_unfinished(run_log: RunLog) -> HeldLock:
    """The lock of a run that is not over. Raises NotPossible."""
    lock = run_log.own()
    try:
        progress = progress_of(run_log)
        if progress.is_finished:
            raise NotPossible(
                f"Run {run_log.run_id} is over: {progress.status}.",
                hint=f"To run what did not succeed: orchestrator run --from-failure {run_log.run_id}",
            )
    except BaseException:
        lock.release()
        raise
    return lock
