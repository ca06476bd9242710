"""The end of an attempt's channel in a pod: events go into the container's termination message.

The message is written again with each event, so that a killed container leaves all it has recorded. What the attempt
prints goes to the container's log.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from orchestrator.attempts.channel import AlreadyClaimed
from orchestrator.attempts.termination_message import Written, write_message

MESSAGE_FILE = Path("/dev/termination-log")


class PodClaim:
    """The claimed attempt in its pod."""

    def __init__(self, path: Path, token: str) -> None:
        self._path = path
        self._token = token
        self._events: list[bytes] = []
        self._written = Written(b"")

    def append(self, line: bytes) -> None:
        self._events.append(line)
        self._written = write_message(self._events, self._token)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT)
        try:
            os.pwrite(descriptor, self._written.message, 0)
            os.ftruncate(descriptor, len(self._written.message))
        finally:
            os.close(descriptor)

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


class PodChannel:
    """The worker's end of an attempt that has a pod to itself. `claimed` decides whether this pod makes the attempt:
    Kubernetes may start a second one."""

    def __init__(self, token: str, claimed: Callable[[], bool] = lambda: True, path: Path = MESSAGE_FILE) -> None:
        self._token = token
        self._claimed = claimed
        self._path = path

    @property
    def address(self) -> str:
        return str(self._path)

    def claim(self) -> PodClaim:
        if not self._claimed():
            raise AlreadyClaimed(self.address)
        return PodClaim(self._path, self._token)

    def is_claimed(self) -> bool:
        return False

    def output(self) -> None:
        return None

    def ended_without_outcome(self, pid: int) -> bool:
        return False

    def report_exit(self, code: int | None, *, lost: str = "") -> None:
        """The container's own status says how it ended."""
