"""A priority queue of ids by due time."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any


class DueQueue:
    """Ids in the order of their instants.

    `look(id, now)` is called for whatever is due, which is then off the agenda until it is put there again. When
    `version()` changes, and when the clock was set back, the agenda is emptied and `fill(before, now)` puts on it
    whatever belongs there; `before` is what was there.
    """

    def __init__(
        self,
        version: Callable[[], int],
        fill: Callable[[Mapping[str, datetime], datetime], None],
        look: Callable[[str, datetime], None],
    ) -> None:
        self._version = version
        self._fill = fill
        self._look = look
        self._filled_at_version: int | None = None
        self._last_now: datetime | None = None
        self._instants: dict[str, datetime] = {}
        self._heap: list[tuple[datetime, str]] = []

    def turn(self, now: datetime) -> datetime | None:
        """Looks at whatever is due; when the next thing is."""
        try:
            return self._turn(now)
        except BaseException:
            self.invalidate()  # or what was just to be looked at never would be
            raise

    def invalidate(self) -> None:
        """Has everything put on the agenda anew at the next turn, whenever it was to be looked at."""
        self._filled_at_version = None

    def put(self, id: str, at: datetime) -> None:
        """To be looked at then, and at no other instant."""
        self._instants[id] = at
        heapq.heappush(self._heap, (at, id))

    def at(self, id: str) -> datetime | None:
        """When it is to be looked at; None if it is not on the agenda."""
        return self._instants.get(id)

    def upcoming(self) -> Iterator[tuple[str, datetime]]:
        """Everything that is on the agenda, in no order."""
        return iter(self._instants.items())

    def describe(self) -> list[dict[str, Any]]:
        """The same as `status` shows it."""
        return [{"id": id, "at": at} for id, at in self.upcoming()]

    # --- inside ---

    def _turn(self, now: datetime) -> datetime | None:
        if self._filled_at_version != self._version() or (self._last_now is not None and now < self._last_now):
            self._filled_at_version = self._version()
            before, self._instants, self._heap = self._instants, {}, []
            self._fill(before, now)
        self._last_now = now
        while (first := self._first()) is not None and self._instants[first] <= now:
            heapq.heappop(self._heap)
            del self._instants[first]
            self._look(first, now)
        return self._instants[first] if first is not None else None

    def _first(self) -> str | None:
        """The next id, once entries that were put elsewhere since are out of the way."""
        while self._heap and self._instants.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][1] if self._heap else None
