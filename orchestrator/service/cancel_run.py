"""Cancels runs and removes what they left. The owner of a run is asked to end it: nothing ends behind its back."""

from __future__ import annotations

import shutil
from datetime import datetime
from enum import StrEnum

from orchestrator.catalog import maintenance
from orchestrator.catalog.automations import used_keys
from orchestrator.catalog.queue import cancel_queued
from orchestrator.catalog.runs import delete_run, get_run
from orchestrator.catalog.session import Store
from orchestrator.crashpoints import crash_point
from orchestrator.errors import NotFound, NotPossible
from orchestrator.model.states import TERMINAL_RUN_STATES
from orchestrator.runlog.deleted import Deleted, note_deleted
from orchestrator.runlog.run_log import RunLog
from orchestrator.runlog.slots import drop_slot
from orchestrator.service.history import progress_of
from orchestrator.state_dir import StateDir, unusable


class CancelOutcome(StrEnum):
    """What became of the wish to cancel a run."""

    DEQUEUED = "DEQUEUED"  # it had not begun, and now never will
    ASKED = "ASKED"  # its owner ends it
    UNDRIVEN = "UNDRIVEN"  # it has no owner: the next one ends it


def cancel_run(store: Store, run_id: str, by: str, now: datetime) -> CancelOutcome:
    """Cancels a run in whatever state it is. Raises NotPossible when it is over."""
    if store(cancel_queued, run_id, now):
        log_deletion(store, run_id, now, is_listed=True)
        return CancelOutcome.DEQUEUED
    if not RunLog(store.state, run_id).has_files():
        status = store(get_run, run_id).summary.status
        over = status in TERMINAL_RUN_STATES
        raise NotPossible(f"Run {run_id} is over: {status}." if over else f"The files of run {run_id} are gone.")
    return CancelOutcome.ASKED if request_cancel(store.state, run_id, by) else CancelOutcome.UNDRIVEN


def request_cancel(state: StateDir, run_id: str, by: str) -> bool:
    """Asks the run's owner to cancel it; whether it has one. Raises NotPossible when it is over.

    The request is a file: an owner that takes the run over later obeys it as well.
    """
    run_log = RunLog(state, run_id)
    progress = progress_of(run_log)
    if progress.status in TERMINAL_RUN_STATES and not progress.interrupted:
        raise NotPossible(f"Run {run_id} is over: {progress.status}.")
    run_log.request_cancel(by)
    return run_log.is_owned()


def log_deletion(store: Store, run_id: str, now: datetime, *, is_listed: bool = False) -> None:
    """Notes outside the database which run goes and which key it has used, so that an older backup repeats neither."""
    try:
        key = maintenance.key_of(store(get_run, run_id).summary.trigger)
    except NotFound:
        key = None
    if key is not None and not store(used_keys, key[0], [key[1]]):
        key = None  # it was forgotten, and is free
    automation, run_key = key or (None, None)
    entry = Deleted(now, run_id, automation, run_key, is_listed)
    try:
        note_deleted(store.state, [entry])
    except OSError as error:
        raise unusable(store.state.path, error) from error


def remove_run(store: Store, run_id: str, now: datetime) -> None:
    """Deletes a run: its files, the values that the default IO manager keeps for it, and its place in the index.

    What its steps wrote anywhere else stays. Raises NotPossible while it is driven, or a step of it still runs.
    """
    run_log = RunLog(store.state, run_id)
    # While we own it, no other process can begin to drive it.
    lock = run_log.own_for_removal() if run_log.directory.is_dir() else None
    try:
        log_deletion(store, run_id, now)
        run_log.remove()
    finally:
        if lock is not None:
            lock.release()
    drop_slot(store.state, run_id)
    shutil.rmtree(store.state.storage / run_id, ignore_errors=True)
    crash_point("run.removed")
    store(delete_run, run_id)
