"""The daemon's side of the socket: runs store operations and a few requests of the daemon for processes of the same
user. Writes run at once in the daemon's thread, reads in `readers`.
"""

from __future__ import annotations

import importlib
import json
import os
import selectors
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct, field

from orchestrator.catalog.database import Database
from orchestrator.catalog.kinds import kind_of
from orchestrator.catalog.memory import allowance
from orchestrator.catalog.readers import Readers, Task
from orchestrator.catalog.rpc_client import PROTOCOL, Call, Refused, Result, decode, encode, hints_of, reachable
from orchestrator.clock import monotonic
from orchestrator.errors import OrchestratorError, StoreError, UsageError
from orchestrator.limits import free_descriptors
from orchestrator.private_file import FILE_MODE
from orchestrator.protocol.wire import Channel, Disconnected
from orchestrator.state_dir import StateDir, renamed

# The modules whose declared operations may be called by name.
SERVED = (
    "acknowledgements",
    "assets",
    "damage",
    "deliveries",
    "endings",
    "automations",
    "maintenance",
    "dashboard",
    "query",
    "queue",
    "runs",
    "ticks",
)
# Of those, what needs the file for itself.
_REFUSED = ("compact", "put_in_place", "copy_of_backup")
# How long reading may take, by what was declared.
LIMITS_S = {"reads": 60.0, "slow": 600.0, "question": 600.0}
# Connections at a time. Commands need one for a moment; an idle connection is closed to make room.
MOST_CLIENTS = 128
# A connection on which nothing has happened for this long is closed. Its owner connects again when it needs one.
SILENT_S = 600.0
# What a command may send at once: the ids of a million runs.
LARGEST_CALL = 64 << 20
# With fewer file descriptors free than this, silent connections are closed.
_DESCRIPTORS_KEPT = 8
# After this long a descriptor may be free again, so that a connection can be accepted.
_AGAIN_S = 0.5
# Calls that may wait on one connection. Commands wait for each answer.
_MOST_WAITING = 16


class _Client(Struct, eq=False):
    channel: Channel[Call]
    since: float  # when something happened on it last
    calls: deque[Call] = field(default_factory=deque)
    task: Task | None = None

    @property
    def is_silent(self) -> bool:
        """Whether nothing is being done for it."""
        return self.task is None and not self.calls


class StoreServer:
    """Serves a store that this process holds. Never blocks: what cannot be read, sent or answered at once waits.

    `before_call` is called before each operation, so that it sees what is true now; `extra` are requests by name,
    whose results are JSON-able.
    """

    def __init__(self, state: StateDir, database: Database) -> None:
        self._state = state
        self._database = database
        self._listener: socket.socket | None = None
        self._place: tuple[int, int] | None = None
        self._clients: list[_Client] = []
        self.readers = Readers(database)
        self._changes = 0
        self._not_before = 0.0
        self.extra: Mapping[str, Callable[..., Any]] = {}
        self.before_call: Callable[[], None] = lambda: None

    def open(self) -> None:
        """Listens from now on. The caller is the only daemon: a socket that is there was left by a dead one."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o077)
        try:
            _clear(self._state)
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

    def rebind_socket(self) -> bool:
        """Listens again when the socket was deleted; whether it was. Raises StoreError."""
        if self._found() == self._place is not None:
            return False
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self.open()
        return True

    def descriptors(self) -> Iterator[int]:
        """The descriptors that become readable when a client connects or writes."""
        if self._listener is not None and monotonic() >= self._not_before:
            yield self._listener.fileno()
        yield self.readers.fileno()
        for client in self._clients:
            yield client.channel.fileno()

    def writable(self) -> Iterator[int]:
        """The connections of those who have not taken all of their answer yet."""
        for client in self._clients:
            if client.channel.wants_to_send:
                yield client.channel.fileno()

    def next_deadline(self) -> float | None:
        """When to serve again at the latest, on the monotonic clock, even without a request."""
        deadlines = [self.readers.next_deadline(), self._not_before if self._not_before > monotonic() else None]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    @property
    def is_busy(self) -> bool:
        """Whether something that was asked is still to be answered."""
        return any(not client.is_silent for client in self._clients)

    def serve_ready(self) -> int:
        """Serves everybody who has asked something; how many of those operations may have changed something."""
        now = monotonic()
        self._accept(now)
        self._changes = 0
        self.readers.look()
        for client in list(self._clients):
            try:
                self._serve(client, now)
            except Exception:  # it is gone, or not one of ours: whatever it said, it gets no further
                self._drop(client)
        return self._changes

    def close(self) -> None:
        """Stops what is being read, says so, and listens no more."""
        self.readers.close("The daemon has stopped.")
        for client in self._clients:
            try:
                if client.task is not None:
                    client.channel.send(_outcome(client.task))
                _finish(client.channel)
            except Disconnected:
                pass
            client.channel.close()
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

    def _accept(self, now: float) -> None:
        while self._listener is not None:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:  # no descriptors: they wait, and so do we, or the loop would turn all the time
                self._not_before = now + _AGAIN_S
                return
            if _is_same_user(connection) and self._has_room():
                self._clients.append(_Client(Channel(connection, Call, LARGEST_CALL), now))
            else:
                connection.close()

    def _has_room(self) -> bool:
        """Whether there is room for one more, after the one that was silent for longest has made some."""
        if len(self._clients) >= MOST_CLIENTS or free_descriptors() < _DESCRIPTORS_KEPT:
            silent = [client for client in self._clients if client.is_silent]
            if not silent:
                return len(self._clients) < MOST_CLIENTS
            self._drop(min(silent, key=lambda client: client.since))
        return True

    def _drop(self, client: _Client) -> None:
        self._clients.remove(client)
        client.channel.close()
        if client.task is not None:
            client.task.cancel("The client is gone.")

    def _serve(self, client: _Client, now: float) -> None:
        """Answers one client as far as that is possible now. Raises Disconnected when it is gone."""
        waited = client.channel.wants_to_send
        client.channel.flush()
        calls = client.channel.receive()
        client.calls.extend(calls)
        if len(client.calls) > _MOST_WAITING:
            raise Disconnected("it asks faster than it can be answered")
        if calls or client.task is not None or (waited and not client.channel.wants_to_send):
            client.since = now
        elif now - client.since > SILENT_S:
            raise Disconnected("nothing has happened for long")
        if client.task is not None and client.task.is_over:
            task, client.task = client.task, None
            client.channel.send(_outcome(task))
        while client.calls and client.task is None:
            answer = self._answer(client.calls.popleft())
            if isinstance(answer, Task):
                client.task = answer
            else:
                client.channel.send(answer)

    def _answer(self, call: Call) -> Result | Refused | Task:
        try:
            if call.protocol != PROTOCOL:
                raise StoreError(
                    "The daemon is of another version than this command.",
                    hint="Restart it: `orchestrator daemon stop`, then `orchestrator daemon start`.",
                )
            done = self._carry_out(call)
            return done if isinstance(done, Task) else Result(done)
        except Exception as error:  # an answer is owed whatever it is
            return _refusal(error)

    def _carry_out(self, call: Call) -> bytes | Task:
        if call.operation in self.extra:
            return encode(self.extra[call.operation](**json.loads(call.arguments)))
        module, _, name = call.operation.partition(":")
        package, _, short = module.rpartition(".")
        if package != "orchestrator.catalog" or short not in SERVED or name.startswith("_"):
            raise UsageError(f"The daemon knows no operation {call.operation!r}.")
        if name in _REFUSED:
            raise UsageError("That needs the state for itself.", hint="Stop the daemon first.")
        operation = getattr(importlib.import_module(module), name, None)
        kind = kind_of(operation)
        if operation is None or kind is None:
            raise UsageError(f"The daemon knows no operation {call.operation!r}.")
        self.before_call()
        hints = hints_of(operation)
        arguments = {
            key: decode(encode(value), hints[key]) for key, value in json.loads(call.arguments).items() if key in hints
        }
        if kind == "reads":
            return self.readers.submit(kind, lambda reader: _read(reader, operation, arguments), seconds=LIMITS_S[kind])
        if kind in ("slow", "question"):
            return self.readers.submit(
                "slow",
                lambda reader: encode(operation(reader, **arguments)),
                seconds=LIMITS_S[kind],
                memory=allowance(self._database) if kind == "question" else None,
            )
        writes = self._database.writes
        try:
            return encode(operation(self._database, **arguments))
        finally:
            self._changes += self._database.writes > writes


def _read(reader: Database, operation: Callable[..., Any], arguments: dict[str, Any]) -> bytes:
    """All that an operation reads is of one moment, and it can write nothing."""
    with reader.reading():
        return encode(operation(reader, **arguments))


def _outcome(task: Task) -> Result | Refused:
    if task.error is not None:
        return _refusal(task.error)
    return Result(task.result) if task.is_over else Refused("StoreError", "The daemon has stopped.")


def _refusal(error: Exception) -> Refused:
    if isinstance(error, OrchestratorError):
        return Refused(type(error).__name__, error.message, error.hint, error.details)
    return Refused("StoreError", f"The daemon could not do that: {type(error).__name__}: {error}")


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


def _clear(state: StateDir) -> None:
    """Makes room for the socket. A directory in its place is renamed: something may be in it."""
    path = state.daemon_sock
    if path.is_dir() and not path.is_symlink():
        renamed(path)
    path.unlink(missing_ok=True)
