"""The order in which an attempt's streams were written: notes of how long each was at an instant. Reads and writes no
file: `worker.output` takes the notes, `runlog.logs` uses them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct

_FORMAT = struct.Struct("<qqq")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Mark(Struct, frozen=True):
    """At this instant, each stream was this long (in bytes)."""

    at: datetime
    stdout: int
    stderr: int


class Piece(Struct, frozen=True):
    """A stretch of one stream, which was written from this instant on."""

    stream: str
    start: int
    end: int
    at: datetime | None


def encode_mark(mark: Mark) -> bytes:
    return _FORMAT.pack((mark.at - _EPOCH) // _MICROSECOND, mark.stdout, mark.stderr)


def decode_marks(data: bytes) -> list[Mark]:
    """The notes in order. Those that cannot be true (a damaged file) are left out."""
    marks: list[Mark] = []
    whole = len(data) // _FORMAT.size * _FORMAT.size
    for at, stdout, stderr in _FORMAT.iter_unpack(data[:whole]):
        last = marks[-1] if marks else Mark(_EPOCH, 0, 0)
        try:
            mark = Mark(max(last.at, _EPOCH + at * _MICROSECOND), stdout, stderr)
        except OverflowError:
            continue
        if stdout >= last.stdout and stderr >= last.stderr:
            marks.append(mark)
    return marks


def in_order(marks: Sequence[Mark], events: Sequence[datetime], stdout: int, stderr: int) -> Iterator[Piece | int]:
    """All of both streams, which are this long, and all events (by their index), in the order of writing.

    A note is taken whenever something else is written to than before, so between two notes it was events, or one
    stream. What child processes write meanwhile stands with it.
    """
    done, out, err = 0, 0, 0
    since: datetime | None = None
    for mark in marks:
        while done < len(events) and events[done] < mark.at:
            yield done
            done += 1
        upto_out, upto_err = min(mark.stdout, stdout), min(mark.stderr, stderr)
        yield from _pieces(out, upto_out, err, upto_err, since)
        out, err, since = upto_out, upto_err, mark.at
    yield from range(done, len(events))
    yield from _pieces(out, stdout, err, stderr, since)


def _pieces(out: int, out_end: int, err: int, err_end: int, since: datetime | None) -> Iterator[Piece]:
    if out_end > out:
        yield Piece("stdout", out, out_end, since)
    if err_end > err:
        yield Piece("stderr", err, err_end, since)
