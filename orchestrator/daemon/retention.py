"""Letting go of history that is older than the workspace file wants kept."""

from __future__ import annotations

from datetime import datetime, timedelta

from orchestrator.daemon.log import DaemonLog
from orchestrator.errors import NotPossible
from orchestrator.operations.end import remove_run
from orchestrator.operations.workspace import Workspace
from orchestrator.store.runs import runs_ended_before
from orchestrator.store.session import Store
from orchestrator.store.ticks import purge_ticks

INTERVAL = timedelta(minutes=10)
# Runs removed in one turn: the loop has other things to do.
_HANDFUL = 50


class Retention:
    """The concern."""

    name = "retention"

    def __init__(self, workspace: Workspace, store: Store, log: DaemonLog) -> None:
        self._workspace = workspace
        self._store = store
        self._log = log
        self._next_at: datetime | None = None

    def turn(self, now: datetime) -> datetime | None:
        if self._next_at is None:
            self._next_at = now + INTERVAL
        if now < self._next_at <= now + INTERVAL:
            return self._next_at
        kept = self._workspace.settings.retention
        ticks = self._store(
            purge_ticks, now - timedelta(seconds=kept.skipped_ticks), now - timedelta(seconds=kept.ticks)
        )
        runs = self._store(runs_ended_before, now - timedelta(seconds=kept.runs), _HANDFUL)
        for run_id in runs:
            try:
                remove_run(self._store, run_id)
            except NotPossible:
                pass  # somebody is resuming it
        if ticks or runs:
            self._log.info("old history removed", ticks=ticks, runs=len(runs))
        self._next_at = now + (timedelta(seconds=1) if len(runs) == _HANDFUL else INTERVAL)
        return self._next_at
