"""Tickets: foreground runs that wait for a slot. A ticket is a file in `waiting/`, locked by the waiting command, so
that it is void the moment that command dies. Such a run does not exist yet.

The daemon notes its own first in line in `waiting/queue.json`: what lies in the database cannot be read by others while
it runs.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from orchestrator.heartbeat import daemon_pid, is_suspended
from orchestrator.layout import RunsDir
from orchestrator.locks import HeldLock, is_locked, try_lock
from orchestrator.model.queued_run import QueuedRun
from orchestrator.model.run import RunSummary, Trigger
from orchestrator.model.states import RunState
from orchestrator.private_file import DIR_MODE, write_atomically
from orchestrator.regular import read_regular
from orchestrator.runlog.run_log import RunLog
from orchestrator.state_dir import StateDir, unusable

_CLAIMS = msgspec.json.Decoder(list[QueuedRun])


class Ticket(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A foreground run that waits: which, in which process, and what it waits for."""

    run: QueuedRun
    pid: int
    reason: str = ""
    trigger: Trigger = Trigger()

    @property
    def summary(self) -> RunSummary:
        return RunSummary(
            run_id=self.run.run_id,
            pipeline=self.run.pipeline,
            mode=self.run.mode,
            status=RunState.QUEUED,
            created_at=self.run.created_at,
            tags=self.run.tags,
            trigger=self.trigger,
        )


class HeldTicket:
    """Our own ticket, valid until `close` or until this process ends."""

    def __init__(self, state: StateDir, run: QueuedRun, trigger: Trigger) -> None:
        self._path = RunsDir(state.path).waiting / run.run_id
        self._ticket = Ticket(run=run, pid=os.getpid(), trigger=trigger)
        self._lock = _locked(state, self._path)
        self._length = 0

    def note(self, reason: str) -> None:
        """Says what the run waits for."""
        if reason != self._ticket.reason:
            self._ticket = msgspec.structs.replace(self._ticket, reason=reason)
            data = msgspec.json.encode(self._ticket)
            # In one write, padded to hide what was longer before: a reader never finds half a ticket.
            os.pwrite(self._lock.descriptor, data.ljust(self._length), 0)
            self._length = max(self._length, len(data))

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        self._lock.release()


def tickets(state: StateDir) -> list[Ticket]:
    """The foreground runs that wait now. Tickets of commands that died are removed on the way."""
    found = []
    for path in _files(state):
        if not is_locked(path):
            _remove_void(path)
        elif (ticket := _read(path)) is not None:
            found.append(ticket)
    return sorted(found, key=lambda ticket: (ticket.run.created_at, ticket.run.run_id))


def rivals(state: StateDir, running: Sequence[QueuedRun] = ()) -> list[QueuedRun]:
    """Who else waits for slots: other foreground runs, and the queued runs that the daemon would start next."""
    begun = {run.run_id for run in running}
    return waiting_commands(state, running) + [run for run in claims(state) if run.run_id not in begun]


def waiting_commands(state: StateDir, running: Sequence[QueuedRun]) -> list[QueuedRun]:
    """The foreground runs that wait and can take a slot: one whose process is suspended cannot, and does not keep
    others from it."""
    begun = {run.run_id for run in running}
    return [one.run for one in tickets(state) if one.run.run_id not in begun and not is_suspended(one.pid)]


def claims(state: StateDir) -> list[QueuedRun]:
    """The queued runs that are next in line for a slot; none without a daemon that could start them."""
    pid = daemon_pid(state)
    if pid is None or is_suspended(pid):
        return []
    try:
        found = _CLAIMS.decode(read_regular(RunsDir(state.path).queue_claims))
    except (OSError, msgspec.MsgspecError):
        return []
    return [msgspec.structs.replace(run, foreground=True) for run in found]  # room in the queue is not their matter


def publish_claims(state: StateDir, runs: Sequence[QueuedRun]) -> None:
    """Notes which queued runs are next in line. Raises StoreError."""
    directory = RunsDir(state.path)
    try:
        if not runs:
            directory.queue_claims.unlink(missing_ok=True)
            return
        directory.waiting.mkdir(mode=DIR_MODE, exist_ok=True)
        write_atomically(directory.queue_claims, msgspec.json.encode(runs))
    except OSError as error:
        raise unusable(state.path, error) from error


def give_up(state: StateDir, run_id: str) -> bool:
    """Interrupts the command that waits with this ticket; whether there was one.

    The lock is held, so the process id cannot have passed to another process. A signal, because it finds the command
    wherever it is by then: if the run has just begun, it is canceled.
    """
    for ticket in tickets(state):
        if ticket.run.run_id == run_id:
            os.kill(ticket.pid, signal.SIGINT)
            return True
    return False


def find_tickets(state: StateDir, reference: str) -> list[Ticket]:
    """The tickets of runs that do not exist yet, whose id begins like that."""
    if not reference:
        return []
    return [
        ticket
        for ticket in tickets(state)
        if ticket.run.run_id.startswith(reference) and not RunLog(state, ticket.run.run_id).exists()
    ]


def _locked(state: StateDir, path: Path) -> HeldLock:
    try:
        path.parent.mkdir(mode=DIR_MODE, exist_ok=True)
        while True:
            lock = try_lock(path)
            assert lock is not None, "a run id that another command waits with"
            if lock.is_in_place():
                return lock
            lock.release()  # it was taken for a dead one between our creating and locking it
    except OSError as error:
        raise unusable(state.path, error) from error


def _files(state: StateDir) -> Iterator[Path]:
    directory = RunsDir(state.path)
    try:
        names = sorted(entry.name for entry in os.scandir(directory.waiting))
    except OSError:
        return
    claims_name = directory.queue_claims.name
    yield from (directory.waiting / name for name in names if not name.startswith(".") and name != claims_name)


def _remove_void(path: Path) -> None:
    try:
        lock = try_lock(path)
        if lock is not None:
            path.unlink(missing_ok=True)
            lock.release()
    except OSError:
        pass  # not a ticket of ours


def _read(path: Path) -> Ticket | None:
    try:
        return msgspec.json.decode(read_regular(path), type=Ticket)
    except (OSError, msgspec.MsgspecError):
        return None  # it is being written, or just gone
