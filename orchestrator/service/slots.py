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
from collections.abc import Callable, Container, Iterator
from datetime import datetime
from typing import TypeVar

import msgspec

from orchestrator import clock
from orchestrator.crashpoints import crash_point
from orchestrator.engine.admission import QueueLimits, is_limited, why_not
from orchestrator.errors import OrchestratorError
from orchestrator.layout import STATE_DIR_MODE, RunDir, StateDir
from orchestrator.locks import HeldLock, is_locked, read_note, try_lock
from orchestrator.private_file import write_atomically
from orchestrator.regular import read_regular
from orchestrator.run_files import read_record
from orchestrator.service.tickets import rivals
from orchestrator.state_dir import in_the_way, unusable
from orchestrator.ticks import QueuedRun, as_queued

T = TypeVar("T")


class Blocked(msgspec.Struct, frozen=True):
    """The run may not start now. `is_momentary`: somebody else was just being let in, and the limits were not read."""

    reason: str
    is_momentary: bool = False


def try_admission(state: StateDir) -> HeldLock | None:
    """The lock under which limits are read and slots are taken; None while another process holds it."""
    try:
        lock = try_lock(state.admission_lock)
    except OSError as error:
        raise in_the_way(state.admission_lock, error) from error
    if lock is not None:
        lock.write_note(str(os.getpid()).encode())
    return lock


def busy_reason(state: StateDir) -> str:
    """Why admission cannot be decided at this moment."""
    holder = read_note(state.admission_lock) or "unknown"
    return f"another run is just being let in (by process {holder})"


def start_if_admitted(
    state: StateDir, run: QueuedRun, limits: QueueLimits, begin: Callable[[], T], now: datetime
) -> T | Blocked:
    """Starts a foreground run if no limit is in its way: `begin` creates it, or takes it over, and locks it.

    Reading the limits, taking the slot and `begin` are one step: no other process can be let in between them.
    """
    if not is_limited(run, limits):
        return start_unlimited(state, run, begin)
    lock = try_admission(state)
    if lock is None:
        return Blocked(busy_reason(state), is_momentary=True)
    try:
        reason = reason_to_wait(state, run, limits, now, clean=True)
        if reason is not None:
            return Blocked(reason)
        write_slot(state, run)
        crash_point("slot.taken")
        return begin()
    finally:
        lock.release()


def start_unlimited(state: StateDir, run: QueuedRun, begin: Callable[[], T]) -> T:
    """Starts a run whatever the limits say. It counts for others all the same."""
    result = begin()
    write_slot(state, run)  # after `begin`: without the admission lock, a slot whose run is not locked is swept away
    return result


def reason_to_wait(
    state: StateDir, run: QueuedRun, limits: QueueLimits, now: datetime, *, clean: bool = False
) -> str | None:
    """What keeps a foreground run from starting now. Under the admission lock, the answer stays true until it is
    released."""
    holding = holders(state, clean=clean)
    if any(one.run_id == run.run_id for one in holding):
        return None  # a step of it is alive, so it counts already
    return why_not(run, rivals(state, holding), holding, limits, now)


def holders(state: StateDir, *, besides: Container[str] = (), clean: bool = False) -> list[QueuedRun]:
    """The runs that count in limits now, `besides` those that the caller knows of.

    `clean` removes the files of those that do not count any more: only under the admission lock, because a slot is
    written before its run is locked.
    """
    found = []
    for run_id in _names(state):
        if run_id in besides:
            continue
        if not counts(state.run(run_id)):
            if clean:
                drop_slot(state, run_id)
        elif (run := _holder(state, run_id)) is not None:
            found.append(run)
    return found


def counts(run_dir: RunDir) -> bool:
    """Whether somebody drives the run, or a step of it is still alive."""
    return is_locked(run_dir.owner_lock) or has_live_attempt(run_dir)


def has_live_attempt(run_dir: RunDir) -> bool:
    """Whether a step of the run is being carried out, with or without an owner."""
    return any(is_locked(path) for path in run_dir.steps.rglob("alive.lock"))


def write_slot(state: StateDir, run: QueuedRun) -> None:
    """Notes that a run is about to be driven. Raises StoreError."""
    path = state.slots / run.run_id
    data = msgspec.json.encode(run)
    try:
        try:
            write_atomically(path, data)
        except FileNotFoundError:
            state.slots.mkdir(mode=STATE_DIR_MODE, exist_ok=True)
            write_atomically(path, data)
    except OSError as error:
        raise unusable(state.path, error) from error


def drop_slot(state: StateDir, run_id: str) -> None:
    """The run is over. Call it before its lock is released, or somebody else's slot for the same run might go."""
    try:
        (state.slots / run_id).unlink(missing_ok=True)
    except OSError:
        pass  # a slot whose run is not locked does not count anyway


def _names(state: StateDir) -> Iterator[str]:
    try:
        names = sorted(entry.name for entry in os.scandir(state.slots))
    except OSError:
        return
    yield from (name for name in names if not name.startswith("."))


def _holder(state: StateDir, run_id: str) -> QueuedRun | None:
    try:
        return msgspec.json.decode(read_regular(state.slots / run_id), type=QueuedRun)
    except FileNotFoundError:
        return None  # it ended this moment
    except (OSError, msgspec.MsgspecError):
        pass
    try:  # the file is damaged: the record says the same, except who drives it
        return as_queued(read_record(state.run(run_id)), foreground=True)
    except (OSError, OrchestratorError):
        return QueuedRun(run_id=run_id, created_at=clock.now(), foreground=True)
