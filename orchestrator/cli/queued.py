"""A run that waits in the queue: it has no files yet, only a row in the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from orchestrator import clock
from orchestrator.cli.options import store_of
from orchestrator.cli.runs_view import ago
from orchestrator.errors import DaemonError
from orchestrator.operations.daemon import describe_daemon
from orchestrator.operations.workspace import Workspace
from orchestrator.records import RunSummary
from orchestrator.states import RunState
from orchestrator.store.queue import cancel_queued
from orchestrator.store.runs import get_run, resolve_run
from orchestrator.store.session import Store


@dataclass(frozen=True)
class Queued:
    """Such a run, and what it waits for."""

    found: Workspace
    summary: RunSummary
    reason: str

    @property
    def run_id(self) -> str:
        return self.summary.run_id

    def words(self) -> str:
        """What `runs show` says of it."""
        head = f"run {self.run_id}  {self.summary.pipeline}  QUEUED {ago(self.summary.created_at, clock.now())}"
        return f"{head}\nIt waits: {self.reason}."

    def as_json(self) -> dict[str, Any]:
        return {**msgspec.to_builtins(self.summary), "waits_for": self.reason}

    def cancel(self) -> bool:
        """Cancels it, unless it has just begun."""
        with store_of(self.found) as store:
            return store(cancel_queued, self.run_id, clock.now())


def find_queued(found: Workspace, store: Store, reference: str) -> Queued | None:
    """The run meant, if it is queued; None if it is past that. Raises NotFound."""
    info = store(get_run, store(resolve_run, reference))
    if info.summary.status is not RunState.QUEUED:
        return None
    try:
        waiting = describe_daemon(found.state)["queue"]["waiting"]
        reason = waiting.get(info.summary.run_id, "for its turn")
    except DaemonError:
        reason = "no daemon is running (orchestrator daemon start)"
    return Queued(found, info.summary, reason)
