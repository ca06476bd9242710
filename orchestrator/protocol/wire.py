"""Framing between our processes: length-prefixed msgspec messages over a stream socket.

A message is four bytes of length (big-endian) and a struct in MessagePack. Nothing in a message can be executed.
"""

from __future__ import annotations

import socket
import struct
import time
from typing import Any, Generic, TypeVar

import msgspec

_LENGTH = struct.Struct(">I")
_CHUNK = 1 << 18
# A peer that never stops writing must not keep its reader from everything else.
_CHUNKS_AT_ONCE = 64
# A peer that announces more than this is not one of ours.
LARGEST_MESSAGE = 1 << 30
# Peers write a message in one go. One that stops in the middle for this long has written something else.
STALLED_S = 5.0

M = TypeVar("M")


class Disconnected(Exception):
    """The other side has closed the connection, or died."""


class Garbled(Disconnected):
    """What arrived is not a message of the protocol. Nothing after it can be understood either."""


class Channel(Generic[M]):
    """One end of a connection; `incoming` is the union of the messages that the other end may send, each of at most
    `largest` bytes.

    Sending never blocks: what the socket does not take at once waits here, and `wants_to_send` says so. That way two
    processes that both have much to say can never wait for each other to listen.
    """

    def __init__(self, connection: socket.socket, incoming: Any, largest: int = LARGEST_MESSAGE) -> None:
        connection.setblocking(False)
        self._largest = largest
        self._arrived_at = 0.0
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
        """All messages that are complete by now. Raises Disconnected once the other side is gone and all was read, and
        Garbled, which is one, when what was read is no message."""
        before = len(self._received)
        gone = not self._read_available()
        if len(self._received) != before:
            self._arrived_at = time.monotonic()
        messages = []
        while (message := self._next()) is not None:
            messages.append(message)
        if self.is_stalled:
            raise Garbled(f"a message stopped after {len(self._received)} bytes")
        if gone and not messages:
            raise Disconnected("the other side closed the connection")
        return messages

    @property
    def is_partial(self) -> bool:
        """Whether a message has begun to arrive and is not complete."""
        return bool(self._received)

    @property
    def is_stalled(self) -> bool:
        """Whether a message has begun to arrive and nothing more of it has come for too long."""
        return self.is_partial and time.monotonic() - self._arrived_at > STALLED_S

    def close(self) -> None:
        self._connection.close()

    def _read_available(self) -> bool:
        """Reads what is there, a few chunks at most; whether the other side is still there."""
        for _ in range(_CHUNKS_AT_ONCE):
            try:
                chunk = self._connection.recv(_CHUNK)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not chunk:
                return False
            self._received += chunk
        return True

    def _next(self) -> M | None:
        if len(self._received) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._received)
        if length > self._largest:
            raise Garbled(f"a message of {length} bytes was announced")
        end = _LENGTH.size + length
        if len(self._received) < end:
            return None
        try:
            message: M = self._decoder.decode(self._received[_LENGTH.size : end])
        except Exception as error:  # whatever the decoder makes of it: too deep, of another type, no UTF-8, too large
            raise Garbled(f"a message cannot be decoded: {type(error).__name__}") from None
        del self._received[:end]
        return message
