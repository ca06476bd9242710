"""A simulation says what the daemon would do: the same ticks as the daemon's own concern, whatever the policies, the
sleep, the runs that are unfinished and what user code answers.
"""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator import pipeline, step
from orchestrator.catalog.session import LocalStore
from orchestrator.daemon.collaborators import Collaborators
from orchestrator.daemon.evaluations import Answered, Planned
from orchestrator.daemon.file_watcher import Watcher
from orchestrator.daemon.locations import Location, Locations
from orchestrator.daemon.log import DaemonLog
from orchestrator.daemon.registry import Registry
from orchestrator.daemon.schedules import Schedules
from orchestrator.daemon.write_buffer import WriteBuffer
from orchestrator.engine import automation_lifecycle
from orchestrator.engine.overlap import Active
from orchestrator.engine.sensor_timing import decide_requests
from orchestrator.model.automation import ScheduleInfo
from orchestrator.model.run import SERIALIZE_TAG
from orchestrator.model.states import TickState
from orchestrator.model.tick import Evaluation, Requested
from orchestrator.planning.compile import plan_run
from orchestrator.planning.plan import PlanRequest
from orchestrator.service.workspace import Workspace
from orchestrator.settings import load_settings
from orchestrator.simulation.downtime import Asleep
from orchestrator.simulation.simulated_schedule import Running, Said, SimulatedSchedule

START = datetime(2026, 3, 27, 21, 30, tzinfo=UTC)
END = START + timedelta(days=4)  # the clocks of Europe go forward in it


@step
def nothing():
    pass


@pipeline
def work():
    nothing()


PLANNED = plan_run(work, PlanRequest(pipeline="work"), {}, isolation="fork")


def answer_of(instant):
    """What user code says: mostly a run, on some occurrences none, two, or an error."""
    which = int(instant.timestamp()) // 300 % 11
    if which == 3:
        return Evaluation(skip_reason="not today")
    if which == 5:
        return Evaluation(error="ValueError: odd day")
    if which == 7:
        return Evaluation(requests=(Requested(run_key="a"), Requested(run_key="b"), Requested(run_key="a")))
    return Evaluation(requests=(Requested(),))


class Questions:
    """Where the concern puts its questions."""

    def __init__(self):
        self.waiting = {}

    def is_asked(self, id):
        return id in self.waiting

    def ask(self, id, location, subject, take, **question):
        self.waiting[id] = subject, take

    def answers(self):
        while self.waiting:
            id, (subject, take) = self.waiting.popitem()
            evaluation = answer_of(subject.scheduled_at)
            decision = decide_requests(evaluation.requests, ())
            planned = tuple(Planned(request, PLANNED) for request in decision.fresh)
            yield Answered(id, subject, take, 0.0, evaluation, decision if evaluation.requests else None, planned)


class World:
    """The daemon's concern with a clock, and runs that last as long as they are said to."""

    def __init__(self, workspace, state):
        self.log = DaemonLog(state, echo=False)
        self.watcher = Watcher()
        self.locations = Locations(workspace, self.log, self.watcher)
        self.locations.all["main"] = Location("main", evaluators=object())
        self.workspace = workspace
        self.store = LocalStore(None, state)

    def live(self, declared, spans, duration, asleep_after):
        """The ticks from START to END."""
        buffer = WriteBuffer(self.store)
        registry = Registry(self.store, self.locations, buffer, self.log)
        one = automation_lifecycle.turn_on(automation_lifecycle.first_seen("main", declared, START), START)
        registry.remembered, registry.declared, registry.version = {one.id: one}, {one.id: declared}, 1
        running = {}  # run: (end, whether it is one of those that go one after another)
        now = START
        questions = Questions()
        concern = Schedules(
            Collaborators(self.workspace, self.store, self.log, self.locations, buffer, registry, questions),
            lambda _id: Active(tuple(run for run, (end, _) in running.items() if end > now)),
            lambda run_id, by: running.pop(run_id),
        )
        found = []
        while now <= END:
            concern.turn(now)
            while questions.waiting:
                for answered in questions.answers():
                    answered.deliver(now)
                for run in buffer._runs:
                    serial = SERIALIZE_TAG in run.record.tags
                    start = max([now, *(end for end, other in running.values() if other and serial)])
                    running[run.record.run_id] = (asleep_after(start, duration), serial)
                found += buffer._ticks
                buffer.clear()
                concern.turn(now)
            found += buffer._ticks
            buffer.clear()
            now = min(at for _, at in concern.due_queue.upcoming())
            now = next((end for begin, end in spans if begin <= now < end), now)
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    path = tmp_path_factory.mktemp("world")
    (path / ".orchestrator.yaml").write_text("locations: [{name: main, file: pipelines.py}]")
    workspace = Workspace(load_settings(path / ".orchestrator.yaml"))
    world = World(workspace, workspace.state)
    yield world
    world.watcher.close()
    world.log.close()


def simulated(declared, spans, duration, window):
    one = automation_lifecycle.turn_on(automation_lifecycle.first_seen("main", declared, START), START)
    lane = SimulatedSchedule(one, declared, START, Asleep(spans), lambda _pipeline: duration)
    found = []
    until = START
    while until <= END:
        until = min(until + window, END) + timedelta(microseconds=1)
        questions, looks = lane.advance(until)
        said = {instant: said_of(answer_of(instant)) for _, instant in questions}
        found += lane.settle(looks, said, wants_all=True)
    return found, lane.totals


def said_of(evaluation):
    if evaluation.error:
        return Said(TickState.FAILURE, error=evaluation.error)
    fresh = decide_requests(evaluation.requests, ()).fresh
    status = TickState.SUCCESS if fresh else TickState.SKIPPED
    return Said(status, fresh, skip_reason=evaluation.skip_reason)


def told(ticks):
    """What counts of ticks: not what runs are called."""
    ticks = sorted(ticks, key=lambda tick: (tick.at, tick.scheduled_at, tick.status))
    return [
        (
            str(tick.status),
            tick.at,
            tick.scheduled_at,
            len(tick.run_ids),
            tick.run_keys,
            tick.skip_reason,
            (tick.occurrences, tick.until, bool(tick.about_run)),
            tick.error,
        )
        for tick in ticks
    ]


minutes = st.integers(0, 4 * 24 * 6).map(lambda tens: START + timedelta(minutes=10 * tens))
spans_of_sleep = st.lists(st.tuples(minutes, minutes), max_size=3).map(
    lambda pairs: Asleep(sorted(pair) for pair in pairs if pair[0] != pair[1]).spans
)
schedules = st.builds(
    ScheduleInfo,
    name=st.just("s"),
    pipeline=st.just("work"),
    cron=st.sampled_from(["0 * * * *", "*/20 * * * *", "30 2 * * *", "15 1,2,3 * * *", "0 9 * * 1-5", "@daily"]),
    timezone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
    catch_up=st.sampled_from(["latest", "all", "none", 1, 3]),
    catch_up_window=st.sampled_from([None, 60.0, 7200.0, 86400.0]),
    overlap=st.sampled_from(["skip", "allow", "buffer_one", "buffer_all", "cancel_other"]),
    jitter=st.sampled_from([0.0, 45.0, 900.0, 7200.0]),
)


WOKEN_ON_TIME = [(START + timedelta(hours=1), START + timedelta(hours=3, minutes=30))]


@pytest.mark.long
@example(  # the last of those that are made up is on time itself
    declared=ScheduleInfo(name="s", pipeline="work", cron="0 * * * *", catch_up="all"),
    spans=WOKEN_ON_TIME,
    duration=timedelta(minutes=90),
    window=timedelta(hours=24),
)
@settings(deadline=None, max_examples=150)
@given(
    declared=schedules,
    spans=spans_of_sleep,
    duration=st.sampled_from([0, 5, 60, 90, 60 * 26]).map(lambda minute: timedelta(minutes=minute)),
    window=st.sampled_from([1, 7, 24, 1000]).map(lambda hours: timedelta(hours=hours)),
)
def test_a_simulation_gives_the_ticks_that_the_daemon_does(world, declared, spans, duration, window):
    lived = world.live(declared, spans, duration, Asleep(spans).after)
    lived = [tick for tick in lived if tick.at <= END]
    found, totals = simulated(declared, spans, duration, window)
    assert told(found) == told(lived)
    assert totals.runs == sum(len(tick.run_ids) for tick in lived)


def test_what_simply_runs_is_counted_alike_whether_it_is_given_or_not():
    declared = ScheduleInfo(name="s", pipeline="work", cron="*/20 * * * *", catch_up="all")
    one = automation_lifecycle.turn_on(automation_lifecycle.first_seen("main", declared, START), START)
    totals = []
    for wants_all in (True, False):
        lane = SimulatedSchedule(one, declared, START, Asleep(), lambda _pipeline: timedelta(0))
        questions, looks = lane.advance(END)
        said = {instant: said_of(answer_of(instant)) for _, instant in questions}
        given_ticks = lane.settle(looks, said, wants_all=wants_all)
        totals.append(lane.totals)
        assert any(tick.status is TickState.SUCCESS for tick in given_ticks) == wants_all
    assert totals[0] == totals[1]
    assert totals[0].failed > 0
    assert totals[0].skipped > 0


def test_runs_that_are_unfinished_at_the_beginning_are_in_the_way():
    declared = ScheduleInfo(name="s", pipeline="work", cron="0 * * * *")
    one = automation_lifecycle.turn_on(automation_lifecycle.first_seen("main", declared, START), START)
    running = [Running(START + timedelta(hours=2), run_id="0123")]
    lane = SimulatedSchedule(one, declared, START, Asleep(), lambda _pipeline: timedelta(0), running)
    questions, looks = lane.advance(START + timedelta(hours=4))
    said = {instant: Said(TickState.SUCCESS, (Requested(),)) for _, instant in questions}
    ticks = lane.settle(looks, said, wants_all=True)
    assert [str(tick.status) for tick in ticks] == ["SKIPPED", "SKIPPED", "SUCCESS", "SUCCESS"]
    assert (ticks[0].skip_reason, ticks[0].about_run) == ("the previous run has not finished (overlap=skip)", "0123")
    assert replace(ticks[0], skip_reason=None).run_ids == ()
