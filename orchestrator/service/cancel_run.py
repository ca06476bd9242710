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
from orchestrator.deleted import Deleted, note_deleted
from orchestrator.errors import NotFound, NotPossible
from orchestrator.layout import RunDir, StateDir
from orchestrator.locks import HeldLock
from orchestrator.run_files import has_files
from orchestrator.service.driver import own_run
from orchestrator.service.history import is_driven, progress_of
from orchestrator.service.slots import drop_slot, has_live_attempt
from orchestrator.state_dir import unusable
from orchestrator.states import TERMINAL_RUN_STATES


class CancelOutcome(StrEnum):
    """What became of the wish to cancel a run."""

    DEQUEUED = "DEQUEUED"  # it had not begun, and now never will
    ASKED = "ASKED"  # whoever drives it ends it
    UNDRIVEN = "UNDRIVEN"  # nobody drives it: whoever takes it over ends it


def cancel_run(store: Store, run_id: str, by: str, now: datetime) -> CancelOutcome:
    """Cancels a run in whatever state it is. Raises NotPossible when it is over."""
    if store(cancel_queued, run_id, now):
        log_deletion(store, run_id, now, is_listed=True)
        return CancelOutcome.DEQUEUED
    if not has_files(store.state.run(run_id)):
        status = store(get_run, run_id).summary.status
        over = status in TERMINAL_RUN_STATES
        raise NotPossible(f"Run {run_id} is over: {status}." if over else f"The files of run {run_id} are gone.")
    return CancelOutcome.ASKED if request_cancel(store.state, run_id, by) else CancelOutcome.UNDRIVEN


def request_cancel(state: StateDir, run_id: str, by: str) -> bool:
    """Asks whoever drives the run to cancel it; whether somebody does. Raises NotPossible when it is over.

    The request is a file: an owner that takes the run over later obeys it as well.
    """
    run_dir = state.run(run_id)
    progress = progress_of(run_dir)
    if progress.status in TERMINAL_RUN_STATES and not progress.interrupted:
        raise NotPossible(f"Run {run_id} is over: {progress.status}.")
    try:
        run_dir.cancel.write_text(by)
    except OSError as error:
        raise unusable(state.path, error) from error
    return is_driven(run_dir)


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
    run_dir = store.state.run(run_id)
    if not run_dir.path.is_dir():
        log_deletion(store, run_id, now)
        run_dir.path.unlink(missing_ok=True)  # something else that has its name
    else:
        lock = _own_for_removal(run_dir)  # no other process can begin to drive it now
        try:
            log_deletion(store, run_id, now)
            store.state.pending_marker(run_id).unlink(missing_ok=True)
            shutil.rmtree(run_dir.path, ignore_errors=True)
        finally:
            lock.release()
    drop_slot(store.state, run_id)
    shutil.rmtree(store.state.storage / run_id, ignore_errors=True)
    crash_point("run.removed")
    store(delete_run, run_id)


def _own_for_removal(run_dir: RunDir) -> HeldLock:
    hint = f"Cancel it first: orchestrator runs cancel {run_dir.run_id}"
    try:
        lock = own_run(run_dir)
    except NotPossible:
        raise NotPossible(f"Run {run_dir.run_id} is being driven by another process.", hint=hint) from None
    if has_live_attempt(run_dir):
        lock.release()
        raise NotPossible(f"A step of run {run_dir.run_id} is still running, though its owner is gone.", hint=hint)
    return lock
