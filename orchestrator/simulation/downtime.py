"""When the machine is off or asleep, and what that does to instants and durations. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime, timedelta

Span = tuple[datetime, datetime]


class Asleep:
    """Spans of time in which nothing happens, from their start up to, and without, their end."""

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self.spans = _joined(spans)
        self._starts = [start for start, _ in self.spans]

    def awake_at(self, instant: datetime) -> datetime:
        """That instant, or the end of the sleep that it falls into."""
        if not self.spans:
            return instant
        place = bisect_right(self._starts, instant) - 1
        return max(instant, self.spans[place][1]) if place >= 0 else instant

    def after(self, start: datetime, duration: timedelta) -> datetime:
        """When something that begins at `start` and takes that long is over: while asleep it stands still."""
        end = self.awake_at(start) + duration
        for asleep, awake in self.spans:
            if awake > start and start <= asleep < end:
                end += awake - asleep
        return end


def _joined(spans: Iterable[Span]) -> list[Span]:
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found
