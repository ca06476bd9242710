"""Committing what the turn has gathered, and telling who acts upon it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from orchestrator.crashpoints import crash_point
from orchestrator.daemon.log import DaemonLog
from orchestrator.daemon.outbox import Outbox
from orchestrator.daemon.registry import Registry
from orchestrator.errors import StoreConflict


class Commits:
    """The concern. While a commit fails (a full disk) nothing new is asked of user code, and nothing is lost."""

    name = "store"

    def __init__(self, outbox: Outbox, registry: Registry, log: DaemonLog, on_runs: Callable[[], None]) -> None:
        self._outbox = outbox
        self._registry = registry
        self._log = log
        self._on_runs = on_runs
        self.is_stuck = False

    def turn(self, now: datetime) -> datetime | None:
        if self._outbox.is_due(now):
            self.flush()
        return self._outbox.due_at()

    def flush(self) -> None:
        """Commits whatever is waiting. Raises StoreError; then it is still waiting."""
        self.is_stuck = True
        crash_point("tick.deciding")
        try:
            committed = self._outbox.flush()
        except StoreConflict as error:
            # Somebody used a key or changed a state behind our back. Nothing was committed: look again, decide again.
            self._log.warn("decided anew: the state has changed meanwhile", error=str(error))
            self._outbox.clear()
            self._registry.changed()
            committed = []
        self.is_stuck = False
        if committed:
            self._on_runs()
