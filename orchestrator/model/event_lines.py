"""Reads the lines of journals and of attempts' event files. The one reader of that format: a line that is not an event
becomes an event that says so, and costs no other line.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from orchestrator.model.events import AnyEvent, EventUnreadable

# The instant of an event that has none.
LONG_AGO = datetime.fromtimestamp(0, UTC)
# How much of an unreadable line is kept beside the reason.
_LONGEST_QUOTE = 2000

_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


class Undecodable(ValueError):
    """A line that is not an event."""


def decode_line(line: bytes) -> AnyEvent:
    """The event on a line. Raises Undecodable when the line is not one, whatever is wrong with it."""
    try:
        return _decoder.decode(line)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Undecodable(str(error)) from None
    except RecursionError:
        raise Undecodable("it is nested too deep") from None


def decode_lines(lines: Iterable[bytes], at: datetime = LONG_AGO) -> list[AnyEvent]:
    """The events on complete lines, in order, with an EventUnreadable for each line that is not one. Such an event gets
    the instant of the one before it, `at` for the first."""
    events: list[AnyEvent] = []
    for line in lines:
        try:
            event = decode_line(line)
        except Undecodable as error:
            event = EventUnreadable(at=at, reason=str(error), line=quoted(line))
        at = event.at
        events.append(event)
    return events


def quoted(line: bytes) -> str:
    """The beginning of a line of any bytes, as text that JSON can carry."""
    text = line[:_LONGEST_QUOTE].decode("utf-8", errors="backslashreplace")
    return text if len(line) <= _LONGEST_QUOTE else f"{text}... ({len(line):,} bytes)"
