"""Slots: which runs count in limits at this moment, whichever process drives them, and the lock under which slots are
given out.

Every run that is driven has a file in `slots/`. It counts while its owner holds the run's lock, and after the owner's
death while a step of it is still alive, because that step still uses whatever the limit protects. The kernel releases
both locks when their processes die, so a killed run frees its slot without anybody cleaning up. The files are an index:
what lets a run count are the locks.

No database is needed, so that two commands without a daemon, and a command beside a daemon, decide in the same way.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterator

import msgspec

from orchestrator import clock
from orchestrator.errors import OrchestratorError
from orchestrator.layout import RunsDir
from orchestrator.locks import HeldLock, read_note, try_lock
from orchestrator.model.queued_run import QueuedRun, as_queued
from orchestrator.private_file import DIR_MODE, write_atomically
from orchestrator.regular import read_regular
from orchestrator.runlog.run_log import RunLog
from orchestrator.state_dir import StateDir, in_the_way, unusable


def try_admission(state: StateDir) -> HeldLock | None:
    """The lock under which limits are read and slots are taken; None while another process holds it."""
    path = RunsDir(state.path).admission_lock
    try:
        lock = try_lock(path)
    except OSError as error:
        raise in_the_way(path, error) from error
    if lock is not None:
        lock.write_note(str(os.getpid()).encode())
    return lock


def busy_reason(state: StateDir) -> str:
    """Why admission cannot be decided at this moment."""
    holder = read_note(RunsDir(state.path).admission_lock) or "unknown"
    return f"another run is just being let in (by process {holder})"


def holders(state: StateDir, *, besides: Container[str] = (), clean: bool = False) -> list[QueuedRun]:
    """The runs that count in limits now, `besides` those that the caller knows of.

    `clean` removes the files of those that do not count any more: only under the admission lock, because a slot is
    written before its run is locked.
    """
    found = []
    for run_id in _names(state):
        if run_id in besides:
            continue
        if not counts(RunLog(state, run_id)):
            if clean:
                drop_slot(state, run_id)
        elif (run := _holder(state, run_id)) is not None:
            found.append(run)
    return found


def counts(run_log: RunLog) -> bool:
    """Whether a process drives the run, or a step of it is still alive."""
    return run_log.is_owned() or run_log.has_live_attempt()


def write_slot(state: StateDir, run: QueuedRun) -> None:
    """Notes that a run is about to be driven. Raises StoreError."""
    path = RunsDir(state.path).slots / run.run_id
    data = msgspec.json.encode(run)
    try:
        try:
            write_atomically(path, data)
        except FileNotFoundError:
            path.parent.mkdir(mode=DIR_MODE, exist_ok=True)
            write_atomically(path, data)
    except OSError as error:
        raise unusable(state.path, error) from error


def drop_slot(state: StateDir, run_id: str) -> None:
    """The run is over. Call it before its lock is released, or a new owner's slot for the same run might be removed."""
    try:
        (RunsDir(state.path).slots / run_id).unlink(missing_ok=True)
    except OSError:
        pass  # a slot whose run is not locked does not count anyway


def _names(state: StateDir) -> Iterator[str]:
    try:
        names = sorted(entry.name for entry in os.scandir(RunsDir(state.path).slots))
    except OSError:
        return
    yield from (name for name in names if not name.startswith("."))


def _holder(state: StateDir, run_id: str) -> QueuedRun | None:
    try:
        return msgspec.json.decode(read_regular(RunsDir(state.path).slots / run_id), type=QueuedRun)
    except FileNotFoundError:
        return None  # it ended this moment
    except (OSError, msgspec.MsgspecError):
        pass
    try:  # the file is damaged: the record says the same, except who drives it
        return as_queued(RunLog(state, run_id).record(), foreground=True)
    except (OSError, OrchestratorError):
        return QueuedRun(run_id=run_id, created_at=clock.now(), foreground=True)
