"""A line that is not an event costs no other line, and leaves a trace."""

from datetime import UTC, datetime

import pytest

from orchestrator.model.event_lines import LONG_AGO, Undecodable, decode_line, decode_lines
from orchestrator.model.events import AttemptSucceeded, EventUnreadable, LogEmitted, Owner, RunStarted, encode_line

AT = datetime(2026, 1, 1, tzinfo=UTC)
BEFORE = RunStarted(at=AT, owner=Owner("daemon", 1, "here"))
AFTER = AttemptSucceeded(at=AT, step="a", attempt=1, n=1, seconds=1.0, outputs={"result": None})
DEEP = b'{"event":"log_emitted","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
BAD = {
    "empty": b"",
    "zeros": b"\x00" * 40,
    "no JSON": b"{",
    "half a line": encode_line(AFTER)[:30],
    "two halves that ran together": encode_line(AFTER)[:30] + encode_line(BEFORE)[:-1],
    "no UTF-8": b'{"event":"log_emitted","at":"2026-01-01T00:00:00Z","message":"\xff\xfe"}',
    "a list": b"[]",
    "no kind": b"{}",
    "an unknown kind": b'{"event":"from_the_future","at":"2026-01-01T00:00:00Z"}',
    "a kind that is a number": b'{"event":7,"at":"2026-01-01T00:00:00Z"}',
    "an unknown status": b'{"event":"run_finished","at":"2026-01-01T00:00:00Z","status":"PAUSED"}',
    "a missing field": b'{"event":"step_skipped","at":"2026-01-01T00:00:00Z","step":"a"}',
    "an instant without a zone": b'{"event":"run_interrupted","at":"2026-01-01T00:00:00","reason":""}',
    "an impossible instant": b'{"event":"run_interrupted","at":"2026-02-30T00:00:00Z","reason":""}',
    "nested too deep": DEEP,
    "nested too deep where anything goes": b'{"event":"expectation_checked","at":"2026-01-01T00:00:00Z","step":"a",'
    b'"attempt":1,"n":0,"success":true,"metadata":{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_line_that_is_no_event_costs_no_other_line(bad):
    with pytest.raises(Undecodable):
        decode_line(bad)
    before, unreadable, after = decode_lines([encode_line(BEFORE)[:-1], bad, encode_line(AFTER)[:-1]])
    assert (before, after) == (BEFORE, AFTER)
    assert isinstance(unreadable, EventUnreadable)
    assert unreadable.at == AT
    assert unreadable.reason
    assert len(unreadable.line) < 10_000


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_what_is_recorded_of_an_unreadable_line_can_itself_be_read(bad):
    (unreadable,) = decode_lines([bad])
    assert unreadable.at == LONG_AGO
    assert decode_line(encode_line(unreadable)[:-1]) == unreadable


def test_every_position_at_which_a_line_can_be_cut_or_changed_is_survived():
    line = encode_line(LogEmitted(at=AT, step="a", attempt=1, n=0, level="INFO", message="é"))[:-1]
    damaged = [line[:cut] for cut in range(len(line))]
    damaged += [line[:at] + bytes([line[at] ^ 0x80]) + line[at + 1 :] for at in range(len(line))]
    found = decode_lines([encode_line(BEFORE)[:-1], *damaged, encode_line(AFTER)[:-1]])
    assert len(found) == len(damaged) + 2
    assert all(isinstance(event, EventUnreadable) for event in found[1 : len(line) + 1])
    assert (found[0], found[-1]) == (BEFORE, AFTER)
