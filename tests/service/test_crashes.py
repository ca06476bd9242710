"""Killed with SIGKILL at every named point, a run is always brought to its end, and nothing is done twice.

The ledger is a file that steps append to: a witness that none of our own records can fool.
"""

from collections import Counter

import pytest

from orchestrator.crashpoints import POINTS

PIPELINE = """
    import os
    from orchestrator import RetryPolicy, pipeline, step

    def note(step):
        line = f"{step}/{os.environ['ORCHESTRATOR_ATTEMPT']}\\n"
        descriptor = os.open("ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, line.encode())
        os.close(descriptor)

    TWICE = RetryPolicy(max_retries=1)

    @step(retry=TWICE)
    def first() -> int:
        note("first")
        return 1

    @step(retry=TWICE)
    def second(value: int) -> int:
        note("second")
        return value + 1

    @step(retry=TWICE)
    def beside() -> int:
        note("beside")
        return 10

    @step(retry=TWICE)
    def last(left: int, right: int) -> int:
        note("last")
        assert (left, right) == (2, 10)
        return left + right

    @pipeline
    def chain():
        last(second(first()), beside())
"""
STEPS = ("first", "second", "beside", "last")
# Where there is no run yet, or it is not its first owner's life that ends: these have tests of their own.
SPECIAL = ("run.written", "run.resumed", "run.removed")
OWNER_POINTS = [
    point for point in POINTS if point.startswith(("run.", "attempt.", "journal.")) and point not in SPECIAL
]
STEP_POINTS = [point for point in POINTS if point.startswith("step.")]
INGEST_POINTS = [point for point in POINTS if point.startswith("ingest.")]
# The step's own work is done by then: it is not done again.
HARMLESS = {"step.done"}
# The step's own work has not begun by then.
BEFORE_THE_WORK = {"step.forked", "step.claimed", "step.torn", "step.working"}


@pytest.fixture
def chain(bench):
    return bench.write(PIPELINE)


def crash_at(bench, point, *command, nth=1):
    """Runs a command that is killed at a point; whether the point was reached."""
    once = bench.path / "reached"
    bench(*command, ORCHESTRATOR_CRASH_AT=f"{point}:{nth}@{once}")
    return once.exists()


@pytest.mark.parametrize("nth", [1, *(pytest.param(nth, marks=pytest.mark.long) for nth in (2, 3))])
@pytest.mark.parametrize("point", OWNER_POINTS)
@pytest.mark.sample(5)
def test_an_owner_killed_anywhere_leaves_a_run_that_can_be_resumed(chain, point, nth):
    if not crash_at(chain, point, "run", "chain", nth=nth):
        assert nth > 1, f"{point} is never reached"
        assert point.startswith("run."), f"{point} is reached less than {nth} times"
        return
    (run,) = chain.json("runs", "list")
    if run["status"] not in ("SUCCESS", "FAILURE"):
        chain("runs", "resume", "last").ok()
    shown = chain.json("runs", "show", "last")
    assert shown["status"] == "SUCCESS"
    assert {step["key"]: step["status"] for step in shown["steps"]} == dict.fromkeys(STEPS, "SUCCESS")
    assert Counter(line.partition("/")[0] for line in chain.ledger()) == dict.fromkeys(STEPS, 1)
    chain.here("state", "check").ok()


@pytest.mark.parametrize("point", STEP_POINTS)
@pytest.mark.sample(4)
def test_a_step_killed_anywhere_is_a_failed_attempt_and_its_siblings_finish(chain, point):
    assert crash_at(chain, point, "run", "chain"), f"{point} is never reached"
    shown = chain.json("runs", "show", "last")
    assert shown["status"] == "SUCCESS", chain.events()
    attempts = sum(step["attempts"] for step in shown["steps"])
    assert attempts == len(STEPS) + (point not in HARMLESS)
    ledger = Counter(chain.ledger())
    assert set(ledger.values()) == {1}, "an attempt was made twice"
    assert len(ledger) == attempts - (point in BEFORE_THE_WORK)
    chain.here("state", "check").ok()


@pytest.mark.parametrize("point", STEP_POINTS)
@pytest.mark.sample(4)
def test_how_a_step_died_is_in_the_journal(chain, point):
    assert crash_at(chain, point, "run", "chain"), f"{point} is never reached"
    if point == "step.forked":  # it has not begun, so that it costs the step none of its own retries
        (lost,) = (event for event in chain.events() if event["event"] == "attempt_lost")
        assert "was killed by SIGKILL" in lost["reason"]
        assert "before the step began" in lost["reason"]
        return
    died = [event for event in chain.events() if event["event"] == "attempt_died"]
    assert len(died) == (point not in HARMLESS), chain.events()
    assert all(event["error"]["signal"] == 9 for event in died)


@pytest.mark.parametrize("point", INGEST_POINTS)
@pytest.mark.sample(1)
def test_a_command_killed_while_it_writes_the_index_loses_and_doubles_nothing(chain, point):
    chain("run", "chain").ok()
    journal = chain.events()
    chain("run", "chain").ok()
    assert crash_at(chain, point, "runs", "list"), f"{point} is never reached"
    assert [run["status"] for run in chain.json("runs", "list")] == ["SUCCESS", "SUCCESS"]
    counted = chain.json(
        "sql", "SELECT run_id, count(*) AS n, count(DISTINCT seq) AS distinct_n FROM events GROUP BY 1"
    )
    assert all(row["n"] == row["distinct_n"] for row in counted)
    assert len(journal) in [row["n"] for row in counted]
    chain.here("state", "check").ok()


def test_a_run_whose_creator_was_killed_can_be_started(chain):
    assert crash_at(chain, "run.created", "run", "chain")
    assert chain.ledger() == []
    chain("runs", "resume", "last").ok()
    assert len(chain.ledger()) == len(STEPS)


@pytest.mark.parametrize("point", ["run.created", "run.started", "journal.torn"])
@pytest.mark.parametrize("is_marked", [False, True], ids=["at once", "after a daemon has marked it"])
@pytest.mark.sample(2)
def test_what_a_run_need_not_do_survives_the_death_of_its_creator(chain, point, is_marked):
    """Steps that were not selected, and those that succeeded in the run that is continued."""
    assert crash_at(chain, point, "run", "chain", "--select", "beside")
    if is_marked:
        chain("daemon", "tick").ok()
    chain("runs", "resume", "last").ok()
    assert chain.ledger() == ["beside/1"]
    shown = chain.json("runs", "show", "last")
    assert shown["status"] == "SUCCESS"
    assert shown["started_at"] is not None
    chain.here("state", "check").ok()


def test_a_run_killed_before_its_files_were_in_place_leaves_no_trace(chain):
    assert crash_at(chain, "run.written", "run", "chain")
    assert len(list((chain.state / "runs").iterdir())) == 1
    assert chain.json("runs", "list") == []
    assert list((chain.state / "runs").iterdir()) == []
    assert list((chain.state / "pending").iterdir()) == []
    chain.here("state", "check").ok()


@pytest.mark.parametrize("before", ["attempt.journalled", "attempt.sent", "attempt.observed"])
@pytest.mark.sample(1)
def test_an_owner_killed_while_it_takes_a_run_over_leaves_it_to_the_next(chain, before):
    assert crash_at(chain, before, "run", "chain")
    (chain.path / "reached").unlink()
    assert crash_at(chain, "run.resumed", "runs", "resume", "last")
    chain("runs", "resume", "last").ok()
    assert Counter(line.partition("/")[0] for line in chain.ledger()) == dict.fromkeys(STEPS, 1)
    chain.here("state", "check").ok()


def test_a_run_half_deleted_can_be_deleted_again(chain):
    chain("run", "chain").ok()
    assert crash_at(chain, "run.removed", "runs", "delete", "last", "--yes")
    chain.here("runs", "delete", "last", "--yes").ok()
    assert chain.json("runs", "list") == []
    chain.here("state", "check").ok()


def test_what_was_killed_before_it_existed_leaves_no_trace(chain):
    chain("run", "chain").ok()
    (chain.state / "pending" / "0123456789ab").touch()  # the mark of a run whose creator died before creating it
    assert len(chain.json("runs", "list")) == 1
    assert not (chain.state / "pending" / "0123456789ab").exists()
