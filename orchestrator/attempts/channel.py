"""The two ends of an attempt's channel, as protocols.

Guarantees of every implementation: an attempt is claimed once, by its process or by an owner that revokes it; an event
that was appended is seen by every owner, once each and in order, whatever happens to either process; a damaged event
costs no other; the outcome is the last event that counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, Literal, Protocol

from msgspec import Struct

from orchestrator.attempts.observation import Observation

Stream = Literal["stdout", "stderr"]


class AlreadyClaimed(Exception):
    """The attempt is already claimed: by another process, or by an owner that revoked it."""


class OutputFiles(Struct, frozen=True):
    """Where the output of an attempt's process goes: the two log files, and the notes about their order."""

    stdout: Path
    stderr: Path
    marks: Path


class Claim(Protocol):
    """The claimed attempt, in the process that makes it."""

    def append(self, line: bytes) -> None:
        """Records an event: one encoded line, newline included. Durable against the death of the process."""
        ...

    def confirm(self) -> None:
        """Returns when the attempt is still this process's: called before a value is stored. Raises ExecutionError when
        its owner has given it up, or when that cannot be found out."""
        ...

    def finish(self) -> None:
        """Says that the outcome is recorded: how the process ends does not matter after that."""
        ...

    def release(self) -> None:
        """Ends the claim's liveness: this process makes no attempt any more. Idempotent."""
        ...


class WorkerChannel(Protocol):
    """The end of the attempt's process and of the process that started it."""

    @property
    def address(self) -> str:
        """What `open_channel` opens the same channel from, in another process."""
        ...

    def claim(self) -> Claim:
        """Takes the attempt for this process, once and for all. Raises AlreadyClaimed."""
        ...

    def is_claimed(self) -> bool:
        """Whether the attempt has begun, or can no longer begin."""
        ...

    def output(self) -> OutputFiles | None:
        """Where the process's output goes; None: where it goes already."""
        ...

    def ended_without_outcome(self, pid: int) -> bool:
        """Whether process `pid`, which has ended, made the attempt and left no outcome. For its parent."""
        ...

    def report_exit(self, code: int | None, *, lost: str = "") -> None:
        """Says how the attempt's process ended: its exit code, or the signal that ended it as a negative number.
        `lost`: why the attempt has not run, and is to be made again at no cost to the step. Atomic."""
        ...


class OwnerChannel(Protocol):
    """The owner's end of one attempt."""

    def look(self, *, parent_alive: bool) -> Observation:
        """The attempt as it is now, with the events since the last look. `parent_alive`: whether a process is there
        that would see the attempt's process die, or would still start it. Revokes an attempt that has not begun and
        that no process would start."""
        ...

    def stop(self, grace: float) -> None:
        """Asks the attempt to stop; `grace` seconds later it is killed with every process it has started. Asking again
        may shorten that. Takes effect with the next looks; returns at once."""
        ...

    def revoke(self) -> bool:
        """Makes sure that the attempt never begins; False when it has begun already. Idempotent."""
        ...

    def log(self, stream: Stream) -> IO[bytes]:
        """What the attempt has written to that stream. Raises OSError when there is nothing."""
        ...

    def close(self) -> None:
        """Releases what looking needs. The attempt continues."""
        ...


class Channels(Protocol):
    """Opens the owner's ends of attempts. One for each owner of runs."""

    def prepare(self, handle: str) -> str:
        """Makes the place for an attempt that is about to be launched; the address for its worker. Idempotent. Raises
        OSError."""
        ...

    def keep_output(self, handle: str, printed: bytes) -> None:
        """Keeps what an attempt has printed, when its process could not write that here itself. Replaces what is there.
        Raises OSError."""
        ...

    def add_output(self, handle: str, printed: bytes) -> None:
        """Keeps more of what an attempt prints, behind what is there. Raises OSError."""
        ...

    def watch(self, handle: str, seen: int = 0, max_log_mb: int | None = None) -> OwnerChannel:
        """The owner's end of an attempt. `seen` of its events are known already and are not reported; of what it
        prints, at most `max_log_mb` megabytes a stream are kept."""
        ...
