"""Which runs, ticks and materializations to list."""

from __future__ import annotations

from datetime import datetime

import msgspec

from orchestrator.model.run import RunSummary
from orchestrator.model.states import RunState, TickState


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs to list; everything given must hold. Tags are (name, value) pairs, value None for any."""

    pipeline: str | None = None
    statuses: tuple[RunState, ...] = ()
    tags: tuple[tuple[str, str | None], ...] = ()
    since: datetime | None = None
    limit: int | None = 20

    def passes(self, run: RunSummary) -> bool:
        """Whether a run passes, whatever the limit."""
        return (
            self.pipeline in (None, run.pipeline)
            and (not self.statuses or run.status in self.statuses)
            and (self.since is None or run.created_at >= self.since)
            and all(name in run.tags and value in (None, run.tags[name]) for name, value in self.tags)
        )


class TickFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which ticks to list; everything given must hold. `name` is location/name."""

    name: str | None = None
    kinds: tuple[str, ...] = ()
    statuses: tuple[TickState, ...] = ()
    since: datetime | None = None
    limit: int | None = 100  # None: all
    tick_id: str | None = None
    with_output: bool = False  # only those that printed something or failed


class HistoryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which materializations of an asset. `after` is an id: only those recorded later than that one."""

    partitions: tuple[str, ...] = ()
    after: str | None = None
    limit: int | None = 20
    oldest_first: bool = False
