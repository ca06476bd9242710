"""Runs in the queue: which begin, which wait and why, and that no run suffers for another."""

from collections import Counter

import pytest

from tests.daemon.held import HELD, begun, ended, enqueue, go, statuses

LIMITED = """
    locations: [{name: main, file: pipelines.py}]
    run_queue:
      max_concurrent_runs: 4
      tag_limits:
        - {key: database, value: tiny, limit: 1}
        - {key: user, limit: 1, per_value: true}
        - {key: licence, limit: 1}
"""


@pytest.fixture
def held(bench, daemon):
    bench.write(HELD)
    return daemon


def waits(bench, run):
    return bench.json("runs", "show", run)["waits_for"]


@pytest.mark.long
def test_limits_priorities_and_passing_over_and_whoever_waits_is_told_why(bench, held):
    bench.settings(LIMITED)
    tags = {
        "tiny-1": {"database": "tiny"},
        "tiny-2": {"database": "tiny"},
        "large": {"database": "large"},
        "ann-1": {"user": "ann", "priority": "foobar"},
        "ann-2": {"user": "ann", "priority": "-1"},
        "bob": {"user": "bob", "priority": "-1"},
        "licence-1": {"licence": "a", "priority": "9"},
        "licence-2": {"licence": "b"},
        "last": {},
    }
    ids = dict(zip(tags, enqueue(bench, *tags, tags=tags), strict=True))
    assert waits(bench, ids["bob"]) == "no daemon is running (orchestrator daemon start)"
    held.start()
    held.until(lambda: len(begun(bench)) == 4, "four runs that go")
    assert set(begun(bench)) == {"licence-1", "tiny-1", "large", "ann-1"}
    assert waits(bench, ids["tiny-2"]) == "4 of 4 runs are going"
    go(bench, "large")
    held.until(lambda: len(begun(bench)) == 5, "the next one")
    assert begun(bench)[-1] == "last", "the two with a tag limit are passed over"
    go(bench, "last")
    held.until(lambda: len(begun(bench)) == 6, "the next one")
    assert begun(bench)[-1] == "bob", "of priority -1, and ann-2 before it is held up by ann-1"
    go(bench, "bob")
    held.until(lambda: ended(bench)[-1:] == ["bob"] and bench.json("daemon", "status")["queue"]["queued"] == 3, "bob")
    held.until(lambda: waits(bench, ids["tiny-2"]) != "4 of 4 runs are going", "room")
    assert waits(bench, ids["tiny-2"]) == f"1 of 1 runs with database=tiny are going ({ids['tiny-1']})"
    assert waits(bench, ids["ann-2"]) == f"1 of 1 runs with user=ann are going ({ids['ann-1']})"
    assert waits(bench, ids["licence-2"]) == f"1 of 1 runs with the tag licence are going ({ids['licence-1']})"
    shown = bench.here("runs", "show", ids["ann-2"]).ok().out
    assert f"It waits: 1 of 1 runs with user=ann are going ({ids['ann-1']})." in shown
    assert f"{ids['ann-2']} waits: 1 of 1 runs with user=ann are going" in bench.here("runs", "list").ok().out
    assert f"{ids['ann-2']}  1 of 1 runs with user=ann are going" in bench.here("status").out
    go(bench)
    held.until(lambda: len(ended(bench)) == len(tags), "all of them")
    held.stop()
    assert Counter(begun(bench)) == dict.fromkeys(tags, 1)


def test_many_runs_go_at_once_and_each_begins_once(bench, held):
    bench.settings("locations: [{name: main, file: pipelines.py}]\nrun_queue: {max_concurrent_runs: 40}")
    names = [f"r{number}" for number in range(60)]
    enqueue(bench, *names)
    held.start()
    held.until(lambda: len(begun(bench)) == 40, "as many as there is room for")
    status = bench.json("daemon", "status")["queue"]
    assert (status["running"], status["queued"]) == (40, 20)
    go(bench)
    held.until(lambda: len(ended(bench)) == 60, "all of them")
    held.until(lambda: set(statuses(bench).values()) == {"SUCCESS"}, "the end of all runs")
    held.stop()
    assert Counter(begun(bench)) == dict.fromkeys(names, 1)
    assert bench.json("sql", "SELECT count(*) AS n FROM queue") == [{"n": 0}]


def test_a_run_that_cannot_be_launched_fails_alone_and_says_so(bench, held, monkeypatch):
    (bench.path / "mine.py").write_text("from orchestrator.executors.local import SubprocessExecutor as Mine\n")
    monkeypatch.syspath_prepend(bench.path)
    (bad,) = enqueue(bench, "bad", executor="mine.Mine")
    (good,) = enqueue(bench, "good")
    (bench.path / "mine.py").write_text("raise RuntimeError('no cluster here')\n")
    go(bench)
    held.start()
    held.until(lambda: ended(bench) == ["good"], "the run behind it")
    held.until(lambda: statuses(bench)[bad] == "FAILURE", "the end of the bad one")
    held.until(lambda: statuses(bench)[good] == "SUCCESS", "the end of the good one")
    assert "created successfully but failed to launch" in bench.here("runs", "show", bad).out
    assert "no cluster here" in bench.here("runs", "show", bad).out
    assert not any(concern["erroring"] for concern in bench.json("daemon", "status")["concerns"])
    held.stop()


def test_a_run_whose_pipeline_is_gone_by_the_time_it_begins_fails_alone(bench, held):
    gone, good = enqueue(bench, "gone", pipeline="chain") + enqueue(bench, "good")
    bench.write(HELD.replace("def chain()", "def renamed()"))
    go(bench)
    held.start()
    held.until(lambda: statuses(bench)[good] == "SUCCESS" and statuses(bench)[gone] == "FAILURE", "both ends")
    assert "There is no pipeline 'chain'" in bench.here("runs", "show", gone).out
    held.stop()


def test_a_run_whose_location_is_broken_or_gone_waits_until_it_is_mended(bench, held):
    bench.write(HELD, file="other.py")
    bench.settings("locations: [{name: main, file: pipelines.py}]")
    (run,) = enqueue(bench, "a")
    bench.write("import nonsense_that_is_not_there")
    held.start()
    held.until(lambda: waits(bench, run) == "location main is broken", "the reason")
    bench.settings("locations: [{name: renamed, file: other.py}]")
    held.until(lambda: waits(bench, run) == "the workspace file has no location main any more", "the reason")
    bench.write(HELD)
    bench.settings("locations: [{name: main, file: pipelines.py}]")
    go(bench)
    held.until(lambda: statuses(bench)[run] == "SUCCESS", "its end")
    held.stop()
    assert begun(bench) == ["a"]


@pytest.mark.long
def test_a_detached_run_waits_for_a_daemon_and_says_so(bench, held):
    done = bench("run", "held", "--detach", "--set", "steps.hold.config.what=a").ok()
    run = done.out.strip()
    assert "It waits in the queue until a daemon runs: orchestrator daemon start" in done.err
    assert bench.json("runs", "list")[0]["status"] == "QUEUED"
    waited = bench("runs", "wait", run[:8], "--timeout", "0.3")
    assert waited.code == 8
    assert "no daemon is running (orchestrator daemon start)" in waited.err
    for command in ("logs", "events"):
        refused = bench("runs", command, run)
        assert refused.code == 4
        assert "has not begun. It waits: no daemon is running" in refused.err
    waiting = bench.start("runs", "wait", run)
    following = bench.start("runs", "events", run, "--follow", "--json")
    held.start()
    held.until(lambda: begun(bench) == ["a"], "its beginning")
    go(bench)
    assert waiting.communicate(timeout=30)[0].decode().split() == [run, "SUCCESS"]
    assert waiting.returncode == 0
    assert b"run_finished" in following.communicate(timeout=30)[0]
    done = bench("run", "held", "--detach").ok()
    assert "Follow it with" in done.err
    assert bench("runs", "wait", done.out.strip()).code == 0
    held.stop()


def test_a_foreground_run_goes_on_beside_the_daemon(bench, held):
    held.start()
    held.until(lambda: bench.here("daemon", "status").code == 0, "a daemon that answers")
    process = bench.start("run", "held", "--set", "steps.hold.config.what=mine", "--json")
    enqueue(bench, "queued")
    held.until(lambda: set(begun(bench)) == {"mine", "queued"}, "both runs")
    assert [run["status"] for run in bench.json("runs", "list")] == ["STARTED", "STARTED"]
    go(bench)
    assert process.wait(timeout=30) == 0
    held.until(lambda: set(statuses(bench).values()) == {"SUCCESS"}, "both ends")
    held.stop()
    assert Counter(begun(bench)) == {"mine": 1, "queued": 1}
    assert bench.json("runs", "show", "last")["status"] == "SUCCESS"
