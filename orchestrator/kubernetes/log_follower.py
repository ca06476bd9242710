"""Copies what running pods print into their attempts' output, as they print it. Each costs a connection and a thread:
there are only so many at a time, and only for runs that are watched.
"""

from __future__ import annotations

import threading

from msgspec import Struct, field

from orchestrator.attempts.channel import Channels
from orchestrator.attempts.termination_message import BLOCK
from orchestrator.errors import OrchestratorError
from orchestrator.kubernetes.client import Client

MOST = 16
# A step may be silent for so long before its connection counts as dead. What it prints then comes when it has ended.
_SILENT_S = 3600.0
# Of one attempt, at most so much is copied: what it prints beyond that is read at its end, the newest part.
_MOST_BYTES = 16 << 20
# So much of the end of what was copied is compared with the log's own.
_LAST = 4096
# The end of a pod's log comes about when its end is seen.
_SETTLE_S = 5.0


class _Copy(Struct, eq=False):
    """One attempt whose log is copied. The lock is held while something is written."""

    handle: str
    pod: str
    ours: bytes  # what our own lines in the log begin with
    lock: threading.Lock = field(default_factory=threading.Lock)
    ended: threading.Event = field(default_factory=threading.Event)
    is_whole: bool = False
    last: bytes = b""  # the end of what was copied
    is_stopped: bool = False


class LogFollower:
    """Called by the owner's thread, and `settle` by any."""

    def __init__(self, client: Client, namespace: str, channels: Channels) -> None:
        self._client = client
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._channels = channels
        self._copies: dict[str, _Copy] = {}

    def follow(self, handle: str, pod: str, token: str) -> None:
        """Begins to copy, unless that was begun before or there are too many. `token`: that of the attempt, which marks
        our own lines in the log."""
        under_way = sum(not one.ended.is_set() for one in self._copies.values())
        if handle in self._copies or under_way >= MOST:
            return
        copy = self._copies[handle] = _Copy(handle, pod, f"{BLOCK}{token} ".encode())
        threading.Thread(target=self._run, args=(copy,), name=f"log of {pod}", daemon=True).start()

    def settle(self, handle: str) -> bytes | None:
        """Ends the copying for an attempt that has ended; the end of what was copied, if the log was copied to where it
        seemed to end. If not, nothing more will be written, and its log is to be read."""
        copy = self._copies.get(handle)
        if copy is None:
            return None
        copy.ended.wait(_SETTLE_S)
        with copy.lock:
            copy.is_stopped = True
        return copy.last if copy.is_whole else None

    def forget(self, handle: str) -> None:
        """The attempt is over."""
        self._copies.pop(handle, None)

    def _run(self, copy: _Copy) -> None:
        try:
            copy.is_whole = self._copy(copy)
        except (OrchestratorError, OSError):
            pass  # the log is read when the attempt has ended
        finally:
            copy.ended.set()

    def _copy(self, copy: _Copy) -> bool:
        """Whether the log was copied to its end."""
        query = {"follow": "true", "container": "step"}
        rest, copied = b"", 0
        for chunk in self._client.chunks(f"{self._path}/{copy.pod}/log", query, _SILENT_S):
            printed, rest = split_printed(rest + chunk, copy.ours)
            copied += len(printed)
            if copied > _MOST_BYTES or not self._write(copy, printed, is_first=copied == len(printed)):
                return False
        return rest.startswith(copy.ours) or self._write(copy, rest, is_first=not copied)

    def _write(self, copy: _Copy, printed: bytes, *, is_first: bool) -> bool:
        """Whether it may be written: not once the log itself is being read."""
        with copy.lock:
            if copy.is_stopped:
                return False
            copy.last = (copy.last + printed)[-_LAST:]
            if printed and is_first:
                self._channels.keep_output(copy.handle, printed)
            elif printed:
                self._channels.add_output(copy.handle, printed)
        return True


def split_printed(data: bytes, ours: bytes) -> tuple[bytes, bytes]:
    """What a step printed, without our own lines, which begin with `ours`; and the rest, of which that cannot be said
    yet. A line that is not complete counts as printed as soon as it cannot be ours: a progress bar has no others.
    Pure."""
    *complete, last = data.split(b"\n")
    printed = b"".join(line + b"\n" for line in complete if not line.startswith(ours))
    if last.startswith(ours) or ours.startswith(last):
        return printed, last
    return printed + last, b""
