"""The owner's end of an attempt's directory: observes the attempt, and ends it.

outcome recorded                        it is over, as the outcome says
exit.json                               it died, and its parent saw how; or it could not be started
no claim                                it has not begun
claim, alive.lock held                  it is running
claim, alive.lock free                  it died, and how was not seen (after a moment for its parent to report it)
"""

from __future__ import annotations

import os
import signal
from typing import IO

import msgspec

from orchestrator.attempts.channel import Stream
from orchestrator.attempts.exit_status import how_it_ended
from orchestrator.attempts.log_limit import LogLimit
from orchestrator.attempts.observation import (
    Observation,
    Phase,
    Recorded,
    death,
    ended,
    observed,
    recorded_line,
    up_to_outcome,
)
from orchestrator.clock import monotonic
from orchestrator.heartbeat import is_alive
from orchestrator.journal import read_lines_from
from orchestrator.layout import AttemptDir
from orchestrator.locks import is_locked
from orchestrator.model.error_info import ErrorInfo
from orchestrator.model.events import AttemptStarted
from orchestrator.private_file import FILE_MODE
from orchestrator.process_tree import kill_tree
from orchestrator.regular import IN_THE_WAY, PASSING, open_regular, read_regular, why
from orchestrator.state_dir import make_private

# How long the parent of a dead step process, if it lives, is given to write exit.json. It takes milliseconds; a
# machine that is swapping takes longer.
_PARENT_PATIENCE_S = 5.0


class AttemptWatch:
    """One attempt under observation. `seen` events of it are known already."""

    def __init__(self, directory: AttemptDir, seen: int = 0, limit: LogLimit | None = None) -> None:
        self.directory = directory
        self._step, self._attempt = directory.path.parent.name, int(directory.path.name)
        self._limit = limit
        self._skip = seen
        self._offset = 0
        self._count = 0  # lines read so far
        self._unreadable: str | None = None  # what could not be read, when anything could not
        self._events_file: int | None = None
        self._process: int | None = None  # as its events say
        self._dead_since: float | None = None
        self._kill_at: float | None = None
        self._asked = False

    def look(self, *, parent_alive: bool) -> Observation:
        """The attempt as it is now. `parent_alive`: whether a process is there that would see its process die."""
        self._enforce_stop()
        if self._limit is not None:
            self._limit.enforce()
        events = self._new_events()
        outcome = up_to_outcome(events)
        if outcome is not None:
            return outcome
        ended = self._how_it_ended()
        if ended is not None:
            return self._last_look(events, *ended)
        try:
            os.lstat(self.directory.claim)
        except PermissionError as error:
            return self._without_files(events, f"cannot be read: {why(error)}")
        except OSError:
            return self._unclaimed(events, parent_alive)
        if self._is_held():
            self._dead_since = None
            return observed(Phase.RUNNING, events)
        if _is_revoked(self.directory):  # by an owner that died before it could journal that
            return observed(Phase.REVOKED, events, reason="it was revoked before it began")
        return self._dead(events, parent_alive)

    def stop(self, grace: float) -> None:
        """Asks the attempt to stop; `grace` seconds later it is killed with every process it has started."""
        due = monotonic() + grace
        self._kill_at = due if self._kill_at is None else min(due, self._kill_at)
        self._enforce_stop()

    def revoke(self) -> bool:
        """Makes sure that the attempt never begins; False when it has begun already. Idempotent."""
        return revoke(self.directory)

    def log(self, stream: Stream) -> IO[bytes]:
        """What the attempt has written to that stream, as a file open for reading. Raises OSError."""
        path = self.directory.stdout if stream == "stdout" else self.directory.stderr
        return os.fdopen(open_regular(path), "rb")

    def close(self) -> None:
        if self._events_file is not None:
            os.close(self._events_file)
            self._events_file = None

    def _new_events(self) -> tuple[Recorded, ...]:
        """The events added since the last time. A line that cannot be read is one of them, and costs no other."""
        try:
            if self._events_file is None:
                self._events_file = open_regular(self.directory.events)
            read = read_lines_from(self._events_file, self._offset)
        except FileNotFoundError:
            return ()
        except OSError as error:
            if error.errno in PASSING:
                raise
            self._unreadable = f"its events cannot be read: {why(error)}"
            return ()
        events = []
        for number, line in enumerate(read.lines, self._count):
            recorded, problem = recorded_line(self._step, self._attempt, line, number)
            self._unreadable = problem or self._unreadable
            events.append(recorded)
        started = (one.event for one in events if isinstance(one.event, AttemptStarted))
        self._process = next((event.pid for event in started), self._process)
        new = events[self._skip :]
        self._skip -= len(events) - len(new)
        self._count += len(events)
        self._offset = read.offset
        return tuple(new)

    def _last_look(self, recorded: tuple[Recorded, ...], phase: Phase, error: ErrorInfo) -> Observation:
        # The outcome may have been written between reading the events and finding the process gone.
        return ended((*recorded, *self._new_events()), phase, error, self._unreadable)

    def _how_it_ended(self) -> tuple[Phase, ErrorInfo] | None:
        try:
            said = msgspec.json.decode(read_regular(self.directory.exit), type=_Exit)
        except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
            return None
        if not said.lost:
            return Phase.FAILED, death(said.signal, said.exit_code)
        if said.signal is None and said.exit_code is None:
            return Phase.LOST, ErrorInfo("Lost", said.lost)
        how = how_it_ended(-said.signal if said.signal is not None else said.exit_code or 0)
        return Phase.LOST, ErrorInfo("Lost", f"its process {how} {said.lost}")

    def _unclaimed(self, events: tuple[Recorded, ...], parent_alive: bool) -> Observation:
        if parent_alive and self._kill_at is None:
            has_not_begun = self._process is None and self.directory.path.is_dir()
            if has_not_begun:
                return observed(Phase.PENDING, events)
            return self._without_files(events, "was removed while it ran")
        why = "it was told to stop before it began" if parent_alive else "the process that was to start it is gone"
        if revoke(self.directory):
            return observed(Phase.REVOKED, events, reason=why)
        return observed(Phase.RUNNING, events)  # it began this very moment

    def _without_files(self, events: tuple[Recorded, ...], problem: str) -> Observation:
        """Its directory was removed after it was launched, or may not be read: its process, if known, is all there is
        to see."""
        if self._process is not None and is_alive(self._process):
            return observed(Phase.RUNNING, events)
        gone = ErrorInfo("StateDamaged", f"its directory {self.directory.path} {problem}")
        return self._last_look(events, Phase.FAILED, gone)

    def _dead(self, events: tuple[Recorded, ...], parent_alive: bool) -> Observation:
        if self._dead_since is None:
            self._dead_since = monotonic()
        if parent_alive and monotonic() - self._dead_since < _PARENT_PATIENCE_S:
            return observed(Phase.RUNNING, events)
        lost = ErrorInfo("Lost", "its process is gone, and how it ended was not seen")
        return self._last_look(events, Phase.LOST, lost)

    def _enforce_stop(self) -> None:
        if self._kill_at is None or not self._is_held():
            return
        pid = self._pid()
        if pid is None:
            return
        # The lock is held, so the pid cannot have passed to another process.
        if monotonic() >= self._kill_at:
            kill_tree(pid)
        elif not self._asked:
            self._asked = True
            _signal(pid, signal.SIGTERM)

    def _is_held(self) -> bool:
        """Whether its process holds its lock; of a lock that may not be read, whether a process of its number lives."""
        try:
            return is_locked(self.directory.alive)
        except PermissionError:
            pid = self._pid()
            return pid is not None and is_alive(pid)

    def _pid(self) -> int | None:
        try:
            pid = int(read_regular(self.directory.claim, 64))
        except (OSError, ValueError):
            return None
        return pid if pid > 1 else None  # 0, 1 and negative numbers mean more than one process to `kill`


def revoke(directory: AttemptDir) -> bool:
    """Makes sure that the attempt never begins; False when it has begun already. Revoking twice is fine."""
    if not directory.path.parents[2].exists():
        return True  # the run was removed: nothing can begin in a directory that is not there
    try:
        make_private(directory.path)  # its owner may have died before that
    except OSError as error:
        if error.errno not in IN_THE_WAY:
            raise
        return True  # something else has its place: nothing can begin there, and no later look finds anything else
    try:
        descriptor = os.open(directory.claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    except FileExistsError:
        return _is_revoked(directory)
    os.write(descriptor, b"revoked\n")
    os.close(descriptor)
    return True


def _is_revoked(directory: AttemptDir) -> bool:
    try:
        return read_regular(directory.claim, 64) == b"revoked\n"
    except OSError:
        return False


class _Exit(msgspec.Struct):
    signal: int | None = None
    exit_code: int | None = None
    lost: str = ""  # why it has not run, when nothing of the user's has


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
