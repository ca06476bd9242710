"""The store while a daemon holds it: the same operations, carried out over its socket.

Imports nothing of DuckDB, so that a command that only asks starts fast.
"""

from __future__ import annotations

import inspect
import json
import os
import selectors
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, get_type_hints

import msgspec

from orchestrator.catalog.kinds import kind_of
from orchestrator.clock import monotonic, now
from orchestrator.errors import DaemonSilent, StoreError, error_of_kind
from orchestrator.heartbeat import daemon_pid, is_suspended, is_turning, unresponsive_error
from orchestrator.protocol.wire import Channel, Disconnected
from orchestrator.state_dir import StateDir

PROTOCOL = 2
# How long an answer may take. A daemon turns many times a second; one that does not is busy, or hangs.
PATIENCE_S = 30.0
# How often a waiting client checks that the daemon is alive; the first check also prints a notice.
_LOOK_S = 1.0
# What a socket's path may be long, on the strictest of systems.
_LONGEST_PATH = 100
# Where Linux shows what is open, by number.
_DESCRIPTORS = Path("/proc/self/fd")

P = ParamSpec("P")
R = TypeVar("R")


class Call(msgspec.Struct, frozen=True, tag="call"):
    """`operation` is `module:function` of a store operation, or the name of something only the daemon can do.
    `arguments` are JSON, by name."""

    protocol: int
    operation: str
    arguments: bytes


class Result(msgspec.Struct, frozen=True, tag="result"):
    """What the call gave, as JSON."""

    result: bytes


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The error that the call ended with."""

    kind: str
    message: str
    hint: str | None = None
    details: tuple[str, ...] = ()


class RemoteStore:
    """A store in the daemon. Calling it with an operation and its arguments carries the operation out there."""

    def __init__(
        self,
        connection: socket.socket,
        state: StateDir,
        patience: float = PATIENCE_S,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.state = state
        self._patience = patience
        self._tell = tell
        self._channel: Channel[Result | Refused] = Channel(connection, Result | Refused)

    def __call__(self, operation: Callable[Concatenate[Any, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        bound = inspect.signature(operation).bind(None, *args, **kwargs)
        arguments = dict(list(bound.arguments.items())[1:])
        raw = self.ask(
            f"{operation.__module__}:{operation.__qualname__}", arguments, is_slow=kind_of(operation) == "slow"
        )
        result: R = decode(raw, hints_of(operation)["return"])
        return result

    def ask(self, operation: str, arguments: dict[str, Any], *, is_slow: bool = False) -> bytes:
        """The JSON that an operation gives. Raises what it raised there, DaemonSilent when no answer comes.

        `is_slow`: the answer may take as long as the daemon lets it, and is waited for while the daemon is alive.
        """
        try:
            self._connect_again()
            self._channel.send(Call(PROTOCOL, operation, encode(arguments)))
            reply = self._wait(is_slow)
        except Disconnected:
            raise unresponsive_error(self.state, now()) from None
        if isinstance(reply, Refused):
            raise error_of_kind(reply.kind, reply.message, reply.hint, reply.details, StoreError)
        return reply.result

    def close(self) -> None:
        self._channel.close()

    def _connect_again(self) -> None:
        """After a long silence the daemon has closed the connection. Nothing was asked on it: another one will do."""
        try:
            self._channel.receive()
        except Disconnected:
            connection = _connection(self.state)
            if connection is None:
                raise
            self._channel.close()
            self._channel = Channel(connection, Result | Refused)

    def _wait(self, is_slow: bool) -> Result | Refused:
        deadline = monotonic() + self._patience
        with selectors.DefaultSelector() as selector:
            while True:
                events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._channel.wants_to_send else 0)
                selector.register(self._channel, events)
                ready = selector.select(min(_LOOK_S, max(0.0, deadline - monotonic())))
                selector.unregister(self._channel)
                if not ready:
                    self._look_after(deadline, is_slow)
                    continue
                self._channel.flush()
                for message in self._channel.receive():
                    return message

    def _look_after(self, deadline: float, is_slow: bool) -> None:
        """No answer yet: gives up after the timeout, or when the daemon is gone."""
        if is_slow and is_turning(self.state, now()):
            return
        if monotonic() >= deadline or is_suspended(daemon_pid(self.state) or 0):
            why = unresponsive_error(self.state, now())
            raise DaemonSilent(why.message, hint=f"{why.hint} What was asked of it may then still be done.")
        if self._tell is not None:
            self._tell(f"waiting: {unresponsive_error(self.state, now()).message}")
            self._tell = None


def connect(
    state: StateDir, patience: float = PATIENCE_S, tell: Callable[[str], None] | None = None
) -> RemoteStore | None:
    """The store in the daemon; None when there is no daemon that listens.

    `patience` is how long each answer may take; `tell` is called once, with a sentence, when one takes noticeably long.
    """
    connection = _connection(state)
    return None if connection is None else RemoteStore(connection, state, patience, tell)


def _connection(state: StateDir) -> socket.socket | None:
    if not state.daemon_sock.exists():
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with reachable(state.daemon_sock) as path:
            connection.connect(path)
    except OSError:
        connection.close()
        return None
    return connection


def ask_daemon(state: StateDir, name: str, *, patience: float = PATIENCE_S, **arguments: Any) -> Any:
    """Asks the daemon for something that is no store operation. Raises DaemonSilent when it does not answer."""
    store = connect(state, patience)
    if store is None:
        raise unresponsive_error(state, now())
    try:
        return json.loads(store.ask(name, arguments))
    finally:
        store.close()


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """A name for a socket that is short enough to be used as one, however deep its directory lies."""
    if len(os.fsencode(path)) < _LONGEST_PATH:
        yield str(path)
        return
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _DESCRIPTORS.is_dir():
            yield str(_DESCRIPTORS / str(descriptor) / path.name)
        else:
            with _inside(descriptor):
                yield path.name
    finally:
        os.close(descriptor)


@contextmanager
def _inside(directory: int) -> Iterator[None]:
    """For a moment in another directory: where a directory that is open has no name."""
    before = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fchdir(directory)
        yield
    finally:
        os.fchdir(before)
        os.close(before)


def hints_of(operation: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of an operation. Its first parameter, the database, is of no concern here."""
    return get_type_hints(operation, localns={"Database": object})


def encode(value: Any) -> bytes:
    return msgspec.json.encode(value, enc_hook=lambda one: str(one) if isinstance(one, Path) else _unknown(one))


def decode(raw: bytes, kind: Any) -> Any:
    return msgspec.json.decode(raw, type=kind, dec_hook=lambda cls, value: cls(value))


def _unknown(value: Any) -> Any:
    raise NotImplementedError(f"{type(value).__name__} cannot be sent to the daemon")
