"""The run queue: taking runs out of it when there is room, each exactly once. Who may start is for `engine.queue` to
say; what becomes of those that have begun, for `runs`.
"""

from __future__ import annotations

from datetime import datetime

from orchestrator.crashpoints import crash_point
from orchestrator.daemon.locations import Locations
from orchestrator.daemon.log import DaemonLog
from orchestrator.daemon.runs import Runs
from orchestrator.engine.queue import PUT_OFF, QueueLimits, TagLimitRule, admit, is_postponed
from orchestrator.errors import NotPossible, OrchestratorError, StoreError
from orchestrator.operations.create import create_run, make_durable
from orchestrator.operations.workspace import Workspace
from orchestrator.records import SERIALIZE_TAG, RunRecord
from orchestrator.store.queue import put_back, queued_runs, release_runs, take_runs, taken_runs
from orchestrator.store.session import Store
from orchestrator.ticks import QueuedRun

# Runs taken in one turn: between two handfuls the other concerns get their turns.
_HANDFUL = 20


class Queue:
    """The concern. `changed()` says that there may be something new in it."""

    name = "queue"

    def __init__(self, workspace: Workspace, locations: Locations, store: Store, runs: Runs, log: DaemonLog) -> None:
        self._workspace = workspace
        self._locations = locations
        self._state = workspace.state
        self._store = store
        self._runs = runs
        self._log = log
        self._queued: list[QueuedRun] | None = None
        self._is_recovered = False
        self._created: list[str] = []
        self._running = -1
        self._seen = -1
        self.waiting: dict[str, str] = {}
        self.is_paused = False

    def changed(self) -> None:
        self._queued = None

    @property
    def size(self) -> int:
        """How many runs wait, as far as is known."""
        return len(self._queued or ())

    @property
    def is_busy(self) -> bool:
        """Whether a run could still be started without anything else happening."""
        if self._queued is None or len(self._queued) > len(self.waiting):
            return True
        has_room_changed = self._running != len(self._runs.active)
        return bool(self._queued) and has_room_changed

    def turn(self, now: datetime) -> datetime | None:
        if not self._is_recovered:
            self._recover(now)
        self._release()
        if self.is_paused:
            self.waiting = {
                run.run_id: "the daemon is stopping, and starts no more runs" for run in self._waiting_runs()
            }
            return None
        running, seen = len(self._runs.active), self._locations.version
        if self._queued is None:
            self._waiting_runs()
        elif (running, seen) == (self._running, self._seen) and not self._postponed(now):
            return self._next_instant(now)
        self._running, self._seen = running, seen
        if not self._queued:
            self.waiting = {}
            return None
        admission = admit(self._queued, self._active(), self._limits(), now, self._unavailable())
        self.waiting = admission.waiting
        chosen = list(admission.run_ids[:_HANDFUL])
        if chosen:
            crash_point("queue.admitted")
            self._launch(chosen, now)
            self._running = -1
            return now
        return self._next_instant(now)

    def _waiting_runs(self) -> list[QueuedRun]:
        if self._queued is None:
            self._queued = self._store(queued_runs)
        return self._queued

    def _recover(self, now: datetime) -> None:
        """Goes on with runs that were taken and not begun: by a daemon that died, or while the disk was full."""
        self._is_recovered = True
        begun = {*self._runs.active, *self._created}
        self._begin_all([record for record in self._store(taken_runs) if record.run_id not in begun], now)

    def _launch(self, run_ids: list[str], now: datetime) -> None:
        records = self._store(take_runs, run_ids)
        assert self._queued is not None
        taken = set(run_ids)
        self._queued = [run for run in self._queued if run.run_id not in taken]
        self._begin_all(records, now)

    def _begin_all(self, records: list[RunRecord], now: datetime) -> None:
        """Begins each of them, whatever becomes of the others. Raises StoreError when some have to wait."""
        first: StoreError | None = None
        for record in records:
            try:
                self._begin(record, now)
            except StoreError as error:
                first = first or error
        if first is not None:
            self._is_recovered = False
            raise first

    def _begin(self, record: RunRecord, now: datetime) -> None:
        run_dir = self._state.run(record.run_id)
        try:
            if not run_dir.path.exists():
                create_run(self._state, record)
            crash_point("queue.created")
            self._runs.start(run_dir)
        except StoreError:
            if record.run_id in self._runs.active:
                self._created.append(record.run_id)  # it has begun, and goes on when it can
            elif not run_dir.path.exists():
                self._store(put_back, record.run_id, now + PUT_OFF)
                self.changed()
            raise
        except NotPossible:
            pass  # somebody drives it, or it is over
        except Exception as error:  # whatever is wrong with this one, the others behind it begin
            words = str(error) if isinstance(error, OrchestratorError) else f"{type(error).__name__}: {error}"
            self._log.error("run created, but failed to launch", run=record.run_id, error=words)
            self._runs.fail(run_dir, f"created successfully but failed to launch: {words}", now)
        self._created.append(record.run_id)

    def _release(self) -> None:
        if self._created:
            crash_point("queue.begun")
            make_durable(self._state, self._created)
            self._store(release_runs, self._created)
            self._created = []

    def _active(self) -> list[QueuedRun]:
        return [
            QueuedRun(
                run_id=record.run_id,
                created_at=record.created_at,
                tags=record.tags,
                pipeline=record.pipeline,
                location=record.location,
            )
            for record in self._runs.active.values()
        ]

    def _unavailable(self) -> dict[str, str]:
        """Why runs of a location cannot begin. They wait until they can: what is broken is mended before long."""
        wanted = {run.location for run in self._queued or ()}
        return {name: why for name in wanted if (why := self._locations.why_unavailable(name)) is not None}

    def _limits(self) -> QueueLimits:
        settings = self._workspace.settings.run_queue
        rules = [
            TagLimitRule(key=limit.key, value=limit.value, limit=limit.limit, per_value=limit.per_value)
            for limit in settings.tag_limits
        ]
        rules.append(TagLimitRule(key=SERIALIZE_TAG, value=None, limit=1, per_value=True))
        return QueueLimits(max_concurrent_runs=settings.max_concurrent_runs, tag_limits=tuple(rules))

    def _postponed(self, now: datetime) -> bool:
        return any(run.not_before is not None and not is_postponed(run, now) for run in self._queued or ())

    def _next_instant(self, now: datetime) -> datetime | None:
        return min(
            (run.not_before for run in self._queued or () if run.not_before and is_postponed(run, now)), default=None
        )
