"""Drives the runs that the daemon owns, resumes those of an earlier daemon, and marks those whose owner died."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from datetime import UTC, datetime, timedelta

from orchestrator import clock
from orchestrator.catalog.backlog import ingest_part
from orchestrator.catalog.damage import end_lost_runs
from orchestrator.catalog.ingest import ingest
from orchestrator.catalog.runs import begun_runs
from orchestrator.catalog.session import LocalStore
from orchestrator.daemon.log import DaemonLog
from orchestrator.errors import FirstError, NotPossible, OrchestratorError, RunDamaged
from orchestrator.executors.base import FOLLOWED_S, Executor, FollowsOutput, ReportsHealth
from orchestrator.model.attempt import split_handle
from orchestrator.model.events import Owner, RunFinished, RunInterrupted, RunResumed, RunStarted
from orchestrator.model.executor_health import ExecutorHealth
from orchestrator.model.run import RunRecord
from orchestrator.model.states import RunState, StepState
from orchestrator.runlog.inventory import ownerless, pending_runs
from orchestrator.runlog.run_log import RunLog
from orchestrator.runlog.slots import drop_slot
from orchestrator.service.driver import OwnedRun, RunDriver
from orchestrator.state_dir import StateDir

# Journals of runs in flight are copied into the index this often; one that has ended, at once.
INGEST = timedelta(seconds=0.5)
# How often to look for runs whose owner died, and how long one may take to come into being.
LOOK = timedelta(seconds=10)
# How often to see whether the runs that others drive have their owner still: a look at locks, and at nothing else.
GLANCE = timedelta(seconds=1)
# A backlog of finished runs is taken into the index for this long at a time, between turns of everything else.
PART_S = 0.25
# Attempts are looked at this often even without a hint: adopted attempts give none.
SWEEP = timedelta(seconds=0.2)


# Begins a run by its last argument, or says what it waits for.
Admit = Callable[[RunLog, RunRecord, datetime, Callable[[], None]], str | None]


class Runs:
    """The concern. `admission` decides whether a run without an owner may be taken over; the queue begins those in
    `reserved` itself. `on_end` is called when runs are over and in the index."""

    name = "runs"

    def __init__(
        self,
        state: StateDir,
        store: LocalStore,
        executor_of: Callable[[str], Executor],
        can_launch: Callable[[str, str], bool],
        log: DaemonLog,
    ) -> None:
        self._state = state
        self._store = store
        self._executor_of = executor_of
        self._can_launch = can_launch
        self._log = log
        self._executors: dict[str, Executor] = {}
        self._drivers: dict[str, RunDriver] = {}
        self._unborn: dict[str, datetime] = {}  # since when
        self._complaints: dict[str, str] = {}
        self._behind: set[str] = set()
        self._ended: list[str] = []
        self._ingestion = clock.Every(INGEST)
        self._look = clock.Every(LOOK)
        self._glances = clock.Every(GLANCE)
        self._others: set[str] = set()
        self._orphans: set[str] = set()
        self.backlog = 0  # finished runs that are not in the index yet
        self.held_back: dict[str, str] = {}  # runs to take over that wait for a slot, and why
        self.reserved: set[str] = set()
        self.admission: Admit = lambda _run_log, _record, _now, begin: begin()
        self.on_end: Callable[[], None] = lambda: None

    @property
    def active(self) -> dict[str, RunRecord]:
        """The runs that are driven here, by id."""
        return {run_id: driver.record for run_id, driver in self._drivers.items()}

    def turn(self, now: datetime) -> datetime | None:
        is_time = self._glance(now)
        if is_time or self._look.is_due(now):
            self._look.done(now)
            self._look_for_ownerless(now)
        elif self.backlog:
            self._take_in_history(self._drivers)
        self._observe()
        self._advance_all(now)
        self._ingest(now)
        return min(self._next_instants(now))

    def start(self, run_log: RunLog) -> None:
        """Begins or resumes a run. Raises OrchestratorError when that is not possible."""
        lock = run_log.own()
        try:
            record = run_log.record()
            owned = OwnedRun(run_log, record, lock)
            driver = RunDriver(owned, self._executor, self._note(run_log))
            self._drivers[run_log.run_id] = driver
            driver.begin("daemon")
        except BaseException:
            self._drivers.pop(run_log.run_id, None)
            lock.release()
            raise
        self._advance(run_log.run_id, clock.now())

    def fail(self, run_log: RunLog, reason: str, now: datetime) -> None:
        """Ends a run that cannot even begin, in its journal, where the reason belongs."""
        run_log.add(RunFinished(at=now, status=RunState.FAILURE, reason=reason))
        self._ended.append(run_log.run_id)

    def cancel_all(self, by: str) -> None:
        """Asks every one of them to stop."""
        for driver in self._drivers.values():
            driver.request_cancel(by)

    def executor_health(self) -> list[ExecutorHealth]:
        """How the executors fare that run attempts in another system."""
        said = [one.health() for one in self._executors.values() if isinstance(one, ReportsHealth)]
        return [one for one in said if one is not None]

    def descriptors(self) -> Iterator[int]:
        for executor in self._executors.values():
            yield from executor.descriptors()

    def catch_up(self) -> None:
        """Brings the index up to date with every run in flight, and with what others have driven: of a backlog of
        finished runs with a part."""
        self._ingestion.reset()
        self._ingest(clock.now())
        self._take_in_history(self._drivers)

    def close(self) -> None:
        """Lets go of all runs. Their steps go on, and the next daemon finds them."""
        for driver in self._drivers.values():
            driver.close()
        self._drivers.clear()
        for executor in self._executors.values():
            executor.close()

    # --- driving ---

    def _executor(self, name: str) -> Executor:
        if name not in self._executors:
            self._executors[name] = self._executor_of(name)
        return self._executors[name]

    def _note(self, run_log: RunLog) -> Callable[[object], None]:
        return lambda _event: self._behind.add(run_log.run_id)

    def _observe(self) -> None:
        for executor in self._executors.values():
            for handle, seen in executor.poll().items():
                run_id, step, attempt = split_handle(handle)
                if run_id not in self._drivers:
                    continue
                try:
                    self._drivers[run_id].observe(step, attempt, seen)
                except Exception as error:  # an observation is given once: what it said is in the files still
                    self._let_go(run_id, error)

    def _let_go(self, run_id: str, error: Exception) -> None:
        """Gives a run up that went wrong here. It is taken over again from its files before long."""
        self._complain(run_id, error)
        driver = self._drivers.pop(run_id)
        try:
            driver.close()
        except OrchestratorError:
            driver.abandon()

    def _advance_all(self, now: datetime) -> None:
        """Every run gets its turn, whatever the others meet; then the first error is raised."""
        errors = FirstError()
        for run_id in list(self._drivers):
            try:
                self._advance(run_id, now)
            except RunDamaged as error:
                self._lose(run_id, error, now)
            except Exception as error:  # the daemon's concern shows it, and comes back to it
                errors.keep(error)
        errors.raise_if_any()

    def _advance(self, run_id: str, now: datetime) -> None:
        driver = self._drivers[run_id]
        # Nothing is started where it could only be lost: that would use up the attempts of a run for nothing.
        free = self._can_launch(run_id, driver.record.location)
        driver.advance(now, driver.record.max_concurrent_steps if free else 0)
        if not driver.progress.is_finished:
            return
        drop_slot(self._state, run_id)
        driver.close()
        del self._drivers[run_id]
        _end_run(driver)
        self._ended.append(run_id)
        failed = driver.progress.status is RunState.FAILURE
        say = self._log.error if failed else self._log.info
        facts = {"run": run_id, "pipeline": driver.record.pipeline, "status": str(driver.progress.status)}
        say("run failed" if failed else "run ended", **facts, **({"error": _why(driver)} if failed else {}))

    def _lose(self, run_id: str, error: RunDamaged, now: datetime) -> None:
        """Ends a run whose files were removed under it."""
        driver = self._drivers.pop(run_id)
        driver.kill()
        driver.abandon()
        _end_run(driver)
        end_lost_runs(self._store.database, self._state, now)
        self._ended.append(run_id)
        self._log.error("a run was lost", run=run_id, error=error.message)

    # --- the index ---

    def _ingest(self, now: datetime) -> None:
        late = self._ingestion.is_due(now)
        if not self._ended and not (self._behind and late):
            return
        wanted = {*self._ended, *(self._behind if late else ())}
        ingest(self._store.database, self._state, wanted)
        if late:
            self._ingestion.done(now)
        self._behind -= wanted
        ended, self._ended = self._ended, []
        if ended:
            self.on_end()

    def _take_in_history(self, besides: Container[str]) -> None:
        self.backlog = ingest_part(self._store.database, self._state, PART_S, besides=besides)

    # --- what others left ---

    def _glance(self, now: datetime) -> bool:
        """Whether one more of the runs that others drive has lost its owner, or one waits to be taken over."""
        if not self._glances.is_due(now):
            return False
        self._glances.done(now)
        self._others = {run_id for run_id in pending_runs(self._state) if run_id not in self._drivers}
        for driver in self._drivers.values():
            _follow_output(driver)
        before = self._orphans
        self._orphans = ownerless(self._state, self._others)
        return bool(self.held_back) or not self._orphans <= before

    def _look_for_ownerless(self, now: datetime) -> None:
        self._take_in_history(())
        end_lost_runs(self._store.database, self._state, now)
        unborn, self._unborn = self._unborn, {}
        self.held_back = {}
        for run_id in self._store(begun_runs):
            if run_id in self._drivers or run_id in self.reserved:
                continue
            run_log = RunLog(self._state, run_id)
            since = unborn.get(run_id, now)
            if not run_log.has_begun() and clock.is_recent(since, LOOK, now):
                if run_log.exists():
                    self._unborn[run_id] = since  # it is being created, unless that takes too long
                continue
            try:
                self._take_over(run_log, now)
            except NotPossible:
                pass  # it has an owner, or ended just now
            except RunDamaged as error:
                self._give_up(run_log, error, now)
            except Exception as error:  # whatever is wrong with this one, the others are looked after
                self._complain(run_id, error)

    def _give_up(self, run_log: RunLog, error: RunDamaged, now: datetime) -> None:
        """Ends a run that cannot be continued, unless a newer version could."""
        self._complain(run_log.run_id, error)
        if not error.is_newer:
            self.fail(run_log, error.message, now)

    def _complain(self, run_id: str, error: Exception) -> None:
        """Once for each reason: the run is tried again and again."""
        if self._complaints.get(run_id) != str(error):
            self._complaints[run_id] = str(error)
            self._log.error("a run cannot be resumed", run=run_id, error=str(error))

    def _take_over(self, run_log: RunLog, now: datetime) -> None:
        owner = _last_owner(run_log)
        if owner is None or owner.kind == "foreground":
            self._mark_interrupted(run_log, owner, now)
        else:
            reason = self.admission(run_log, run_log.record(), now, lambda: self.start(run_log))
            self._complaints.pop(run_log.run_id, None)
            if reason is not None:
                self.held_back[run_log.run_id] = reason
                return
            self._log.info("run resumed", run=run_log.run_id)

    def _mark_interrupted(self, run_log: RunLog, owner: Owner | None, now: datetime) -> None:
        if owner is None:
            reason = "the process that created the run exited before starting it"
        else:
            reason = f"its owner, process {owner.pid} in a terminal, is gone"
        run_log.add(RunInterrupted(at=now, reason=reason))
        ingest(self._store.database, self._state, [run_log.run_id])
        self._log.warn("run interrupted", run=run_log.run_id, reason=reason)

    def _next_instants(self, now: datetime) -> Iterator[datetime]:
        yield now + (GLANCE if self._others or self.held_back else LOOK)
        if self.backlog:
            yield now
        if self._behind:
            yield now + INGEST
        for driver in self._drivers.values():
            due = driver.next_instant()
            if due is not None:
                yield due
            yield now + SWEEP


def _last_owner(run_log: RunLog) -> Owner | None:
    owner = None
    for event in run_log.events():
        if isinstance(event, (RunStarted, RunResumed)):
            owner = event.owner
    return owner


def _follow_output(driver: RunDriver) -> None:
    """Has executors fetch what running steps print, if a process watches the run."""
    if followers := [one for one in driver.executors if isinstance(one, FollowsOutput)]:
        until = datetime.fromtimestamp(driver.run_log.followed_at(), UTC) + timedelta(seconds=FOLLOWED_S)
        for one in followers:
            one.follow(driver.record.run_id, until)


def _end_run(driver: RunDriver) -> None:
    for executor in driver.executors:
        executor.end_run(driver.record.run_id)


def _why(driver: RunDriver) -> str:
    """The error of the first failed step, or what else the run failed of."""
    failed = (step for step in driver.progress.network.in_order() if step.state is StepState.FAILURE and step.error)
    step = next(failed, None)
    return f"{step.key}: {step.error.headline()}" if step is not None and step.error else driver.progress.reason
