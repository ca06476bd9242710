"""An attempt's directory as its channel: the end of the attempt's process and of its parent, and the opening of both.

The process locks `alive.lock` and creates `claim`, appends to `events.jsonl`, and writes "done" into the lock file once
the outcome is recorded; its parent writes `exit.json` when there is no outcome. The owner's end is in `watch`.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from orchestrator.attempts.channel import AlreadyClaimed, OutputFiles
from orchestrator.attempts.log_limit import LogLimit
from orchestrator.attempts.watch import AttemptWatch
from orchestrator.crashpoints import crash_point
from orchestrator.journal import JournalWriter
from orchestrator.layout import AttemptDir, RunsDir
from orchestrator.locks import HeldLock, is_locked, try_lock
from orchestrator.model.attempt import split_handle
from orchestrator.private_file import FILE_MODE, write_atomically
from orchestrator.state_dir import StateDir, make_private

# In the lock file of an attempt whose outcome is recorded: its parent need not say how the process ended.
_DONE = b"done\n"


class FileClaim(Struct):
    """A claimed attempt. Its lock lives as long as this process, or until `release`."""

    directory: AttemptDir
    lock: HeldLock
    _events: JournalWriter | None = None

    def append(self, line: bytes) -> None:
        if self._events is None:
            self._events = JournalWriter(self.directory.events, torn="step.torn")
        self._events.append([line])

    def confirm(self) -> None:
        """An owner that gives an attempt up ends its process first."""

    def finish(self) -> None:
        with suppress(OSError):  # without it the parent reports an exit, which the outcome outweighs
            self.lock.write_note(_DONE)

    def release(self) -> None:
        if self._events is not None:
            self._events.close()
        self.lock.release()


class AttemptFiles(Struct, frozen=True):
    """The worker's end of an attempt, over its directory."""

    directory: AttemptDir

    @property
    def address(self) -> str:
        return str(self.directory.path)

    def claim(self) -> FileClaim:
        # The lock comes first: an attempt that is claimed and not locked is one whose process is dead.
        alive = try_lock(self.directory.alive)
        if alive is None:
            raise AlreadyClaimed(self.address)
        try:
            descriptor = os.open(self.directory.claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        except FileExistsError:
            alive.release()
            raise AlreadyClaimed(self.address) from None
        os.write(descriptor, f"{os.getpid()}\n".encode())
        os.close(descriptor)
        crash_point("step.claimed")
        return FileClaim(self.directory, alive)

    def is_claimed(self) -> bool:
        return self.directory.claim.exists()

    def output(self) -> OutputFiles:
        return OutputFiles(self.directory.stdout, self.directory.stderr, self.directory.marks)

    def ended_without_outcome(self, pid: int) -> bool:
        # An exit code says nothing: any of them may come from user code.
        try:
            claimed_by, note = self.directory.claim.read_bytes(), self.directory.alive.read_bytes()
        except FileNotFoundError:
            return not self.directory.claim.exists()
        return claimed_by == f"{pid}\n".encode() and note != _DONE

    def report_exit(self, code: int | None, *, lost: str = "") -> None:
        content: dict[str, int | str] = {"lost": lost} if lost else {}
        if code is not None:
            content |= {"signal": -code} if code < 0 else {"exit_code": code}
        write_atomically(self.directory.exit, json.dumps(content).encode())


class FileChannels(Struct, frozen=True):
    """The owner's ends of the attempts of all runs in one state directory."""

    state: StateDir

    def prepare(self, handle: str) -> str:
        path = self._directory(handle).path
        make_private(path)
        return str(path)

    def keep_output(self, handle: str, printed: bytes) -> None:
        if printed:
            write_atomically(self._directory(handle).stdout, printed)

    def add_output(self, handle: str, printed: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        with os.fdopen(os.open(self._directory(handle).stdout, flags, FILE_MODE), "ab") as file:
            file.write(printed)

    def watch(self, handle: str, seen: int = 0, max_log_mb: int | None = None) -> AttemptWatch:
        directory = self._directory(handle)
        return AttemptWatch(directory, seen, None if max_log_mb is None else LogLimit(directory, max_log_mb))

    def _directory(self, handle: str) -> AttemptDir:
        run_id, step, attempt = split_handle(handle)
        return RunsDir(self.state.path).run(run_id).attempt(step, attempt)


def open_channel(address: str) -> AttemptFiles:
    """The worker's end of the attempt at that address."""
    return AttemptFiles(AttemptDir(Path(address)))


def is_run_active(storage: str, run_id: str) -> bool:
    """Whether an owner drives the run, in the state directory that this default storage belongs to. False without one:
    such a run is over when its process is."""
    return bool(storage) and is_locked(RunsDir(Path(storage).parent).run(run_id).owner_lock)
