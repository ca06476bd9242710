"""Messages arrive whole, in order, and never block their sender."""

import socket
import struct

import msgspec
import pytest

from orchestrator.wire import Channel, Disconnected


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
