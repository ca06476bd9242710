"""The run queue: taking runs out of it when there is room, each exactly once. Which may start is decided by
`engine.admission`; those that have begun are the business of `runs`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from msgspec.structs import replace

from orchestrator import clock
from orchestrator.catalog.queue import forget_ended, put_back, queued_runs, release_runs, take_runs, taken_runs
from orchestrator.catalog.session import Store
from orchestrator.crashpoints import crash_point
from orchestrator.daemon.locations import Locations
from orchestrator.daemon.log import DaemonLog
from orchestrator.daemon.runs import Runs
from orchestrator.engine.admission import PUT_OFF, Admission, admit, is_limited, is_postponed, limits_of, room_for_runs
from orchestrator.errors import FirstError, NotPossible, OrchestratorError, StoreError
from orchestrator.limits import free_descriptors
from orchestrator.model.queued_run import QueuedRun, as_queued
from orchestrator.model.run import RunRecord
from orchestrator.runlog.creation import create_run, make_durable
from orchestrator.runlog.run_log import RunLog
from orchestrator.runlog.slots import busy_reason, holders, try_admission, write_slot
from orchestrator.runlog.tickets import publish_claims, waiting_commands
from orchestrator.service.admission import reason_to_wait
from orchestrator.service.workspace import Workspace

# Runs taken in one turn: between two handfuls the other concerns get their turns.
_HANDFUL = 20
# Runs that wait for a slot which another process may free are looked at this often.
LOOK = timedelta(seconds=0.25)

_NO_DESCRIPTORS = "the daemon has too few file descriptors for more runs at a time: raise its limit (`ulimit -n`)"


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
        self._half_begun: dict[str, RunRecord] = {}
        self._created: list[str] = []
        self._running = -1
        self._seen = -1
        self._look_at: datetime | None = None
        self._claimed: list[str] | None = None
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
        canceled = [run_id for run_id in self._half_begun if RunLog(self._state, run_id).is_cancel_requested()]
        if canceled:
            self._launch(canceled, now)  # it ends before any step starts
        if self.is_paused:
            self.waiting = dict.fromkeys(
                (run.run_id for run in self._candidates()), "the daemon is stopping, and starts no more runs"
            )
            self._publish([])
            return None
        running, seen = len(self._runs.active), self._locations.version
        if self._queued is None:
            self._candidates()
        elif (running, seen) == (self._running, self._seen) and not self._postponed(now) and not self._must_look(now):
            return self._next_instant(now)
        self._running, self._seen, self._look_at = running, seen, None
        candidates = self._candidates()
        if not candidates:
            self.waiting = {}
            self._publish([])
            return None
        return self._admit(candidates, now)

    def resume(self, run_log: RunLog, record: RunRecord, now: datetime, begin: Callable[[], None]) -> str | None:
        """Takes a run over that was begun before, by `begin`, or says what it waits for: while it had no owner and
        nothing of it was alive, others may have taken its slot. Room in the queue it has already."""
        limits = limits_of(self._workspace.settings.run_queue)
        run = as_queued(record)
        if run_log.is_cancel_requested() or not is_limited(run, limits):
            write_slot(self._state, run)
            begin()
            return None
        lock = try_admission(self._state)
        if lock is None:
            return busy_reason(self._state)
        try:
            reason = reason_to_wait(self._state, replace(run, foreground=True), limits, now, clean=True)
            if reason is None:
                write_slot(self._state, run)
                begin()
            return reason
        finally:
            lock.release()

    # --- admission ---

    def _candidates(self) -> list[QueuedRun]:
        if self._queued is None:
            self._queued = self._store(queued_runs)
        return [*map(as_queued, self._half_begun.values()), *self._queued]

    def _admit(self, candidates: list[QueuedRun], now: datetime) -> datetime | None:
        """Starts what may start. Limits are read and slots are taken under the admission lock, so that no other process
        is let in between the two."""
        limits = limits_of(self._workspace.settings.run_queue)
        unavailable = self._unavailable(candidates)
        limited = {run.run_id for run in candidates if is_limited(run, limits)}
        if not limited:
            admission = admit(candidates, self._active(), limits, now, unavailable)
            return self._carry_out(admission, {run.run_id: run for run in candidates}, now)
        lock = try_admission(self._state)
        if lock is None:
            others = [run for run in candidates if run.run_id not in limited]
            admission = admit(others, self._active(), limits, now, unavailable)
            self._look_at = now + LOOK
            busy = dict.fromkeys(limited, busy_reason(self._state))
            return self._carry_out(admission, {run.run_id: run for run in others}, now, busy)
        try:
            running = self._counting()
            rivals = waiting_commands(self._state, running)
            admission = admit([*candidates, *rivals], running, limits, now, unavailable)
            return self._carry_out(admission, {run.run_id: run for run in candidates}, now)
        finally:
            lock.release()

    def _carry_out(
        self,
        admission: Admission,
        own: Mapping[str, QueuedRun],
        now: datetime,
        waiting: Mapping[str, str] = MappingProxyType({}),
    ) -> datetime | None:
        """Starts a handful of the admitted runs that are ours to start; foreground runs start themselves."""
        self.waiting = {**waiting, **{run_id: why for run_id, why in admission.waiting.items() if run_id in own}}
        if not waiting:  # else the limits were not read, and who is next in line is as before
            self._publish([own[run_id] for run_id in admission.claims if run_id in own])
        admitted = [run_id for run_id in admission.run_ids if run_id in own]
        chosen = admitted[:_HANDFUL]
        room = room_for_runs(free_descriptors(), len(self._runs.active)) if chosen else 0
        if room < len(chosen):
            chosen = chosen[:room]
            self.waiting.update(dict.fromkeys(admitted[room:], _NO_DESCRIPTORS))
            self._look_at = now + LOOK
        if chosen:
            crash_point("queue.admitted")
            self._launch(chosen, now)
            self._running = -1
            return now
        if admission.claims:
            self._look_at = now + LOOK  # commands in other processes do not say when they free a slot
        return self._next_instant(now)

    def _counting(self) -> list[QueuedRun]:
        """The runs that count in limits: those that are driven here, and those that others drive."""
        own = self._active()
        known = {run.run_id for run in own}
        return own + holders(self._state, besides=known, clean=True)

    def _publish(self, runs: list[QueuedRun]) -> None:
        """Lets commands in other processes see which runs are next in line."""
        ids = [run.run_id for run in runs]
        if ids != self._claimed:
            publish_claims(self._state, runs)
            self._claimed = ids

    def _must_look(self, now: datetime) -> bool:
        return self._look_at is not None and not clock.is_ahead(self._look_at, LOOK, now)

    # --- beginning runs ---

    def _recover(self, now: datetime) -> None:
        """Finds runs that were taken and not begun: by a daemon that died, or while the disk was full. They are
        admitted again, because their slots were free in between."""
        self._is_recovered = True
        self._store(forget_ended)
        begun = {*self._runs.active, *self._created}
        self._half_begun = {}
        for record in self._store(taken_runs):
            if record.run_id in begun:
                continue
            if RunLog(self._state, record.run_id).exists():
                self._half_begun[record.run_id] = record
            else:
                self._store(put_back, record.run_id, now)
                self.changed()
        self._runs.reserved = set(self._half_begun)

    def _launch(self, run_ids: list[str], now: datetime) -> None:
        again = [self._half_begun.pop(run_id) for run_id in run_ids if run_id in self._half_begun]
        self._runs.reserved = set(self._half_begun)
        taken = [run_id for run_id in run_ids if run_id not in {record.run_id for record in again}]
        records = self._store(take_runs, taken) if taken else []
        self._queued = [run for run in self._queued or () if run.run_id not in set(taken)]
        self._begin_all([*again, *records], now)

    def _begin_all(self, records: list[RunRecord], now: datetime) -> None:
        """Begins each of them, whatever becomes of the others. Raises StoreError when some have to wait."""
        errors = FirstError()
        for record in records:
            try:
                self._begin(record, now)
            except StoreError as error:
                errors.keep(error)
        if errors.has_any:
            self._is_recovered = False
        errors.raise_if_any()

    def _begin(self, record: RunRecord, now: datetime) -> None:
        run_log = RunLog(self._state, record.run_id)
        try:
            write_slot(self._state, as_queued(record))
            if not run_log.exists():
                create_run(self._state, record)
            crash_point("queue.created")
            self._runs.start(run_log)
        except StoreError:
            if record.run_id in self._runs.active:
                self._created.append(record.run_id)  # it has begun, and goes on when it can
            elif not run_log.exists():
                self._store(put_back, record.run_id, now + PUT_OFF)
                self.changed()
            raise
        except NotPossible:
            pass  # it has an owner, or is over
        except Exception as error:  # whatever is wrong with this one, the others behind it begin
            words = str(error) if isinstance(error, OrchestratorError) else f"{type(error).__name__}: {error}"
            self._log.error("run created, but failed to launch", run=record.run_id, error=words)
            self._runs.fail(run_log, f"created successfully but failed to launch: {words}", now)
        self._created.append(record.run_id)

    def _release(self) -> None:
        if self._created:
            crash_point("queue.begun")
            make_durable(self._state, self._created)
            self._store(release_runs, self._created)
            self._created = []

    def _active(self) -> list[QueuedRun]:
        return [as_queued(record) for record in self._runs.active.values()]

    def _unavailable(self, candidates: list[QueuedRun]) -> dict[str, str]:
        """Why runs of a location cannot begin. They wait until they can: what is broken will be fixed."""
        wanted = {run.location for run in candidates}
        return {name: why for name in wanted if (why := self._locations.why_unavailable(name)) is not None}

    def _postponed(self, now: datetime) -> bool:
        return any(run.not_before is not None and not is_postponed(run, now) for run in self._queued or ())

    def _next_instant(self, now: datetime) -> datetime | None:
        postponed = (run.not_before for run in self._queued or () if run.not_before and is_postponed(run, now))
        return min((at for at in (*postponed, self._look_at) if at is not None), default=None)
