"""Minimal sd_notify client (READY, WATCHDOG, STOPPING).

Only the progress of the loop is reported: a daemon whose work fails still turns, one that hangs does not,
and only that is a reason to start it again. Without a supervisor nothing is sent.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import MutableMapping

_SOCKET = "NOTIFY_SOCKET"
_OURS = (_SOCKET, "WATCHDOG_USEC", "WATCHDOG_PID")
# The loop may turn a thousand times a second; saying so once in a while is enough.
_EVERY_S = 5.0


class Supervisor:
    """The supervisor that started this process; none when the environment names no socket.

    The variables are taken out of the environment: what the daemon starts must not speak for it.
    """

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        self._address = environment.get(_SOCKET, "")
        self._told_at: float | None = None
        for name in _OURS:
            environment.pop(name, None)

    def ready(self) -> None:
        self._tell("READY=1")

    def turned(self, now: float) -> None:
        """The loop has turned; `now` is in monotonic seconds."""
        if self._told_at is None or now - self._told_at >= _EVERY_S:
            self._told_at = now
            self._tell("WATCHDOG=1")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    def _tell(self, message: str) -> None:
        if not self._address:
            return
        # A name that begins with @ is in Linux's abstract namespace.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
            speaker.setblocking(False)
            speaker.sendto(message.encode(), address)
