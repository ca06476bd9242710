"""Attempts within one process, for tests: both ends of the channel over one object in memory.

A worker is the holder of the claim; releasing it without an outcome stands for the death of its process.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import IO

from msgspec import Struct, field

from orchestrator.attempts.channel import AlreadyClaimed, Stream
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
from orchestrator.model.attempt import split_handle
from orchestrator.model.error_info import ErrorInfo


class MemoryAttempt(Struct):
    """One attempt. `on_stop` is called in the worker's stead when it is asked to stop."""

    handle: str
    lines: list[bytes] = field(default_factory=list)
    claimed_by: str = ""  # "" | "worker" | "revoked"
    is_alive: bool = False
    is_done: bool = False
    exit: tuple[int | None, str] | None = None
    printed: dict[Stream, bytes] = field(default_factory=dict)
    on_stop: Callable[[], None] = lambda: None
    lock: threading.RLock = field(default_factory=threading.RLock)

    def take(self, who: str) -> bool:
        """Claims the attempt, once; whether `who` has it."""
        with self.lock:
            self.claimed_by = self.claimed_by or who
            return self.claimed_by == who


class MemoryClaim:
    """The claimed attempt in its worker."""

    def __init__(self, attempt: MemoryAttempt) -> None:
        self._attempt = attempt

    def append(self, line: bytes) -> None:
        with self._attempt.lock:
            self._attempt.lines.append(line)

    def confirm(self) -> None:
        """An owner that gives an attempt up ends its process first."""

    def finish(self) -> None:
        self._attempt.is_done = True

    def release(self) -> None:
        self._attempt.is_alive = False


class MemoryWorkerChannel:
    """The worker's end."""

    def __init__(self, attempt: MemoryAttempt) -> None:
        self._attempt = attempt

    @property
    def address(self) -> str:
        return self._attempt.handle

    def claim(self) -> MemoryClaim:
        with self._attempt.lock:
            if self._attempt.claimed_by:
                raise AlreadyClaimed(self._attempt.handle)
            self._attempt.take("worker")
            self._attempt.is_alive = True
        return MemoryClaim(self._attempt)

    def is_claimed(self) -> bool:
        return bool(self._attempt.claimed_by)

    def output(self) -> None:
        return None

    def ended_without_outcome(self, pid: int) -> bool:
        return not self._attempt.is_alive and not self._attempt.is_done and self._attempt.claimed_by != "revoked"

    def report_exit(self, code: int | None, *, lost: str = "") -> None:
        self._attempt.exit = (code, lost)


class MemoryOwnerChannel:
    """The owner's end."""

    def __init__(self, attempt: MemoryAttempt, seen: int) -> None:
        self._attempt = attempt
        _, self._step, self._number = split_handle(attempt.handle)
        self._seen = seen
        self._kill_at: float | None = None
        self._unreadable: str | None = None

    def look(self, *, parent_alive: bool) -> Observation:
        with self._attempt.lock:
            self._enforce_stop()
            recorded = self._new_events()
            return up_to_outcome(recorded) or self._without_outcome(recorded, parent_alive)

    def stop(self, grace: float) -> None:
        due = monotonic() + grace
        if self._kill_at is None:
            self._attempt.on_stop()
        self._kill_at = due if self._kill_at is None else min(due, self._kill_at)

    def revoke(self) -> bool:
        return self._attempt.take("revoked")

    def log(self, stream: Stream) -> IO[bytes]:
        if stream not in self._attempt.printed:
            raise FileNotFoundError(f"{self._attempt.handle}: {stream}")
        return io.BytesIO(self._attempt.printed[stream])

    def close(self) -> None:
        pass

    def _without_outcome(self, recorded: list[Recorded], parent_alive: bool) -> Observation:
        attempt = self._attempt
        if attempt.exit is not None:
            return ended(recorded, *_how_it_ended(*attempt.exit), self._unreadable)
        if not attempt.claimed_by and parent_alive and self._kill_at is None:
            return observed(Phase.PENDING, recorded)
        if attempt.claimed_by != "worker" and self.revoke():
            return observed(Phase.REVOKED, recorded, reason="it was revoked before it began")
        if attempt.is_alive or parent_alive:
            return observed(Phase.RUNNING, recorded)
        lost = ErrorInfo("Lost", "its process is gone, and how it ended was not seen")
        return ended(recorded, Phase.LOST, lost, self._unreadable)

    def _enforce_stop(self) -> None:
        if self._kill_at is not None and self._attempt.is_alive and monotonic() >= self._kill_at:
            self._attempt.is_alive = False
            self._attempt.exit = (-9, "")

    def _new_events(self) -> list[Recorded]:
        found = []
        for number, line in enumerate(self._attempt.lines[self._seen :], self._seen):
            recorded, problem = recorded_line(self._step, self._number, line.rstrip(b"\n"), number)
            self._unreadable = problem or self._unreadable
            found.append(recorded)
        self._seen += len(found)
        return found


def _how_it_ended(code: int | None, lost: str) -> tuple[Phase, ErrorInfo]:
    if lost:
        return Phase.LOST, ErrorInfo("Lost", lost)
    return Phase.FAILED, death(-code, None) if code is not None and code < 0 else death(None, code)


class MemoryChannels:
    """The owner's ends of attempts in this process, and the workers' by their addresses."""

    def __init__(self) -> None:
        self.attempts: dict[str, MemoryAttempt] = {}

    def prepare(self, handle: str) -> str:
        self.attempts.setdefault(handle, MemoryAttempt(handle))
        return handle

    def keep_output(self, handle: str, printed: bytes) -> None:
        self.prepare(handle)
        self.attempts[handle].printed["stdout"] = printed

    def add_output(self, handle: str, printed: bytes) -> None:
        self.keep_output(handle, self.attempts[handle].printed.get("stdout", b"") + printed)

    def watch(self, handle: str, seen: int = 0, max_log_mb: int | None = None) -> MemoryOwnerChannel:
        self.prepare(handle)
        return MemoryOwnerChannel(self.attempts[handle], seen)

    def open(self, address: str) -> MemoryWorkerChannel:
        """The worker's end of the attempt at that address."""
        return MemoryWorkerChannel(self.attempts[address])
