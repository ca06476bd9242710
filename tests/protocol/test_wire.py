"""Messages arrive whole, in order, and never block their sender."""

import socket
import struct
import time

import msgspec
import pytest

from orchestrator.protocol import wire
from orchestrator.protocol.wire import Channel, Disconnected, Garbled


class Text(msgspec.Struct, tag="text"):
    text: str


class Number(msgspec.Struct, tag="number"):
    number: int


@pytest.fixture
def ends():
    one, other = socket.socketpair()
    pair = Channel(one, Text | Number), Channel(other, Text | Number)
    yield pair
    for channel in pair:
        channel.close()


def test_messages_arrive_in_order(ends):
    here, there = ends
    here.send(Text("a"))
    here.send(Number(1))
    assert there.receive() == [Text("a"), Number(1)]
    assert there.receive() == []


def test_a_message_larger_than_the_socket_takes_waits_without_blocking(ends):
    here, there = ends
    here.send(Text("x" * 5_000_000))
    assert here.wants_to_send
    received = []
    while not received:
        received = there.receive()
        here.flush()
    assert len(received[0].text) == 5_000_000
    assert not here.wants_to_send


def test_both_sides_may_say_much_at_once(ends):
    here, there = ends
    here.send(Text("x" * 3_000_000))
    there.send(Text("y" * 3_000_000))
    got = {"here": [], "there": []}
    while not (got["here"] and got["there"]):
        got["here"] += here.receive()
        got["there"] += there.receive()
        here.flush()
        there.flush()
    assert got["here"][0].text[0] == "y"


def test_what_was_sent_before_the_end_is_still_received(ends):
    here, there = ends
    here.send(Text("last words"))
    here.close()
    assert there.receive() == [Text("last words")]
    with pytest.raises(Disconnected):
        there.receive()


def test_sending_to_nobody_is_noticed(ends):
    here, there = ends
    there.close()
    with pytest.raises(Disconnected):
        here.send(Text("hello?"))


def test_an_absurd_length_is_not_believed():
    one, other = socket.socketpair()
    channel = Channel(one, Text)
    other.sendall(struct.pack(">I", 0xFFFFFFFF))
    with pytest.raises(Disconnected):
        channel.receive()
    channel.close()
    other.close()


JUNK = [
    b"hello, is there anybody?",
    struct.pack(">I", 4) + b"junk",
    struct.pack(">I", 3) + b"\x81\xa1a",
    struct.pack(">I", 20_000) + b"\x91" * 20_000,
    struct.pack(">I", 0),
]


@pytest.mark.parametrize("junk", JUNK)
def test_what_is_no_message_ends_the_conversation_whatever_it_is(junk):
    one, other = socket.socketpair()
    with one, other:
        other.sendall(junk)
        with pytest.raises(Garbled):
            Channel(one, Text | Number).receive()


def test_a_message_that_never_comes_to_its_end_is_given_up_once_it_has_stalled(ends, monkeypatch):
    one, other = socket.socketpair()
    with one, other:
        channel = Channel(one, Text | Number)
        other.sendall(struct.pack(">I", 1000) + b"beginning")
        assert channel.receive() == []
        assert channel.is_partial
        later = time.monotonic() + wire.STALLED_S + 1
        monkeypatch.setattr(wire.time, "monotonic", lambda: later)
        other.sendall(b" and a little more")
        assert channel.receive() == []
        monkeypatch.setattr(wire.time, "monotonic", lambda: later + wire.STALLED_S + 1)
        with pytest.raises(Garbled, match="stopped"):
            channel.receive()


def test_each_side_decides_how_large_a_message_may_be():
    one, other = socket.socketpair()
    with one, other:
        small, any_size = Channel(one, Text, largest=100), Channel(other, Text)
        any_size.send(Text("x" * 50))
        assert small.receive() == [Text("x" * 50)]
        any_size.send(Text("x" * 200))
        with pytest.raises(Garbled, match="announced"):
            small.receive()
