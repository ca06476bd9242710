"""The daemon's side of the socket: store operations and a few requests of its own, for others of the same user. Knows
none of the operations by name.
"""

from __future__ import annotations

import importlib
import json
import os
import selectors
import socket
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from orchestrator.errors import OrchestratorError, StoreError, UsageError
from orchestrator.layout import FILE_MODE, StateDir
from orchestrator.store.database import Database
from orchestrator.store.remote import PROTOCOL, Call, Refused, Result, decode, encode, hints_of, reachable
from orchestrator.wire import Channel, Disconnected

# The modules whose functions may be called by name.
SERVED = (
    "assets",
    "damage",
    "deliveries",
    "endings",
    "instigators",
    "maintenance",
    "overview",
    "query",
    "queue",
    "runs",
    "ticks",
)
# Of those, what needs the file for itself.
_REFUSED = ("compact", "put_in_place", "copy_of_backup")


class StoreServer:
    """Serves a store that this process holds. Never blocks: what cannot be read or sent at once waits for its turn.

    `before_call` is called before each operation, so that it sees what is true now; `extra` are requests by name,
    whose results are JSON-able.
    """

    def __init__(self, state: StateDir, database: Database) -> None:
        self._state = state
        self._database = database
        self._listener: socket.socket | None = None
        self._place: tuple[int, int] | None = None
        self._clients: list[Channel[Call]] = []
        self._changes = 0
        self.extra: Mapping[str, Callable[..., Any]] = {}
        self.before_call: Callable[[], None] = lambda: None

    def open(self) -> None:
        """Listens from now on. The caller is the only daemon: a socket that is there was left by a dead one."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o077)
        try:
            self._state.daemon_sock.unlink(missing_ok=True)
            with reachable(self._state.daemon_sock) as path:
                listener.bind(path)
            self._state.daemon_sock.chmod(FILE_MODE)
        except OSError as error:
            listener.close()
            raise StoreError(f"{self._state.daemon_sock} cannot be listened on: {error}.") from error
        finally:
            os.umask(mask)
        listener.listen(64)
        listener.setblocking(False)
        self._listener = listener
        self._place = self._found()

    def mend(self) -> bool:
        """Listens anew when somebody has deleted the socket; whether that was so. Raises StoreError."""
        if self._found() == self._place is not None:
            return False
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self.open()
        return True

    def descriptors(self) -> Iterator[int]:
        """What becomes readable when somebody wants something."""
        if self._listener is not None:
            yield self._listener.fileno()
        for client in self._clients:
            yield client.fileno()

    @property
    def wants_to_send(self) -> bool:
        """Whether an answer waits for its reader."""
        return any(client.wants_to_send for client in self._clients)

    def serve_ready(self) -> int:
        """Serves everybody who has asked something; how many of those operations may have changed something."""
        self._accept()
        self._changes = 0
        for client in list(self._clients):
            try:
                client.flush()
                for call in client.receive():
                    client.send(self._answer(call))
            except Disconnected:
                self._clients.remove(client)
                client.close()
            except Exception:  # not one of ours, or of another version: whatever it said, it gets no further
                self._clients.remove(client)
                client.close()
        return self._changes

    def close(self) -> None:
        """Answers what is being answered, and listens no more."""
        for client in self._clients:
            _finish(client)
            client.close()
        self._clients.clear()
        if self._listener is not None:
            self._listener.close()
            if self._found() == self._place:
                self._state.daemon_sock.unlink(missing_ok=True)
            self._listener = None

    def _found(self) -> tuple[int, int] | None:
        """Which file the socket is at this moment."""
        try:
            status = self._state.daemon_sock.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _accept(self) -> None:
        while self._listener is not None:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            if _is_same_user(connection):
                self._clients.append(Channel(connection, Call))
            else:
                connection.close()

    def _answer(self, call: Call) -> Result | Refused:
        try:
            if call.protocol != PROTOCOL:
                raise StoreError(
                    "The daemon is of another version than this command.",
                    hint="Start it anew: `orchestrator daemon stop`, then `orchestrator daemon start`.",
                )
            return Result(self._carry_out(call))
        except OrchestratorError as error:
            return Refused(type(error).__name__, error.message, error.hint, error.details)
        except Exception as error:  # an answer is owed whatever it is
            return Refused("StoreError", f"The daemon could not do that: {type(error).__name__}: {error}")

    def _carry_out(self, call: Call) -> bytes:
        if call.operation in self.extra:
            return encode(self.extra[call.operation](**json.loads(call.arguments)))
        module, _, name = call.operation.partition(":")
        package, _, short = module.rpartition(".")
        if package != "orchestrator.store" or short not in SERVED or name.startswith("_"):
            raise UsageError(f"The daemon knows no operation {call.operation!r}.")
        if name in _REFUSED:
            raise UsageError("That needs the state for itself.", hint="Stop the daemon first.")
        operation = getattr(importlib.import_module(module), name)
        self.before_call()
        hints = hints_of(operation)
        arguments = {
            key: decode(encode(value), hints[key]) for key, value in json.loads(call.arguments).items() if key in hints
        }
        writes = self._database.writes
        try:
            return encode(operation(self._database, **arguments))
        finally:
            self._changes += self._database.writes > writes


def _finish(client: Channel[Call]) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_WRITE)
        try:
            while client.wants_to_send and selector.select(1.0):
                client.flush()
        except Disconnected:
            pass


def _is_same_user(connection: socket.socket) -> bool:
    """Whether the other side runs as our user. The directory's mode says so already; this is the second lock."""
    if sys.platform != "linux":
        return True
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    uid: int = struct.unpack("3i", credentials)[1]
    return uid in (os.getuid(), 0)
