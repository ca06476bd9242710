"""The end of an attempt's channel in a pod: events go into the container's termination message.

The message is written again with each event, so that a killed container leaves all it has recorded. What the attempt
prints goes to the container's log.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from orchestrator.attempts.termination_message import Written, write_message

MESSAGE_FILE = Path("/dev/termination-log")


class PodClaim:
    """The claimed attempt in its pod."""

    def __init__(self, path: Path, token: str, confirm: Callable[[], None]) -> None:
        self._path = path
        self._token = token
        self.confirm = confirm
        self._events: list[bytes] = []
        self._written = Written(b"")

    def append(self, line: bytes) -> None:
        self._events.append(line)
        self._written = write_message(self._events, self._token)
        leave_message(self._written.message, self._path)

    def finish(self) -> None:
        pass

    def release(self) -> None:
        """Prints the events that did not fit into the message: in one go, so that the log is not rotated in between."""
        block, self._written = self._written.block, Written(b"")
        if block:
            sys.stdout.flush()
            text = "".join(f"{line}\n" for line in block).encode()
            os.write(1, b"\n")
            rest = memoryview(text)
            while rest:
                rest = rest[os.write(1, rest) :]


def leave_message(message: bytes, path: Path = MESSAGE_FILE) -> None:
    """Replaces the container's termination message."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        os.pwrite(descriptor, message, 0)
        os.ftruncate(descriptor, len(message))
    finally:
        os.close(descriptor)


def _unconfirmed() -> None:
    """Pods without a claim take it for granted that the attempt is theirs."""


class PodChannel:
    """The worker's end of an attempt that has a pod to itself, which has taken the attempt already. `confirm` raises
    ExecutionError when it was taken from it since."""

    def __init__(self, token: str, confirm: Callable[[], None] = _unconfirmed, path: Path = MESSAGE_FILE) -> None:
        self._token = token
        self._confirm = confirm
        self._path = path

    @property
    def address(self) -> str:
        return str(self._path)

    def claim(self) -> PodClaim:
        return PodClaim(self._path, self._token, self._confirm)

    def is_claimed(self) -> bool:
        return False

    def output(self) -> None:
        return None

    def ended_without_outcome(self, pid: int) -> bool:
        return False

    def report_exit(self, code: int | None, *, lost: str = "") -> None:
        """The container's own status says how it ended."""
