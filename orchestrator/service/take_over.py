"""Taking over a run whose owner is gone, in the foreground. It needs its slot again: others may have it by now."""

from __future__ import annotations

from orchestrator.errors import NotPossible
from orchestrator.layout import RunDir
from orchestrator.locks import HeldLock
from orchestrator.run_files import read_record
from orchestrator.service.admission import Terms, enter
from orchestrator.service.driver import OwnedRun, own_run
from orchestrator.service.history import progress_of
from orchestrator.service.interrupts import Interrupts
from orchestrator.service.workspace import Workspace
from orchestrator.ticks import as_queued


def take_over(workspace: Workspace, run_dir: RunDir, terms: Terms, interrupts: Interrupts) -> OwnedRun:
    """Owns the run, once limits allow it to go on. Raises NotPossible when the run is over or is driven, before it
    waits for anything."""
    own_unfinished(run_dir).release()
    record = read_record(run_dir)
    lock = enter(
        workspace.state,
        workspace.settings,
        as_queued(record, foreground=True),
        record.trigger,
        lambda: own_unfinished(run_dir),
        terms,
        interrupts,
    )
    return OwnedRun(run_dir, record, lock)


def own_unfinished(run_dir: RunDir) -> HeldLock:
    """The lock of a run that is not over. Raises NotPossible."""
    lock = own_run(run_dir)
    try:
        progress = progress_of(run_dir)
        if progress.is_finished:
            raise NotPossible(
                f"Run {run_dir.run_id} is over: {progress.status}.",
                hint=f"To run what did not succeed: orchestrator run --from-failure {run_dir.run_id}",
            )
    except BaseException:
        lock.release()
        raise
    return lock
