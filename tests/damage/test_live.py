"""Damage under a daemon that runs: it says so, other runs go on, and what cannot be gone on with ends in words."""

import pytest

from tests.damage.kinds import in_its_place
from tests.damage.test_table import explained

SETTINGS = "locations: [{name: main, file: pipelines.py}]\n"


@pytest.fixture
def running(bench):
    """A daemon that drives a run whose step waits."""
    bench.start("daemon", "start", to=bench.path / "daemon.out")
    bench.wait_until(lambda: bench.here("daemon", "status").code == 0, "a daemon")
    bench.run_id = bench.here("run", "long", "--detach").ok().out.split()[-1]
    bench.wait_until(lambda: "waits" in bench.ledger(), "the step")
    return bench


def daemon_of(bench):
    return bench._started[0]


def status_of(bench, run_id):
    return {run["run_id"]: run["status"] for run in bench.json("runs", "list")}.get(run_id)


def runs_one_more(bench):
    run_id = bench.here("run", "small", "--detach").ok().out.split()[-1]
    bench.wait_until(lambda: status_of(bench, run_id) == "SUCCESS", "another run")


def comes_to_order(bench):
    """Once the daemon is gone, a repair leaves nothing to mend, and a run works."""
    (bench.path / "go").touch()
    explained(bench.here("daemon", "stop"))
    daemon_of(bench).wait(timeout=30)
    bench.wait_until(lambda: not bench.processes(), "the steps to end")
    explained(bench.here("state", "check", "--repair"))
    bench.here("state", "check").ok()
    bench("run", "small").ok()
    said = (bench.path / "daemon.out").read_text()
    assert "Traceback" not in said, said
    assert "bug in orchestrator" not in said, said


# What the daemon can do without, or has made again.
HARMLESS = ["daemon.json", "daemon.sock", "daemon.log", "waiting", "slots", "pending", "storage", "state.lock"]


@pytest.mark.long
@pytest.mark.parametrize("kind", ["missing", "garbage", "a directory"])
@pytest.mark.parametrize("file", HARMLESS)
def test_a_daemon_goes_on_when_a_file_that_it_can_do_without_is_damaged(running, file, kind):
    in_its_place(running.state / file, kind)
    explained(running.here("runs", "list"))
    explained(running.here("state", "check", "--repair"))  # directories are made again beside a daemon too
    running.wait_until(lambda: explained(running.here("daemon", "status")).code == 0, "an answer")
    if kind == "missing":
        runs_one_more(running)
    (running.path / "go").touch()
    comes_to_order(running)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["missing", "cut", "garbage", "a directory"])
@pytest.mark.parametrize("file", ["run.json", "journal.jsonl", "owner.lock", "steps", "steps/waits/1/events.jsonl"])
def test_a_damaged_file_of_one_run_is_in_no_other_runs_way(running, file, kind):
    in_its_place(running.state / "runs" / running.run_id / file, kind)
    runs_one_more(running)
    (running.path / "go").touch()
    running.wait_until(lambda: status_of(running, running.run_id) in ("SUCCESS", "FAILURE"), "its end")
    comes_to_order(running)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["missing", "cut", "garbage", "a directory"])
@pytest.mark.parametrize("log_too", [True, False])
def test_a_database_that_is_damaged_under_a_daemon_is_made_again(running, kind, log_too):
    in_its_place(running.state / "state.duckdb", kind)
    if log_too:
        in_its_place(running.state / "state.duckdb.wal", kind)
    explained(running.here("status"))
    explained(running.here("runs", "list"))
    comes_to_order(running)
    if status_of(running, running.run_id) == "STARTED":  # the daemon ended before it
        running("runs", "resume", running.run_id).ok()
    assert status_of(running, running.run_id) == "SUCCESS"


@pytest.mark.long
@pytest.mark.parametrize("kind", ["missing", "cut", "garbage", "a directory", "deep"])
def test_a_damaged_workspace_file_leaves_the_daemon_with_the_previous_one(running, kind):
    before = (running.path / ".orchestrator.yaml").read_text()
    in_its_place(running.path / ".orchestrator.yaml", kind)
    done = explained(running.here("status"))
    assert done.code
    in_its_place(running.path / ".orchestrator.yaml", "missing")
    running.settings(before)
    runs_one_more(running)
    comes_to_order(running)


@pytest.mark.long
@pytest.mark.parametrize("what", [".", "daemon.lock"])
def test_a_daemon_ends_with_words_when_its_state_is_removed(running, what):
    (running.path / "go").touch()
    path = running.state / what
    if what == ".":
        path.rename(running.path / "gone")  # at once: the daemon still writes into it
    else:
        path.unlink()
    assert daemon_of(running).wait(timeout=30) == 7
    assert "was removed or replaced" in (running.path / "daemon.out").read_text()
    comes_to_order(running)
