"""Whatever happens to a daemon, in whatever order: every occurrence and every key is accounted for, and runs once.

A state machine over the real store, journals and locks, with a clock that is set by hand. Deaths are exceptions out of
crash points: what was in memory is gone, what was on disk stays.
"""

import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from orchestrator import clock, crashpoints
from orchestrator.catalog.automations import list_automations
from orchestrator.catalog.runs import list_runs
from orchestrator.catalog.session import hold_store
from orchestrator.catalog.ticks import EnqueuedRun, TickBatch, list_ticks
from orchestrator.cron import instants_between, load_zone
from orchestrator.cron_expression import parse_cron
from orchestrator.daemon import core, locations, write_buffer
from orchestrator.daemon.process import _only_one
from orchestrator.errors import DaemonError, NotPossible, StoreError
from orchestrator.ids import new_run_id
from orchestrator.model.automation import ScheduleInfo, SensorInfo
from orchestrator.model.filters import RunFilter, TickFilter
from orchestrator.model.run import RunRecord, Trigger
from orchestrator.model.states import TERMINAL_RUN_STATES, RunState
from orchestrator.planning.plan import encode_plan
from orchestrator.service import automations
from orchestrator.service.cancel_run import remove_run
from orchestrator.service.location_specs import specs_of
from orchestrator.service.workspace import Workspace
from orchestrator.settings import load_settings
from tests.engine.lives import plan

from .world import EXECUTOR, Evaluators, Pool, World

START = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
SETTINGS = (
    "{locations: [{name: main, file: p.py}], run_queue: {max_concurrent_runs: 4, tag_limits: [{key: db, limit: 3}]}}"
)
MOST_RUNNING = 3
HOURLY = ScheduleInfo(name="allow", cron="0 * * * *", pipeline="p", overlap="allow")
SCHEDULES = {
    "allow": replace(HOURLY, catch_up="all"),
    "skip": replace(HOURLY, name="skip", cron="20 * * * *", overlap="skip"),
    "one": replace(HOURLY, name="one", cron="40 * * * *", overlap="buffer_one", catch_up="all"),
}
SENSOR = SensorInfo(name="inbox", pipeline="p", interval=60.0, default_on=True)
FAMILIES = ("tick.", "queue.", "ingest.", "attempt.", "run.created", "run.written", "run.started", "run.finished")
POINTS = [point for point in crashpoints.POINTS if point.startswith(FAMILIES)]
NAMES = st.sampled_from(sorted(SCHEDULES))


class Death(BaseException):
    """The process is gone."""


class Quiet:
    """What the daemon is given and a test has no use for: a socket, a log, a watcher of files."""

    wake = -1

    def __getattr__(self, name):
        return lambda *_, **__: None

    def close(self):
        pass

    def end_run(self, run_id):
        pass

    def descriptors(self):
        return ()

    def drained(self):
        return False


class Lives(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.now = START
        self.steady = 0.0
        self.disk = "well"
        self.expected = {name: set() for name in SCHEDULES}
        self.counted = {}  # up to which instant, for those that are on
        self.clock_was_set = False
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(clock, "now", self._clock)
        self._patch.setattr(clock, "monotonic", lambda: self.steady)
        self._patch.setattr(core, "Watcher", Quiet)
        self._patch.setattr(locations, "EvaluatorPool", Evaluators)
        self._patch.setattr(crashpoints, "_reached", self._reached)
        self._patch.setattr(write_buffer, "commit_ticks", self._commit)
        self._armed = 0
        self._directory = TemporaryDirectory()
        self.path = Path(self._directory.name)
        (self.path / ".orchestrator.yaml").write_text(SETTINGS)
        self.world = World(lambda: self.now)
        self.world.declared = {**SCHEDULES, "inbox": SENSOR}
        self.daemon = None

    @initialize()
    def begin(self):
        self._start()
        self._settle()
        for name in SCHEDULES:
            self.switch(name)

    # --- what happens ---

    @rule(minutes=st.integers(1, 60 * 30))
    def time_passes(self, minutes):
        self._pass(timedelta(minutes=minutes))
        self._settle()

    @rule(minutes=st.integers(1, 180), point=st.sampled_from(POINTS), nth=st.integers(1, 3))
    def it_dies_at_some_point(self, minutes, point, nth):
        self.world.keys.append(f"k{len(self.world.keys)}")
        self._pass(timedelta(minutes=minutes))
        crashpoints._name, self._armed = point, nth
        try:
            self._settle()
        except Death:
            self._die()
            self._start()
        finally:
            crashpoints._name = ""
        self._settle()

    @rule()
    def it_is_killed_between_two_turns(self):
        self._die()
        self._start()
        self._settle()

    @rule(hours=st.sampled_from([24 * 365, -24 * 3650, -50, -5, -2, -1]))
    def the_clock_is_set(self, hours):
        self.clock_was_set = True
        self.now += timedelta(hours=hours)
        self._settle()

    @rule(number=st.integers(1, 5))
    def keys_appear(self, number):
        self.world.keys += [f"k{len(self.world.keys) + n}" for n in range(number)]
        self._pass(timedelta(minutes=2))
        self._settle()

    @rule()
    def a_key_comes_with_config_that_does_not_fit(self):
        self.world.keys.append(key := f"k{len(self.world.keys)}")
        self.world.invalid.add(key)
        self._pass(timedelta(minutes=20))
        self._settle()

    @precondition(lambda self: self.world.invalid)
    @rule()
    def config_is_mended(self):
        self.world.invalid.clear()
        self._reload()
        self._pass(timedelta(minutes=20))
        self._settle()

    @rule(name=NAMES)
    def switch(self, name):
        self._expect()
        self.daemon.before_operation()
        one = self._remembered(name)
        if one.gone_at is not None:
            return
        (automations.turn_off if one.is_on else automations.turn_on)(self.store, one, self.now)
        self.daemon.registry.changed()
        self.counted.pop(name, None)
        if not one.is_on:
            self.counted[name] = self.now - timedelta(microseconds=1)
        self._settle()

    @rule(name=NAMES, minute=st.integers(0, 59), zone=st.sampled_from(["UTC", "Asia/Kolkata"]))
    def edit(self, name, minute, zone):
        if name not in self.world.declared:
            return
        before = self.world.declared[name]
        after = replace(before, cron=f"{minute} * * * *", timezone=zone)
        self.world.declared[name] = after
        if (after.cron, after.timezone) != (before.cron, before.timezone) and name in self.counted:
            self.counted[name] = self.now - timedelta(microseconds=1)
        self._reload()
        self._settle()

    @rule(name=NAMES)
    def disappear_or_return(self, name):
        if self.world.declared.pop(name, None) is None:
            self.world.declared[name] = SCHEDULES[name]
            if self._remembered(name).is_on:
                self.counted[name] = self.now - timedelta(microseconds=1)
        else:
            self.counted.pop(name, None)
        self._reload()
        self._settle()

    @rule(most=st.integers(1, 10))
    def steps_end(self, most):
        running = [handle for handle, state in self.world.steps.items() if state == "running"]
        for handle in running[:most]:
            self.world.steps[handle] = "done"
        self._settle()

    @rule()
    def somebody_runs_something(self):
        raw = msgspec.Raw(encode_plan(plan(a={})))
        record = RunRecord(
            run_id=new_run_id(),
            pipeline="p",
            location="main",
            mode="default",
            created_at=self.now,
            trigger=Trigger("manual"),
            tags={"db": "one"},
            executor=EXECUTOR,
            plan=msgspec.Raw(b"null"),
        )
        self.daemon.before_operation()
        self.store(self._real_commit, TickBatch([], [], [EnqueuedRun(record=record, plan=raw)]))
        self.daemon.queue.changed()
        self._settle()

    @rule(which=st.integers(0, 20))
    def cancel(self, which):
        alive = [run for run in self._runs() if run.status not in TERMINAL_RUN_STATES]
        if alive:
            self.daemon.before_operation()
            try:
                self.daemon.cancel(alive[which % len(alive)].run_id, "a test")
            except NotPossible:
                pass
            self._settle()

    @rule(which=st.integers(0, 20))
    def delete(self, which):
        over = [run for run in self._runs() if run.status in TERMINAL_RUN_STATES]
        if over:
            self.daemon.before_operation()
            remove_run(self.store, over[which % len(over)].run_id, self.now)
            self.daemon.queue.changed()
            self.daemon.registry.changed()
            self._settle()

    @rule(how=st.sampled_from(["full", "full, though it was written"]), minutes=st.integers(1, 120))
    def the_disk_is_full_for_a_while(self, how, minutes):
        self.world.keys.append(f"k{len(self.world.keys)}")
        self.disk = how
        self._pass(timedelta(minutes=minutes))
        for _ in range(4):
            self._turn()
            self._pass(timedelta(seconds=2))
        self.disk = "well"
        self._pass(timedelta(seconds=2))
        self._settle()

    @rule()
    def a_second_daemon_is_refused(self):
        with pytest.raises(DaemonError):
            _only_one(self.workspace.state)

    # --- what must hold ---

    @invariant()
    def nothing_runs_twice(self):
        twice = {what: handles for what, handles in self.world.ledger.items() if len(handles) > 1}
        assert twice == {}

    @invariant()
    def every_key_has_its_run(self):
        if self.daemon is None or self.world.invalid:
            return  # a tick with anything wrong in it requests nothing
        self._pass(timedelta(minutes=20))  # longer than any back-off
        self._settle()
        assert self._used_keys() == Counter(self.world.keys)

    @invariant()
    def every_occurrence_is_accounted_for(self):
        if self.daemon is None:
            return
        ticks = self.store(list_ticks, TickFilter(kinds=("schedule",), limit=100_000))
        ticks = [tick for tick in ticks if tick.status != "FAILURE"]
        told = Counter((tick.name.removeprefix("main/"), tick.scheduled_at) for tick in ticks)
        ran = Counter((tick.name, tick.scheduled_at) for tick in ticks if tick.status == "SUCCESS")
        assert max(ran.values(), default=1) == 1
        if self.clock_was_set:
            return  # an instant that comes a second time is told a second time, and is not run
        assert max(told.values(), default=1) == 1
        self._expect()
        missing = {(name, at) for name, instants in self.expected.items() for at in instants} - set(told)
        assert missing == set()

    @invariant()
    def everything_started_is_driven(self):
        if self.daemon is None:
            return
        started = {run.run_id for run in self._runs() if run.status in (RunState.STARTING, RunState.STARTED)}
        assert started == set(self.daemon.runs.active)

    @invariant()
    def limits_hold(self):
        if self.daemon is None:
            return
        active = list(self.daemon.runs.active.values())
        assert len(active) <= MOST_RUNNING
        for name in ("skip", "one"):
            assert sum(record.trigger.name == f"main/{name}" for record in active) <= 1, name
        unfinished = Counter(run.trigger.name for run in self._runs() if run.status not in TERMINAL_RUN_STATES)
        assert unfinished["main/skip"] <= 1
        assert unfinished["main/one"] <= 2

    # --- inside ---

    def _clock(self):
        self.now += timedelta(microseconds=1)
        return self.now

    def _pass(self, time):
        self.now += time
        self.steady += min(time.total_seconds(), 4.0)

    def _reached(self, last):
        self._armed -= 1
        if self._armed == 0:
            last()
            raise Death

    def _commit(self, database, batch):
        if self.disk == "full":
            raise StoreError("The disk is full.")
        self._real_commit(database, batch)
        if self.disk != "well":
            self.disk = "full"
            raise StoreError("The disk is full, or so it seems.")

    _real_commit = staticmethod(write_buffer.commit_ticks)

    def _start(self):
        configured = load_settings(self.path / ".orchestrator.yaml")
        self.workspace = Workspace(configured)
        self.workspace.__dict__["pool"] = Pool(self.world, specs_of(configured))
        self.lock = _only_one(self.workspace.state)
        self._held = hold_store(self.workspace.state)
        self.store = self._held.__enter__()
        self.daemon = core.Daemon(self.workspace, self.store, Quiet(), Quiet())
        self.daemon.server.serve_ready = lambda: 0

    def _die(self):
        for driver in self.daemon.runs._drivers.values():
            driver._unwritten.clear()
            driver.close()
        self._held.__exit__(None, None, None)
        self.lock.release()
        self.daemon = None

    def _turn(self):
        for watched in self.daemon.concerns:
            watched._not_before = None
        self.daemon.loop.turn()

    def _settle(self):
        quiet = 0
        for _ in range(400):
            self._turn()
            d = self.daemon
            due = [*d.schedules.due_queue.upcoming(), *d.sensors.due_queue.upcoming()]
            late = any(at <= self.now for _, at in due)
            quiet = 0 if d.evaluations.is_busy or late or d.queue.is_busy else quiet + 1
            if quiet == 3:
                d.before_operation()
                errors = [one.error for one in d.concerns if one.error]
                assert errors == [], "\n".join(errors)
                return
        raise AssertionError("it never settles")

    def _reload(self):
        self.daemon.locations.reload()

    def _expect(self):
        for name, since in list(self.counted.items()):
            declared = self.world.declared[name]
            instants = instants_between(parse_cron(declared.cron), load_zone(declared.timezone), since, self.now)
            self.expected[name] |= set(instants)
            self.counted[name] = self.now

    def _remembered(self, name):
        return next(one for one in self.store(list_automations) if one.name == name)

    def _runs(self):
        return self.store(list_runs, RunFilter(limit=None))

    def _used_keys(self):
        rows = self.store.database.rows("SELECT run_key FROM run_keys WHERE automation = 'main/inbox'")
        return Counter(row[0] for row in rows)

    def teardown(self):
        if self.daemon is not None:
            self._die()
        self._patch.undo()
        self._directory.cleanup()


def _live(examples, steps):
    profile = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    run_state_machine_as_test(Lives, settings=profile)


@pytest.mark.long
def test_a_few_lives():
    _live(examples=6, steps=12)


@pytest.mark.chaos
def test_many_lives():
    """`CHAOS_LIVES` says how many."""
    _live(examples=int(os.environ.get("CHAOS_LIVES", "300")), steps=30)
