"""A copy of this process, forked before it is needed: the next step of a run starts in it without waiting for the
fork.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from orchestrator.worker.forking import fork

# More than this may not fit into the socket at once, and we would wait for a process that may be suspended.
LARGEST = 64 * 1024


class Spare:
    """One such process, which ends when it is not needed. `close_inherited` is called in it at once, `work` when there
    is work; what that returns is its exit code."""

    def __init__(self, close_inherited: Callable[[], None], work: Callable[[bytes], int]) -> None:
        self._connection, theirs = socket.socketpair()

        def close() -> None:
            self._connection.close()
            close_inherited()

        def wait_and_work() -> int:
            given = _read_all(theirs)
            return work(given) if given else 0

        try:
            self.pid = fork(close, wait_and_work)
        except OSError:
            self._connection.close()
            raise
        finally:
            theirs.close()

    def give(self, what: bytes) -> bool:
        """Hands it its work; False if that cannot be done, and then nothing has happened."""
        try:
            if len(what) > LARGEST:
                return False
            self._connection.sendall(what)
        except OSError:
            return False
        finally:
            self._connection.close()
        return True

    def close(self) -> None:
        """Lets go of it: in this process it ends, in a copy of this process there is one less to keep it alive."""
        self._connection.close()


def _read_all(connection: socket.socket) -> bytes:
    with connection:
        chunks = []
        while chunk := connection.recv(LARGEST):
            chunks.append(chunk)
    return b"".join(chunks)
