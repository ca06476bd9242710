"""Cancelling runs in every state, and stopping the daemon in every way."""

import os
import signal

import pytest

from tests.daemon.held import HELD, begun, ended, enqueue, go, pid_of, statuses

STUBBORN = (
    HELD
    + """
    import signal

    @step(resources={"torn_down"})
    def slow(config: What) -> None:
        note(config.what, "begin", os.environ["ORCHESTRATOR_ATTEMPT"], os.getpid())
        wait_for(config.what)

    @pipeline(modes=[Mode("default", resources={"torn_down": torn_down})])
    def careful():
        slow.alias("hold")()

    @step
    def deaf(what: str) -> None:
        try:
            note("deaf", "begin", os.environ["ORCHESTRATOR_ATTEMPT"], os.getpid())
            wait_for("never")
        finally:
            wait_for("deaf")

    @pipeline
    def canceling():
        deaf(hold())
"""
)


@pytest.fixture
def held(bench, daemon):
    bench.write(STUBBORN.replace("pipeline, resource", "Mode, pipeline, resource"))
    return daemon


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_run_is_canceled_in_any_state_and_refused_when_it_is_over(bench, held):
    bench.settings("locations: [{name: main, file: pipelines.py}]\nrun_queue: {max_concurrent_runs: 1}")
    started, queued, never = enqueue(bench, "a", "b", "c", pipeline="canceling")
    assert bench("runs", "cancel", never).ok().out == f"Canceled run {never}, which was waiting in the queue.\n"
    held.start()
    held.until(lambda: begun(bench) == ["a"], "the first run")
    assert "which was waiting in the queue" in bench("runs", "cancel", queued).ok().out
    waited = bench("runs", "wait", queued)
    assert (waited.code, waited.out.split()) == (130, [queued, "CANCELED"])
    shown = bench.here("runs", "show", queued).ok().out
    assert f"run {queued}  canceling  CANCELED" in shown
    assert "It never began: canceled while it was queued." in shown
    assert "never began: canceled while it was queued" in bench.here("runs", "logs", queued).err
    again = bench("runs", "cancel", queued)
    assert (again.code, again.err) == (4, f"error: Run {queued} is over: CANCELED.\n")
    go(bench, "a")
    held.until(lambda: begun(bench) == ["a", "deaf"], "the second step")
    assert bench("runs", "cancel", started).ok().out == f"Asked run {started} to stop.\n"
    held.until(lambda: statuses(bench)[started] == "CANCELING", "CANCELING")
    assert bench("runs", "cancel", started).ok().out == f"Asked run {started} to stop.\n"
    go(bench, "deaf")
    held.until(lambda: statuses(bench)[started] == "CANCELED", "CANCELED")
    over = bench("runs", "cancel", started)
    assert (over.code, over.err) == (4, f"error: Run {started} is over: CANCELED.\n")
    held.stop()
    requests = [event for event in bench.events(started) if event["event"] == "run_cancel_requested"]
    assert len(requests) == 1
    assert set(statuses(bench).values()) == {"CANCELED"}
    assert bench.json("sql", "SELECT count(*) AS n FROM queue") == [{"n": 0}]
    bench.here("state", "check").ok()


@pytest.mark.parametrize("point", ["queue.taken", "queue.created", "run.started"])
@pytest.mark.sample(1)
def test_a_run_that_was_just_taken_when_the_daemon_died_can_be_canceled(bench, held, point):
    (run,) = enqueue(bench, "a")
    held.start(ORCHESTRATOR_CRASH_AT=f"{point}:1@{bench.path / 'reached'}")
    held.process.wait(timeout=30)
    assert (bench.path / "reached").exists(), f"{point} is never reached"
    assert bench.json("runs", "show", run)["status"] in ("STARTING", "STARTED")
    bench("runs", "cancel", run).ok()
    assert bench.json("runs", "show", run)["status"] == "CANCELED"
    go(bench)
    (after,) = enqueue(bench, "b")
    held.start()
    held.until(lambda: statuses(bench)[after] == "SUCCESS", "the next run")
    held.stop()
    assert statuses(bench)[run] == "CANCELED"
    assert begun(bench) == ["b"]


def test_a_run_whose_owner_is_gone_is_canceled_with_its_step(bench, held):
    enqueue(bench, "x", pipeline="careful")
    held.start()
    held.until(lambda: begun(bench) == ["x"], "the step")
    held.kill()
    canceled = bench("runs", "cancel", "last").ok()
    assert "has no owner process" in canceled.err
    assert not is_alive(pid_of(bench, "x"))
    assert bench.json("runs", "show", "last")["status"] == "CANCELED"
    assert bench.ledger()[-1] == "torn:down"


def test_a_graceful_stop_leaves_steps_alive_and_the_next_daemon_adopts_them(bench, held):
    ids = enqueue(bench, "a", "b", pipeline="chain")
    held.start()
    held.until(lambda: set(begun(bench)) == {"a", "b"}, "both steps")
    pids = [pid_of(bench, what) for what in "ab"]
    held.stop()
    assert all(map(is_alive, pids))
    assert "has no owner" in bench.here("status").out
    go(bench, "a")
    held.until(lambda: ended(bench) == ["a"], "the end of a step while there is no daemon")
    held.start()
    held.until(lambda: statuses(bench)[ids[0]] == "SUCCESS", "the end of its run")
    go(bench, "b")
    held.until(lambda: statuses(bench)[ids[1]] == "SUCCESS", "the end of the other")
    held.stop()
    expected = [f"{what}:{did}:1:{pid}" for what, pid in zip("ab", pids, strict=True) for did in ("begin", "end")]
    assert sorted(line for line in bench.ledger() if "after" not in line) == sorted(expected)


def test_draining_waits_for_runs_in_flight_and_starts_no_more(bench, held):
    bench.settings("locations: [{name: main, file: pipelines.py}]\nrun_queue: {max_concurrent_runs: 1}")
    first, second = enqueue(bench, "a", "b", pipeline="chain")
    held.start()
    held.until(lambda: begun(bench) == ["a"], "the first run")
    stopping = bench.start("daemon", "stop", "--drain")
    reason = "the daemon is stopping, and starts no more runs"
    held.until(lambda: bench.json("runs", "show", second)["waits_for"] == reason, "the reason")
    go(bench)
    assert stopping.wait(timeout=30) == 0
    assert held.process.wait(timeout=30) == 0
    assert statuses(bench) == {first: "SUCCESS", second: "QUEUED"}
    assert begun(bench) == ["a"]
    assert "after" in bench.ledger()[-1], "the whole run, not only the step"


def test_canceling_everything_tears_down_and_leaves_the_queue_alone(bench, held):
    bench.settings("locations: [{name: main, file: pipelines.py}]\nrun_queue: {max_concurrent_runs: 2}")
    first = enqueue(bench, "x", "x", pipeline="careful")
    (queued,) = enqueue(bench, "later")
    held.start()
    held.until(lambda: len(begun(bench)) == 2, "both runs")
    pids = {int(line.split(":")[3]) for line in bench.ledger() if ":begin:" in line}
    bench("daemon", "stop", "--cancel").ok()
    assert held.process.wait(timeout=30) == 0
    assert not any(map(is_alive, pids))
    assert bench.ledger().count("torn:down") == 2
    assert statuses(bench) == {**dict.fromkeys(first, "CANCELED"), queued: "QUEUED"}
    bench.here("state", "check").ok()


def test_a_signal_stops_gracefully_as_well(bench, held):
    enqueue(bench, "a")
    held.start()
    held.until(lambda: begun(bench) == ["a"], "the step")
    held.process.send_signal(signal.SIGTERM)
    assert held.process.wait(timeout=30) == 0
    assert is_alive(pid_of(bench, "a"))
    assert not (bench.state / "daemon.sock").exists()
