"""Buffers ticks, automations, queued runs and failed alerts, and commits them in one transaction for each iteration of
the loop.

Ticks that asked for nothing and moved no cursor may wait a moment for company: losing them in a crash loses a line of
history and nothing else. Everything else is committed before anything acts upon it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

from orchestrator.catalog.session import Store
from orchestrator.catalog.ticks import EnqueuedRun, TickBatch, commit_ticks
from orchestrator.clock import is_recent
from orchestrator.crashpoints import crash_point
from orchestrator.daemon.log import DaemonLog
from orchestrator.errors import StoreConflict
from orchestrator.model.automation import Automation
from orchestrator.model.delivery import Delivery
from orchestrator.model.queued_run import UnfinishedRun
from orchestrator.model.tick import Tick

PATIENCE = timedelta(seconds=1)


class WriteBuffer:
    """Ticks, automations, runs and failed alerts on their way into the store. `on_ticks` is called with the ticks that
    are added, and the runs that were added with them."""

    def __init__(
        self, store: Store, on_ticks: Callable[[list[Tick], list[EnqueuedRun]], None] = lambda _ticks, _runs: None
    ) -> None:
        self._store = store
        self._on_ticks = on_ticks
        self._ticks: list[Tick] = []
        self._automations: dict[str, Automation] = {}
        self._runs: list[EnqueuedRun] = []
        self._deliveries: dict[str, Delivery | None] = {}  # by key; None: it got through
        self._urgent = False
        self._oldest: datetime | None = None
        self._is_again = False

    @property
    def is_empty(self) -> bool:
        return not (self._ticks or self._automations or self._runs or self._deliveries)

    def runs(self) -> Iterator[UnfinishedRun]:
        """The runs on their way into the queue."""
        for record in (run.record for run in self._runs):
            yield UnfinishedRun(
                run_id=record.run_id,
                pipeline=record.pipeline,
                location=record.location,
                mode=record.mode,
                trigger=record.trigger,
                has_begun=False,
            )

    def add(
        self,
        now: datetime,
        *,
        ticks: list[Tick] | None = None,
        automation: Automation | None = None,
        runs: list[EnqueuedRun] | None = None,
        deliveries: Mapping[str, Delivery | None] | None = None,
        urgent: bool,
    ) -> None:
        """Adds what belongs together: it is committed in one transaction, with whatever else is waiting."""
        self._ticks += ticks or []
        self._runs += runs or []
        self._deliveries |= deliveries or {}
        if automation is not None:
            self._automations[automation.id] = automation
        self._urgent = self._urgent or urgent
        self._oldest = self._oldest or now
        self._on_ticks(ticks or [], runs or [])

    def is_due(self, now: datetime) -> bool:
        """Whether it must not wait any longer. A clock that was set back makes nothing wait."""
        return self._urgent or (self._oldest is not None and not is_recent(self._oldest, PATIENCE, now))

    def due_at(self) -> datetime | None:
        """When what is not urgent has waited long enough; None when nothing waits."""
        return None if self._oldest is None else self._oldest + PATIENCE

    def flush(self) -> list[EnqueuedRun]:
        """Commits everything; the runs that are in the queue from now on. Raises StoreError: then all of it stays
        here, and nothing has happened."""
        if self.is_empty:
            return []
        again, self._is_again = self._is_again, True
        batch = TickBatch(
            self._ticks,
            list(self._automations.values()),
            self._runs,
            again,
            undelivered=[one for one in self._deliveries.values() if one is not None],
            delivered=[key for key, one in self._deliveries.items() if one is None],
        )
        self._store(commit_ticks, batch)
        committed = self._runs
        self.clear()
        return committed

    def clear(self) -> None:
        """Forgets what is waiting."""
        self._ticks, self._automations, self._runs, self._deliveries = [], {}, [], {}
        self._urgent, self._oldest, self._is_again = False, None, False


class FlushWrites:
    """The reconciler that commits the buffer. While a commit fails (a full disk) nothing new is asked of user code, and
    nothing is lost. `on_runs` is called when runs were queued, `on_conflict` when what was decided has to be decided
    again."""

    name = "store"

    def __init__(
        self,
        buffer: WriteBuffer,
        log: DaemonLog,
        on_runs: Callable[[], None],
        on_conflict: Callable[[], None],
    ) -> None:
        self._buffer = buffer
        self._log = log
        self._on_runs = on_runs
        self._on_conflict = on_conflict
        self.is_stuck = False

    def turn(self, now: datetime) -> datetime | None:
        if self._buffer.is_due(now):
            self.flush()
        return self._buffer.due_at()

    def flush(self) -> None:
        """Commits whatever is waiting. Raises StoreError; then it is still waiting."""
        if self._buffer.is_empty:
            return
        self.is_stuck = True
        crash_point("tick.deciding")
        try:
            committed = self._buffer.flush()
        except StoreConflict as error:
            # Another process used a key, or an earlier commit succeeded without its acknowledgement. Nothing of this
            # one was committed. In-flight evaluations assumed that it would be, so they are discarded too.
            self._log.warn("decided again: the state has changed meanwhile", error=str(error))
            self._buffer.clear()
            self._on_conflict()
            committed = []
        self.is_stuck = False
        if committed:
            self._on_runs()
