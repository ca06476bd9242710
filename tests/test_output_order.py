"""The order of an attempt's streams is put together again from the notes taken while they were written."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.output_order import Mark, Piece, decode_marks, encode_mark, in_order

# However slow the machine is.
LOADED = settings(deadline=None)
START = datetime(2026, 3, 1, tzinfo=UTC)
# What an attempt does: writes so many bytes to a stream, or logs a line.
actions = st.lists(st.one_of(st.tuples(st.sampled_from(["stdout", "stderr"]), st.integers(1, 50)), st.just(("log", 0))))


def written(actions):
    """(marks, instants of events, sizes) as the process leaves them, and what was done in order, taken together."""
    marks, events, sizes, done, last, now = [], [], {"stdout": 0, "stderr": 0}, [], None, START
    for stream, size in actions:
        now += timedelta(milliseconds=1)
        if stream != last:
            marks.append(Mark(now, sizes["stdout"], sizes["stderr"]))
            last = stream
        if stream == "log":
            events.append(now + timedelta(microseconds=1))
        else:
            sizes[stream] += size
        if done and done[-1][0] == stream:
            done[-1] = (stream, done[-1][1] + (size or 1))
        else:
            done.append((stream, size or 1))
    return marks, events, sizes, done


@LOADED
@given(actions)
def test_everything_comes_in_the_order_of_writing(actions):
    marks, events, sizes, done = written(actions)
    found = []
    for part in in_order(marks, events, sizes["stdout"], sizes["stderr"]):
        stream, size = ("log", 1) if isinstance(part, int) else (part.stream, part.end - part.start)
        if found and found[-1][0] == stream:
            found[-1] = (stream, found[-1][1] + size)
        else:
            found.append((stream, size))
    assert found == done


@LOADED
@given(actions, st.data())
def test_whatever_notes_are_lost_every_byte_and_every_event_comes_once(actions, data):
    marks, events, sizes, _ = written(actions)
    kept = [mark for mark in marks if data.draw(st.booleans())]
    shown = list(in_order(kept, events, sizes["stdout"], sizes["stderr"]))
    assert sorted(part for part in shown if isinstance(part, int)) == list(range(len(events)))
    for stream, size in sizes.items():
        pieces = [part for part in shown if isinstance(part, Piece) and part.stream == stream]
        assert [piece.start for piece in pieces] == [0, *(piece.end for piece in pieces[:-1])][: len(pieces)]
        assert sum(piece.end - piece.start for piece in pieces) == size


def test_notes_survive_being_written_down():
    marks = [Mark(START, 0, 0), Mark(START + timedelta(microseconds=1), 5, 2)]
    assert decode_marks(b"".join(map(encode_mark, marks))) == marks


@LOADED
@given(st.binary(max_size=200))
def test_damaged_notes_are_still_in_order(data):
    marks = decode_marks(data)
    assert all(a.at <= b.at and a.stdout <= b.stdout and a.stderr <= b.stderr for a, b in zip(marks, marks[1:]))  # noqa: B905, RUF007
