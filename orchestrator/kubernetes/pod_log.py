"""Reads the logs of pods that have ended: the newest part, because that is what people look for and what ends with our
events.

The API bounds an answer by lines (`tailLines`), which it counts in pieces of at most 16 KiB. Its bound in bytes keeps
the oldest of them.
"""

from __future__ import annotations

from collections import deque

from orchestrator.errors import ClusterRefused
from orchestrator.kubernetes.client import Client

MOST_LINES = 50_000
MOST_BYTES = 16 << 20
_PIECE = 16 << 10
# What the API says, with success, in place of the log of a container that its node does not know any more.
_NO_LOG = b"unable to retrieve container logs for "
_TIMEOUT_S = 60.0
# Lines that the container runtime may have written behind ours.
_BEHIND = 20


class PodLogs:
    """Called by threads. A log that is gone is empty. Raises ClusterUnreachable while one cannot be read."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._path = f"/api/v1/namespaces/{namespace}/pods"

    def newest(self, pod: str) -> bytes:
        """The newest part of what a pod has printed, with a line in front if there is more."""
        data, is_part = self._read(pod, MOST_LINES)
        if data is None:  # its lines are very long
            data, is_part = self._read(pod, MOST_BYTES // _PIECE)
        if not data or data.startswith(_NO_LOG):
            return b""
        if not is_part:
            return data
        size = f"{len(data) / 1e6:.1f} MB" if len(data) > 100_000 else f"{len(data):,} bytes"
        notice = f"[orchestrator: the step printed more than this; the newest {size} are kept]\n"
        return notice.encode() + data.partition(b"\n")[2]

    def tail(self, pod: str, lines: int) -> bytes:
        """The last lines, and some more."""
        query = {"tailLines": str(lines + _BEHIND), "container": "step"}
        try:
            return self._client.text(f"{self._path}/{pod}/log", query, _TIMEOUT_S)
        except ClusterRefused:
            return b""

    def _read(self, pod: str, lines: int) -> tuple[bytes | None, bool]:
        """The newest bytes of so many lines, None if that takes too long; and whether it is only a part."""
        kept: deque[bytes] = deque()
        size = total = 0
        query = {"tailLines": str(lines), "container": "step"}
        try:
            for chunk in self._client.chunks(f"{self._path}/{pod}/log", query, _TIMEOUT_S):
                kept.append(chunk)
                size, total = size + len(chunk), total + len(chunk)
                while size - len(kept[0]) >= MOST_BYTES:
                    size -= len(kept.popleft())
                if total > 4 * MOST_BYTES and lines == MOST_LINES:
                    return None, True
        except ClusterRefused:
            return b"", False
        data = b"".join(kept)
        return data, total > size or lines < MOST_LINES or data.count(b"\n") >= lines
