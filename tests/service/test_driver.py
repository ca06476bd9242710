"""What a driver writes down, and in which order it says that things happened."""

from datetime import timedelta

import msgspec
import pytest

from orchestrator import clock
from orchestrator.attempts.observation import Observation, Phase
from orchestrator.errors import RunDamaged, StoreError
from orchestrator.model import events as ev
from orchestrator.model.error_info import ErrorInfo
from orchestrator.planning.plan import encode_plan
from orchestrator.runlog.run_log import RunLog
from orchestrator.service.driver import OwnedRun, RunDriver
from orchestrator.state_dir import prepare
from tests.catalog.journals import a_run
from tests.engine.lives import plan


class Nothing:
    """An executor that starts nothing: what is observed is told by the test."""

    name = "nothing"

    def launch(self, attempt):
        return attempt.handle

    def adopt(self, attempt, seen):
        return attempt.handle

    def cancel(self, handle, grace):
        pass


@pytest.fixture
def run_log(tmp_path):
    state = prepare(tmp_path / "state")
    return RunLog(state, a_run(state, plan=msgspec.Raw(encode_plan(plan(a={}, b={"one": "a"})))).run_id)


@pytest.fixture
def driver(run_log):
    driver = RunDriver(OwnedRun(run_log, run_log.record(), run_log.own()), lambda _name: Nothing())
    driver.begin("foreground")
    yield driver
    driver.abandon()


def test_a_decision_is_stamped_no_earlier_than_what_it_follows_from(driver, run_log):
    """The instant of a turn is taken before its observations: under load they are later than it."""
    now = clock.now()
    driver.advance(now, 1)
    common = {"step": "a", "attempt": 1}
    failed = ev.AttemptFailed(
        at=now + timedelta(seconds=1), n=1, seconds=0.5, error=ErrorInfo("E", "no"), allow_retries=False, **common
    )
    started = ev.AttemptStarted(at=now + timedelta(milliseconds=500), n=0, pid=1, host="here", **common)
    driver.observe("a", 1, Observation(Phase.FAILED, (started, failed)))
    driver.advance(now, 1)
    events = run_log.events()
    assert [ev.kind_of(event) for event in events][-3:] == ["step_failed", "step_abandoned", "run_finished"]
    stamps = [event.at for event in events]
    assert stamps == sorted(stamps)


def test_an_attempt_whose_clock_is_ahead_does_not_move_the_clock_of_its_run(driver, run_log):
    """A step may run on another machine, whose clock is wrong."""
    now = clock.now()
    driver.advance(now, 1)
    ahead = now + timedelta(days=900)
    failed = ev.AttemptFailed(
        at=ahead, step="a", attempt=1, n=0, seconds=0.5, error=ErrorInfo("E", "no"), allow_retries=False
    )
    driver.observe("a", 1, Observation(Phase.FAILED, (failed,)))
    driver.advance(now, 1)
    *_, finished = run_log.events()
    assert (ev.kind_of(finished), finished.at) == ("run_finished", now)


def test_a_run_that_is_removed_while_it_is_driven_is_not_made_again(driver, run_log):
    import shutil

    driver.advance(clock.now(), 1)
    shutil.rmtree(run_log.directory)
    with pytest.raises(RunDamaged, match="removed while it ran"):
        driver.advance(clock.now(), 1)
    assert not run_log.exists()


def test_what_a_launched_attempt_waits_for_is_recorded_when_it_changes(driver, run_log):
    driver.advance(clock.now(), 1)
    for reason in ("", "no node", "no node", "pulling", ""):
        driver.observe("a", 1, Observation(Phase.PENDING, reason=reason))
    assert driver.progress.network.steps["a"].waits_for == "pulling"
    started = ev.AttemptStarted(at=clock.now(), step="a", attempt=1, n=0, pid=1, host="here")
    driver.observe("a", 1, Observation(Phase.RUNNING, (started,)))
    assert driver.progress.network.steps["a"].waits_for == ""
    driver.close()
    waits = [event.reason for event in run_log.events() if isinstance(event, ev.AttemptWaiting)]
    assert waits == ["no node", "pulling"]


class Keeps(Nothing):
    """An executor that keeps outcomes until they are recorded; `journal` is read when it hears of that."""

    def __init__(self, run_log):
        self.run_log, self.heard = run_log, []

    def recorded(self, handle):
        in_journal = [ev.kind_of(event) for event in self.run_log.events() if getattr(event, "step", "") == "a"]
        self.heard.append((handle.partition("/")[2], in_journal[-1]))


def test_an_executor_hears_of_an_end_once_it_is_in_the_journal_and_not_while_the_disk_is_full(run_log, monkeypatch):
    keeps = Keeps(run_log)
    driver = RunDriver(OwnedRun(run_log, run_log.record(), run_log.own()), lambda _name: keeps)
    driver.begin("foreground")
    driver.advance(clock.now(), 1)
    driver.observe("a", 1, Observation(Phase.FAILED, error=ErrorInfo("E", "no")))
    assert keeps.heard == []
    append = driver._journal.append
    monkeypatch.setattr(driver._journal, "append", lambda _lines: full_disk())
    with pytest.raises(StoreError):
        driver.advance(clock.now(), 1)
    assert keeps.heard == []
    monkeypatch.setattr(driver._journal, "append", append)
    driver.advance(clock.now(), 1)
    driver.advance(clock.now(), 1)
    assert keeps.heard == [("a/1", "attempt_died")]
    driver.abandon()


def full_disk():
    raise StoreError("The disk is full.")
