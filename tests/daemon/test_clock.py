"""A clock that is set while the daemon runs, or wrong when it starts: nothing is lost, nothing comes twice."""

import signal
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator import clock
from orchestrator.catalog.session import hold_store
from orchestrator.catalog.ticks import TickBatch, commit_ticks, list_ticks
from orchestrator.daemon import loop as loops
from orchestrator.daemon.log import DaemonLog
from orchestrator.daemon.loop import Loop
from orchestrator.daemon.retention import INTERVAL, PROBATION_S, Retention
from orchestrator.ids import new_run_id
from orchestrator.model.filters import TickFilter
from orchestrator.model.states import TickState
from orchestrator.model.tick import Tick
from orchestrator.service.workspace import Workspace

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)


class Clocks:
    """The clock on the wall and the one that is never set."""

    def __init__(self, monkeypatch):
        self.now, self.steady = NOW, 1000.0
        monkeypatch.setattr(clock, "now", lambda: self.now)
        monkeypatch.setattr(clock, "monotonic", lambda: self.steady)

    def goes_on(self, **time):
        """Time passes."""
        self.now += timedelta(**time)
        self.steady += timedelta(**time).total_seconds()

    def is_set(self, **by):
        """The clock on the wall is set, or the machine sleeps."""
        self.now += timedelta(**by)


@pytest.fixture
def clocks(monkeypatch):
    return Clocks(monkeypatch)


class History:
    """A daemon's retention over a real store with one tick a day."""

    def __init__(self, bench, clocks):
        bench.settings("{locations: [], retention: {skipped_ticks: 7d, ticks: 90d, runs: 180d}}")
        self.workspace = Workspace.find(str(bench.path / ".orchestrator.yaml"))
        self.clocks = clocks
        self._held = hold_store(self.workspace.state)
        self.store = self._held.__enter__()
        days = [NOW - timedelta(days=day) for day in range(100)]
        self.store(commit_ticks, TickBatch([_tick(at) for at in days], [], []))
        self.start()

    def start(self):
        """Another life of the daemon."""
        self.retention = Retention(self.workspace, self.store, DaemonLog(self.workspace.state, echo=False))
        self.retention.turn(self.clocks.now)

    def after(self, **time):
        """How many ticks are left after that much time, in which the concern got its turns."""
        end = self.clocks.now + timedelta(**time)
        while self.clocks.now < end:
            self.clocks.goes_on(minutes=5)
            self.retention.turn(self.clocks.now)
        return len(self.store(list_ticks, TickFilter(limit=1000)))

    def close(self):
        self._held.__exit__(None, None, None)


@pytest.fixture
def history(bench, clocks):
    history = History(bench, clocks)
    yield history
    history.close()


def _tick(at):
    return Tick(tick_id=new_run_id(), name="main/s", kind="sensor", status=TickState.SUCCESS, at=at)


class TestRetention:
    def test_what_is_old_is_removed_soon_on_a_clock_that_goes_on(self, history):
        assert history.after(minutes=20) == 90

    def test_a_clock_that_is_years_ahead_for_a_while_removes_nothing(self, history, clocks):
        assert history.after(minutes=20) == 90
        clocks.is_set(days=3650)
        assert history.after(minutes=50) == 90
        clocks.is_set(days=-3650)
        assert history.after(minutes=120) == 90

    def test_nor_does_one_that_is_years_ahead_when_the_daemon_starts(self, history, clocks):
        clocks.is_set(days=3650)
        history.start()
        assert history.after(minutes=50) == 100

    def test_one_that_stays_ahead_is_believed(self, history, clocks):
        clocks.is_set(days=30)
        history.start()
        assert history.after(seconds=PROBATION_S + 2 * INTERVAL.total_seconds()) == 60

    @pytest.mark.parametrize(("by", "left"), [({"hours": 9}, 90), ({"hours": -9}, 91), ({"days": -3650}, 100)])
    def test_after_a_night_asleep_or_on_a_clock_set_back_it_goes_by_the_clock(self, history, clocks, by, left):
        clocks.is_set(**by)
        assert history.after(minutes=20) == left


class TestTheLoop:
    @pytest.fixture
    def log(self, bench):
        bench.settings("locations: []")
        state = Workspace.find(str(bench.path / ".orchestrator.yaml")).state
        self.file = state.daemon_log
        return DaemonLog(state, echo=False)

    def said(self):
        return self.file.read_text() if self.file.exists() else ""

    @pytest.mark.parametrize(
        ("passes", "set_by", "said"),
        [
            pytest.param({"seconds": 3}, {}, "", id="nothing"),
            pytest.param({"seconds": 3}, {"seconds": 1}, "", id="a-small-correction"),
            pytest.param({"seconds": 3}, {"hours": 2}, "the clock went forwards by 2h 00m", id="asleep"),
            pytest.param({"seconds": 3}, {"hours": -2}, "the clock went backwards by 2h 00m", id="set-back"),
            pytest.param({"seconds": 60}, {}, "this process stood still for 55.0s", id="stopped"),
        ],
    )
    def test_a_jump_is_noted_in_the_log(self, clocks, log, passes, set_by, said):
        loop = Loop([], lambda: (), lambda: None, log)
        loop.turn()
        clocks.goes_on(**passes)
        clocks.is_set(**set_by)
        loop.turn()
        assert said in self.said()
        assert bool(said) == bool(self.said())

    def test_a_clock_set_back_during_a_turn_does_not_make_the_loop_wait_for_it(self, clocks, log, monkeypatch):
        monkeypatch.setattr(loops, "LONGEST_WAIT", timedelta(milliseconds=20))
        loop = Loop([], lambda: (), lambda: None, log)
        turns = []

        def after_turn(_now):
            turns.append(clocks.now)
            clocks.is_set(days=-3650)
            loop.is_stopping = len(turns) == 3

        loop.run(after_turn)
        assert len(turns) == 3


@pytest.mark.long
def test_a_daemon_that_is_suspended_for_a_while_notes_it_and_does_everything_once(daemon):
    daemon.drop("a")
    daemon.start().until_ledger("a")
    daemon.process.send_signal(signal.SIGSTOP)
    daemon.drop("b", "c")
    stopped_at = clock.monotonic()
    daemon.until(lambda: clock.monotonic() - stopped_at > 8, "the end of the pause")  # longer than any wait of the loop
    daemon.process.send_signal(signal.SIGCONT)
    daemon.until_ledger("a", "b", "c")
    daemon.stop()
    assert Counter(daemon.bench.ledger()) == {"a": 1, "b": 1, "c": 1}
    assert "this process stood still for" in (daemon.bench.state / "daemon.log").read_text()


class TestASchedule:
    """A real daemon's concerns on a clock that is set by hand."""

    SOURCE = """
        from orchestrator import pipeline, schedule, step

        @step
        def note() -> None: ...

        @pipeline
        def work():
            note()

        @schedule(cron="0 * * * *", pipeline=work, catch_up="all")
        def it(context): ...
    """

    @pytest.fixture
    def it(self, bench, ticking):
        bench.write(self.SOURCE)
        with ticking:
            yield ticking.at("2026-01-10T11:30:00Z").turn_on("it").at("2026-01-10T12:00:01Z")

    def said(self, it):
        return (it.bench.state / "daemon.log").read_text()

    @pytest.mark.long
    def test_goes_on_after_a_minute_in_which_the_clock_was_years_ahead(self, it):
        it.at("2036-06-01T00:30:00Z")
        ahead = len(it.runs())
        it.at("2026-01-10T12:05:00Z")
        assert "the clock went backwards" in self.said(it)
        assert "the clock was set: occurrences are counted from now" in self.said(it)
        it.at("2026-01-10T13:00:00Z").at("2026-01-10T14:00:00Z")
        assert [instant for instant in it.instants("it") if instant < "02"] == [
            f"01-10 {hour}:00" for hour in (12, 13, 14)
        ]
        assert len(it.runs()) == ahead + 2
        assert ahead <= 1 + 24, "no stampede: what is outside the window is missed"

    def test_is_not_flooded_by_a_clock_that_begins_years_behind(self, it):
        it.__exit__()
        it.now = datetime(1970, 1, 1, 0, 0, 10, tzinfo=UTC)
        it.__enter__().at("1970-01-01T00:01:00Z").at("2026-01-10T14:00:00Z")
        assert it.instants("it") == ["01-10 12:00", "01-10 13:00", "01-10 14:00"]
        assert it.outcomes("it") == ["SUCCESS"] * 3

    def test_tries_a_lost_evaluation_again_soon_although_the_clock_was_set_back(self, it):
        it.edit(self.SOURCE.replace("...", "import os; os._exit(1)"), at="2026-01-10T12:30:00Z")
        it.at("2026-01-10T13:00:00Z")
        assert it.outcomes("it")[-1] == "FAILURE"
        it.at("2026-01-10T11:00:00Z")
        assert it.upcoming("it") <= it.now + timedelta(seconds=16)
