"""The `context` of schedules and sensors. Each can be built by hand in a unit test; what a sensor asks about assets
goes to a function that is passed in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orchestrator import clock
from orchestrator.definitions.contexts import silent_logger
from orchestrator.definitions.values import AssetKey
from orchestrator.model.asset import Materialization, NumberedMaterialization

LONGEST_CURSOR = 1 << 20

Find = Callable[[tuple[str, ...], int, int], Iterable[NumberedMaterialization]]


class Assets:
    """The asset catalog, as far as a sensor may look into it."""

    def __init__(self, find: Find | None = None) -> None:
        self._find: Find = find or (lambda _asset, _after, _limit: ())

    def latest(self, key: Any) -> Materialization | None:
        """The newest materialization of an asset; None when there is none."""
        found = list(self._find(AssetKey(key).parts, 0, 1))
        return found[-1].materialization if found else None

    def since(self, key: Any, ordinal: int = 0, limit: int = 100) -> list[NumberedMaterialization]:
        """The newest `limit` materializations of the asset after place `ordinal`, oldest first. Places count all
        materializations of all assets from 1, in the order in which they became known; each result has its own in
        `ordinal`, to be kept in the cursor and passed the next time. 0 is before the first."""
        return list(self._find(AssetKey(key).parts, ordinal, limit))


@dataclass
class ScheduleContext:
    """Given to a schedule. `scheduled_at` is the instant it is run for, in the schedule's own zone; `now`, in UTC, is
    when it is evaluated, which may be much later. Both are zone-aware."""

    scheduled_at: datetime = field(default_factory=clock.now)
    name: str = "test"
    now: datetime = field(default_factory=clock.now)
    log: logging.Logger = field(default_factory=silent_logger)


@dataclass
class SensorContext:
    """Given to a sensor. `cursor` is what it said last with `update_cursor`, in an evaluation that did not fail.

    `attempt` counts the attempts at this evaluation: 1, and one more after each that failed. A run-status sensor also
    gets a `delivery_key`, the same for every attempt to tell it about one end of one run, for receivers that recognize
    repeats by a key.
    """

    cursor: str | None = None
    last_run_key: str | None = None
    last_tick_at: datetime | None = None
    name: str = "test"
    now: datetime = field(default_factory=clock.now)
    log: logging.Logger = field(default_factory=silent_logger)
    assets: Assets = field(default_factory=Assets)
    attempt: int = 1
    delivery_key: str | None = None

    def update_cursor(self, cursor: str | None) -> None:
        """Remembers a text until the next evaluation. It counts only if this one does not fail."""
        if cursor is not None and not isinstance(cursor, str):
            raise TypeError(f"a cursor is a text, got {type(cursor).__name__}")
        if cursor is not None and len(cursor) > LONGEST_CURSOR:
            raise ValueError(f"a cursor may have {LONGEST_CURSOR} characters, and this one has {len(cursor)}")
        self.cursor = cursor
