"""Letting go of history that is older than the workspace file wants kept. How a run is removed is known to
`service.cancel_run`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from orchestrator import clock
from orchestrator.catalog.runs import runs_ended_before
from orchestrator.catalog.session import Store
from orchestrator.catalog.ticks import newest_record, purge_ticks
from orchestrator.daemon.log import DaemonLog
from orchestrator.errors import NotPossible
from orchestrator.service.cancel_run import remove_run
from orchestrator.service.workspace import Workspace

INTERVAL = timedelta(minutes=10)
# Soon after the start, because a daemon may never live for an interval; not at once, because others have more to do.
FIRST = timedelta(seconds=10)
# Runs removed in one turn, and seconds after which no further one is: the loop has other things to do. Each run costs
# a commit and the removal of its files, which a slow disk takes a tenth of a second for.
_HANDFUL = 50
_TURN_S = 0.1
# A clock that went forwards by more than this may be wrong, and what is removed does not come back: nothing is removed
# until it has gone on evenly for so long.
_SUSPICIOUS = timedelta(days=1)
PROBATION_S = 3600.0


class Retention:
    """The concern."""

    name = "retention"

    def __init__(self, workspace: Workspace, store: Store, log: DaemonLog) -> None:
        self._workspace = workspace
        self._store = store
        self._log = log
        self._next_at: datetime | None = None
        self._seen: tuple[datetime, float] | None = None
        self._trusted_at = 0.0  # on the clock that is never set

    def turn(self, now: datetime) -> datetime | None:
        self._watch_clock(now)
        if self._next_at is None:
            self._next_at = now + FIRST
        if clock.is_ahead(self._next_at, INTERVAL, now):
            return self._next_at
        if clock.monotonic() < self._trusted_at:
            self._next_at = now + INTERVAL
            return self._next_at
        kept = self._workspace.settings.retention
        ticks = self._store(
            purge_ticks, now - timedelta(seconds=kept.skipped_ticks), now - timedelta(seconds=kept.ticks)
        )
        runs = self._store(runs_ended_before, now - timedelta(seconds=kept.runs), _HANDFUL)
        removed = self._remove(runs, now)
        if ticks or removed:
            self._log.info("old history removed", ticks=ticks, runs=removed)
        more = removed < len(runs) or len(runs) == _HANDFUL
        self._next_at = now + (timedelta(seconds=1) if more else INTERVAL)
        return self._next_at

    def _remove(self, runs: list[str], now: datetime) -> int:
        """Removes runs until the time of a turn is up; how many it has dealt with, which is at least one."""
        until = clock.monotonic() + _TURN_S
        for count, run_id in enumerate(runs, 1):
            try:
                remove_run(self._store, run_id, now)
            except NotPossible:
                pass  # it is being resumed
            if clock.monotonic() >= until:
                return count
        return len(runs)

    def _watch_clock(self, now: datetime) -> None:
        """Notices a clock that went forwards: while we run, or between the last thing on record and our start."""
        steady = clock.monotonic()
        if self._seen is not None:
            expected: datetime | None = self._seen[0] + timedelta(seconds=steady - self._seen[1])
        else:
            expected = self._store(newest_record)
        self._seen = (now, steady)
        if expected is not None and now - expected > _SUSPICIOUS:
            self._trusted_at = steady + PROBATION_S
            self._log.info(
                "no history is removed for a while: the clock went forwards, and may be wrong",
                by=clock.format_duration((now - expected).total_seconds()),
            )
