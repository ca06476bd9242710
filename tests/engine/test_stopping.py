"""Ending attempts before their time: timeouts and cancellation."""

from orchestrator.engine.next_action import next_instant
from orchestrator.model.events import AttemptRevoked, RunCancelRequested, RunInterrupted, RunResumed
from tests.engine.lives import OWNER, Life, fails, plan


def canceled(life):
    return life.tell(RunCancelRequested(at=life.now, by="test"))


def test_an_attempt_is_stopped_at_its_timeout_and_not_before():
    life = Life(plan(a={"timeout": 10.0})).settle()
    assert (next_instant(life.run) - life.now).total_seconds() == 10
    assert life.wait(9.9).settle().told[-1] == "launch a/1"
    assert life.wait(0.1).settle().told[-1] == "stop a/1 timed out"
    assert next_instant(life.run) is None


def test_a_timeout_is_a_failure_that_names_it():
    life = Life(plan(a={"timeout": 10.0})).settle().wait(10).settle().die("a").settle()
    assert life.run.network.steps["a"].error.kind == "Timeout"
    assert "10 seconds" in life.run.network.steps["a"].error.message


def test_an_attempt_that_obeys_its_timeout_has_timed_out_all_the_same():
    life = Life(plan(a={"timeout": 10.0})).settle().wait(10).settle().end_as_asked("a").settle()
    assert life.run.network.steps["a"].error.kind == "Timeout"


def test_a_timeout_uses_up_a_retry():
    life = Life(plan(a={"timeout": 10.0, "retry": fails(1)})).settle().wait(10).settle().die("a").settle()
    assert life.told[-1] == "launch a/2"
    assert life.wait(10).settle().die("a").settle().states()["a"] == "FAILURE"


def test_an_attempt_that_ends_well_while_it_is_stopped_has_succeeded():
    life = Life(plan(a={"timeout": 10.0})).settle().wait(10).settle().succeed("a").settle()
    assert life.told[-1] == "finish SUCCESS"


def test_cancelling_stops_what_runs_and_starts_nothing():
    life = canceled(Life(plan(a={}, b={}, c={"one": "a"}), room=1).settle()).settle()
    assert life.told == ["launch a/1", "stop a/1 canceled"]
    life.end_as_asked("a").settle()
    assert life.told[-1] == "finish CANCELED"
    assert life.states() == {"a": "CANCELED", "b": "CANCELED", "c": "CANCELED"}


def test_a_step_that_succeeds_while_the_run_is_cancelled_has_succeeded():
    life = canceled(Life(plan(a={}, b={"one": "a"})).settle()).settle().succeed("a").settle()
    assert life.states() == {"a": "SUCCESS", "b": "CANCELED"}
    assert life.told[-1] == "finish CANCELED"


def test_a_step_that_fails_while_the_run_is_cancelled_is_not_tried_again():
    life = canceled(Life(plan(a={"retry": fails(5)})).settle()).settle().fail("a").settle()
    assert life.told[-1] == "finish CANCELED"


def test_cancelling_a_run_that_waits_for_a_retry_ends_it_at_once():
    life = Life(plan(a={"retry": fails(1, delay=3600)})).settle().fail("a").settle()
    assert canceled(life).settle().told[-1] == "finish CANCELED"


def test_cancelling_twice_changes_nothing():
    life = canceled(canceled(Life(plan(a={})).settle())).settle()
    assert life.told.count("stop a/1 canceled") == 1


def test_an_attempt_that_somebody_else_stopped_is_lost_and_comes_again():
    life = Life(plan(a={})).settle().end_as_asked("a").settle().wait(60).settle()
    assert life.told[-1] == "launch a/2"
    assert life.run.network.steps["a"].failures == 0


def test_an_attempt_that_never_began_is_launched_again_free_of_charge():
    life = Life(plan(a={"retry": fails(0, infrastructure_retries=0)})).settle()
    life.tell(AttemptRevoked(at=life.now, step="a", attempt=1, reason="never began")).settle()
    assert life.told[-1] == "launch a/2"


def test_an_interrupted_run_waits_to_be_resumed():
    life = Life(plan(a={}, b={"one": "a"})).settle()
    life.tell(RunInterrupted(at=life.now, reason="its owner is gone"))
    assert str(life.run.status) == "FAILURE"
    assert not life.run.is_finished
    assert life.ask() is None
    life.tell(RunResumed(at=life.now, owner=OWNER)).succeed("a").settle()
    assert life.told[-1] == "launch b/1"
