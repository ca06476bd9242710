"""How two of our processes talk: length-prefixed msgspec messages over a stream socket. Knows none of the messages:
those are in `messages`.

A message is four bytes of length (big-endian) and a struct in MessagePack. Nothing in a message can be executed.
"""

from __future__ import annotations

import socket
import struct
from typing import Any, Generic, TypeVar

import msgspec

_LENGTH = struct.Struct(">I")
_CHUNK = 1 << 18
# A peer that announces more than this is not one of ours.
LARGEST_MESSAGE = 1 << 30

M = TypeVar("M")


class Disconnected(Exception):
    """The other side has closed the connection, or died."""


class Channel(Generic[M]):
    """One end of a connection; `incoming` is the union of the messages that the other end may send.

    Sending never blocks: what the socket does not take at once waits here, and `wants_to_send` says so. That way two
    processes that both have much to say can never wait for each other to listen.
    """

    def __init__(self, connection: socket.socket, incoming: Any) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._decoder = msgspec.msgpack.Decoder(incoming)
        self._encoder = msgspec.msgpack.Encoder()
        self._received = bytearray()
        self._unsent = bytearray()

    def fileno(self) -> int:
        return self._connection.fileno()

    @property
    def wants_to_send(self) -> bool:
        """Whether something waits that the socket did not take: `flush` once it can be written to."""
        return bool(self._unsent)

    def send(self, message: msgspec.Struct) -> None:
        """Queues a message and sends as much as the socket takes. Raises Disconnected."""
        body = self._encoder.encode(message)
        self._unsent += _LENGTH.pack(len(body)) + body
        self.flush()

    def flush(self) -> None:
        """Sends what is waiting, as far as possible without blocking. Raises Disconnected."""
        while self._unsent:
            try:
                sent = self._connection.send(self._unsent)
            except BlockingIOError:
                return
            except OSError as error:
                raise Disconnected(str(error)) from None
            del self._unsent[:sent]

    def receive(self) -> list[M]:
        """All messages that are complete by now. Raises Disconnected once the other side is gone and all was read."""
        gone = not self._read_available()
        messages = []
        while (message := self._next()) is not None:
            messages.append(message)
        if gone and not messages:
            raise Disconnected("the other side closed the connection")
        return messages

    def close(self) -> None:
        self._connection.close()

    def _read_available(self) -> bool:
        while True:
            try:
                chunk = self._connection.recv(_CHUNK)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not chunk:
                return False
            self._received += chunk

    def _next(self) -> M | None:
        if len(self._received) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._received)
        if length > LARGEST_MESSAGE:
            raise Disconnected(f"a message of {length} bytes was announced")
        end = _LENGTH.size + length
        if len(self._received) < end:
            return None
        message: M = self._decoder.decode(self._received[_LENGTH.size : end])
        del self._received[:end]
        return message
