"""A daemon killed with SIGKILL in every gap does everything it was asked to exactly once, after it is started again.

The ledger is a file that steps append to: a witness that none of our own records can fool.
"""

from collections import Counter

import pytest

from orchestrator.crashpoints import POINTS

# Only a run that was begun before can be resumed; only deleting removes.
SPECIAL = ("run.resumed", "run.removed")
DAEMON_POINTS = [point for point in POINTS if point.startswith(("tick.", "queue."))]
RUN_POINTS = [point for point in POINTS if point.startswith(("run.", "attempt.", "ingest.")) and point not in SPECIAL]


def killed_at(daemon, point, nth=1, with_signal="SIGKILL"):
    """Starts the daemon and waits until it has ended itself."""
    once = daemon.path / "reached"
    once.unlink(missing_ok=True)
    daemon.start(ORCHESTRATOR_CRASH_AT=f"{point}:{nth}@{once}", ORCHESTRATOR_CRASH_SIGNAL=with_signal)
    daemon.process.wait(timeout=20)
    assert once.exists(), f"{point} is never reached: {daemon.process.communicate()}"


@pytest.mark.parametrize("point", [point for point in (*DAEMON_POINTS, *RUN_POINTS) if point != "tick.due"])
@pytest.mark.sample(5)
def test_every_key_is_run_once_whatever_the_daemon_was_doing_when_it_was_killed(daemon, point):
    daemon.drop("a", "b", "c")
    killed_at(daemon, point, nth=1)
    daemon.drop("d")
    daemon.start().until_ledger("a", "b", "c", "d")
    daemon.until(lambda: all(run["status"] == "SUCCESS" for run in daemon.bench.json("runs", "list")), "all ended well")
    daemon.stop()
    assert Counter(daemon.bench.ledger()) == dict.fromkeys("abcd", 1)
    assert len(daemon.bench.json("runs", "list")) == 4
    daemon.bench.here("state", "check").ok()


@pytest.mark.long
@pytest.mark.parametrize("nth", [1, pytest.param(3, marks=pytest.mark.chaos)])
@pytest.mark.parametrize("point", DAEMON_POINTS)
def test_every_occurrence_is_run_once_whatever_the_daemon_was_doing_when_it_was_killed(daemon, point, nth):
    daemon.bench.here("schedule", "start", "minutely").ok()
    due = daemon.turn_back("minutely", 4)
    killed_at(daemon, point, nth)
    daemon.start().until_ledger(*due)
    # A minute may begin at any moment: what has been asked for by now is waited for.
    daemon.bench.here("schedule", "stop", "minutely").ok()
    daemon.until(lambda: all(run["status"] == "SUCCESS" for run in daemon.bench.json("runs", "list")), "all ended well")
    daemon.stop()
    ledger = Counter(daemon.bench.ledger())
    assert set(ledger.values()) == {1}
    assert set(due) <= set(ledger)
    ticks = daemon.bench.json("schedule", "ticks", "minutely")
    instants = [tick["scheduled_at"] for tick in ticks if tick["status"] == "SUCCESS"]
    assert len(instants) == len(set(instants)) == len(ledger)


@pytest.mark.long
@pytest.mark.parametrize("with_signal", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("point", ["tick.asked", "tick.written", "queue.taken", "attempt.sent", "attempt.recorded"])
def test_a_daemon_told_to_stop_in_the_middle_of_something_stops_and_the_next_goes_on(daemon, point, with_signal):
    daemon.bench.here("schedule", "start", "minutely").ok()
    due = daemon.turn_back("minutely", 3)
    killed_at(daemon, point, with_signal=with_signal)
    assert daemon.process.returncode == 0
    daemon.start().until_ledger(*due)
    daemon.stop()
    assert set(Counter(daemon.bench.ledger()).values()) == {1}


@pytest.mark.long
def test_a_daemon_killed_in_each_of_its_lives_still_does_everything_once(daemon):
    daemon.drop("a", "b")
    killed_at(daemon, "attempt.sent")
    for point in ("run.resumed", "attempt.observed", "run.finished", "ingest.written", "queue.released"):
        daemon.drop(point)
        killed_at(daemon, point)
    daemon.start().until_ledger("a", "b", "run.resumed", "queue.released")
    daemon.until(lambda: all(run["status"] == "SUCCESS" for run in daemon.bench.json("runs", "list")), "all ended well")
    daemon.stop()
    assert set(Counter(daemon.bench.ledger()).values()) == {1}
    daemon.bench.here("state", "check").ok()


def test_a_key_stays_used_after_its_run_was_deleted(daemon):
    daemon.drop("a")
    daemon.start().until_ledger("a")
    daemon.until(lambda: daemon.bench.json("runs", "show", "last")["status"] == "SUCCESS", "the end of the run")
    daemon.bench.here("runs", "delete", "last", "--yes").ok()
    daemon.drop("b")
    daemon.until_ledger("b")
    daemon.stop()
    assert Counter(daemon.bench.ledger()) == {"a": 1, "b": 1}


def test_a_forgotten_key_runs_again(daemon):
    daemon.drop("a")
    daemon.start().until_ledger("a")
    daemon.bench.here("sensor", "forget", "inbox", "a").ok()
    daemon.until(lambda: daemon.bench.ledger() == ["a", "a"], "a second run")
    daemon.stop()


def test_a_second_daemon_is_refused_and_names_the_first(daemon):
    daemon.start()
    daemon.until(lambda: daemon.bench.here("daemon", "status").code == 0, "a daemon that answers")
    second = daemon.bench("daemon", "start")
    assert second.code == 7
    assert f"process {daemon.process.pid}" in second.err
    daemon.stop()
