"""The interface of the daemon's reconcilers, and a supervisor: an error in one is recorded, shown, and stops no
other.
"""

from __future__ import annotations

import traceback
from datetime import datetime, timedelta
from typing import Any, Protocol

from orchestrator import clock
from orchestrator.daemon.log import DaemonLog
from orchestrator.errors import OrchestratorError

# After an error a concern is left alone for this long: a full disk is not asked a thousand times a second.
_PAUSE = timedelta(seconds=1)


class Reconciler(Protocol):
    """One thing to reconcile."""

    name: str

    def turn(self, now: datetime) -> datetime | None:
        """Does whatever is due. When to be asked again at the latest; None when only an event can bring work."""
        ...


class Supervised:
    """A concern with what is known of its health: whether it gets its turns, and whether they succeed. Two facts."""

    def __init__(self, concern: Reconciler, log: DaemonLog) -> None:
        self.concern = concern
        self.turned_at: datetime | None = None
        self.error: str | None = None
        self.error_at: datetime | None = None
        self._log = log
        self._not_before: datetime | None = None

    def turn(self, now: datetime) -> datetime | None:
        """A turn of the concern, unless it has just failed; when the next one is due."""
        if clock.is_ahead(self._not_before, _PAUSE, now):
            return self._not_before
        try:
            due = self.concern.turn(now)
        except Exception as error:  # whatever it is, the other concerns go on
            self._fail(error, now)
            return self._not_before
        if self.error is not None:
            self._log.info("recovered", concern=self.concern.name)
        self.turned_at, self.error, self.error_at, self._not_before = now, None, None, None
        return due

    def describe(self, now: datetime, tolerance: timedelta) -> dict[str, Any]:
        """Its health as `status` shows it."""
        alive = self.error_at is not None or (self.turned_at is not None and now - self.turned_at < tolerance)
        return {
            "name": self.concern.name,
            "alive": alive,
            "erroring": self.error is not None,
            "error": self.error,
            "error_at": self.error_at,
        }

    def _fail(self, error: Exception, now: datetime) -> None:
        ours = isinstance(error, OrchestratorError)
        text = str(error) if ours else "".join(traceback.format_exception(error))
        if text != self.error:
            self._log.error("failing", concern=self.concern.name, error=text)
            self.error_at = now
        self.error = text
        self._not_before = now + _PAUSE
