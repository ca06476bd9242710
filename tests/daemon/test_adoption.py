"""What becomes of runs whose owner dies: the daemon's, and those of a terminal.

The ledger tells which attempt ran in which process, so that an attempt made twice cannot hide.
"""

import os
import signal

import pytest

from tests.daemon.held import HELD, begun, ended, enqueue, go, pid_of, statuses


@pytest.fixture
def held(bench, daemon):
    bench.write(HELD)
    return daemon


def test_steps_that_run_while_the_daemon_is_killed_are_adopted_and_not_repeated(bench, held):
    names = ["a", "b", "c"]
    ids = enqueue(bench, *names, pipeline="chain")
    held.start()
    held.until(lambda: sorted(begun(bench)) == names, "the steps")
    pids = {what: pid_of(bench, what) for what in names}
    held.kill()
    go(bench, "a")
    held.until(lambda: ended(bench) == ["a"], "the end of a step while there is no daemon")
    held.start()
    held.until(lambda: statuses(bench)[ids[0]] == "SUCCESS", "the run of the step that ended meanwhile")
    held.kill()
    held.start()
    go(bench)
    held.until(lambda: set(statuses(bench).values()) == {"SUCCESS"}, "the end of all")
    held.stop()
    expected = [f"{what}:{did}:1:{pids[what]}" for what in names for did in ("begin", "end")]
    assert sorted(line for line in bench.ledger() if "after" not in line) == sorted(expected)
    assert bench.ledger().count("a:after") == 1
    owners = [event["owner"]["pid"] for event in bench.events(ids[1]) if event["event"].startswith("run_resumed")]
    assert len(owners) >= 2, "each daemon that took it over says so"


def test_a_step_that_dies_while_there_is_no_daemon_is_a_failed_attempt_with_its_signal(bench, held):
    (run,) = enqueue(bench, "a")
    held.start()
    held.until(lambda: begun(bench) == ["a"], "the step")
    held.kill()
    os.kill(pid_of(bench, "a"), signal.SIGKILL)
    attempt = bench.state / "runs" / run / "steps" / "hold" / "1"
    held.until(lambda: (attempt / "exit.json").exists(), "its parent, which stays to see it end")
    held.start()
    held.until(lambda: statuses(bench)[run] == "FAILURE", "the end of the run")
    held.stop()
    (died,) = [event for event in bench.events(run) if event["event"] == "attempt_died"]
    assert died["error"]["signal"] == signal.SIGKILL


@pytest.mark.long
def test_after_a_reboot_lost_attempts_are_retried_from_their_own_budget(bench, held):
    (run,) = enqueue(bench, "a", pipeline="chain")
    held.start()
    for attempt in (1, 2):
        held.until(lambda attempt=attempt: len(begun(bench)) == attempt, f"attempt {attempt}")
        held.kill()
        for pid in bench.processes():
            os.kill(pid, signal.SIGKILL)
        held.until(lambda: not bench.processes(), "the death of everything")
        held.start()
    held.until(lambda: len(begun(bench)) == 3, "the third attempt")
    go(bench)
    held.until(lambda: statuses(bench)[run] == "SUCCESS", "the end, without a retry policy of the user's")
    held.stop()
    events = bench.events(run)
    budgets = [event["budget"] for event in events if event["event"] == "step_retry_scheduled"]
    assert budgets == ["infrastructure", "infrastructure"]
    assert [line.split(":")[2] for line in bench.ledger() if ":begin:" in line] == ["1", "2", "3"]


@pytest.mark.sample(1)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_a_run_whose_terminal_died_is_marked_and_can_be_resumed(bench, held, number):
    held.start()
    process = bench.start("run", "chain", "--set", "steps.hold.config.what=mine")
    held.until(lambda: begun(bench) == ["mine"], "the step")
    process.send_signal(number)
    process.wait()
    pid = pid_of(bench, "mine")
    held.until(lambda: bench.json("runs", "show", "last")["status"] == "FAILURE", "the mark")
    shown = bench.here("runs", "show", "last").out
    assert f"its owner, process {process.pid} in a terminal, is gone" in shown
    assert "orchestrator runs resume" in shown
    go(bench)
    bench("runs", "resume", "last").ok()
    assert bench.json("runs", "show", "last")["status"] == "SUCCESS"
    assert bench.ledger() == [f"mine:begin:1:{pid}", f"mine:end:1:{pid}", "mine:after"]
    held.stop()
    bench.here("state", "check").ok()


def test_a_run_is_marked_as_soon_as_its_terminal_has_died(bench, ticking):
    bench.write(HELD)
    with ticking as it:
        it.at("2019-02-27T12:00:00Z")
        process = bench.start("run", "held")
        bench.wait_until(lambda: begun(bench), "the step")
        it.at("2019-02-27T12:00:02Z")
        assert "FAILURE" not in [run.status for run in it.runs()]
        process.kill()
        process.wait()
        it.at("2019-02-27T12:00:04Z")
        assert [run.status for run in it.runs()] == ["FAILURE"]
    go(bench)


@pytest.mark.long
def test_a_run_whose_terminal_died_before_its_first_step_is_marked_too(bench, held):
    once = bench.path / "reached"
    bench("run", "held", ORCHESTRATOR_CRASH_AT=f"run.created:1@{once}")
    assert once.exists()
    assert bench.json("runs", "show", "last")["status"] == "STARTING"
    held.start()
    held.until(lambda: bench.json("runs", "show", "last")["status"] == "FAILURE", "the mark")
    go(bench)
    bench("runs", "resume", "last").ok()
    assert bench.json("runs", "show", "last")["status"] == "SUCCESS"
    held.stop()


@pytest.mark.long
def test_a_run_in_flight_waits_for_a_location_that_is_broken_and_loses_no_attempt(bench, held):
    (run,) = enqueue(bench, "a", pipeline="chain")
    held.start()
    held.until(lambda: begun(bench) == ["a"], "the first step")
    held.stop()
    bench.write("import nonsense_that_is_not_there")
    go(bench)
    held.until(lambda: ended(bench) == ["a"], "the end of the first step")
    held.start()
    held.until(lambda: bench.here("status").out.count("nonsense_that_is_not_there"), "the broken location")
    succeeded = lambda: any(event["event"] == "attempt_succeeded" for event in bench.events(run))  # noqa: E731
    held.until(succeeded, "the first step in the journal")
    bench.write(HELD)
    held.until(lambda: statuses(bench)[run] == "SUCCESS", "the end")
    held.stop()
    events = [event["event"] for event in bench.events(run)]
    assert events.count("attempt_launched") == 2
    assert "attempt_lost" not in events
