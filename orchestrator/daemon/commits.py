"""Committing what the turn has gathered, and telling who acts upon it. Knows nothing of what is committed: `outbox` has
it.
"""

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

    def __init__(
        self,
        outbox: Outbox,
        registry: Registry,
        log: DaemonLog,
        on_runs: Callable[[], None],
        on_conflict: Callable[[], None],
    ) -> None:
        self._outbox = outbox
        self._registry = registry
        self._log = log
        self._on_runs = on_runs
        self._on_conflict = on_conflict
        self.is_stuck = False

    def turn(self, now: datetime) -> datetime | None:
        if self._outbox.is_due(now):
            self.flush()
        return self._outbox.due_at()

    def flush(self) -> None:
        """Commits whatever is waiting. Raises StoreError; then it is still waiting."""
        if self._outbox.is_empty:
            return
        self.is_stuck = True
        crash_point("tick.deciding")
        try:
            committed = self._outbox.flush()
        except StoreConflict as error:
            # Somebody used a key behind our back, or an earlier commit has succeeded without our being told. Nothing
            # of this one was committed: look again, decide again, ask again. What is being asked was decided in the
            # belief that it would be.
            self._log.warn("decided anew: the state has changed meanwhile", error=str(error))
            self._outbox.clear()
            self._on_conflict()
            self._registry.changed()
            committed = []
        self.is_stuck = False
        if committed:
            self._on_runs()
