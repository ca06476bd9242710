"""`daemon tick` makes one pass and ends, and has nothing to do beside a daemon."""

import os
import subprocess
import sys

import pytest

from orchestrator.daemon import process
from orchestrator.daemon.process import _only_one
from orchestrator.errors import DaemonError
from orchestrator.locks import try_lock
from orchestrator.state_dir import prepare

EVERY_SECOND = """
    from pathlib import Path
    from orchestrator import AssetMaterialization, RunRequest, SkipReason
    from orchestrator import asset_sensor, pipeline, schedule, sensor, step

    @step
    def make(context) -> None:
        context.log_asset(AssetMaterialization("thing"))

    @pipeline
    def work():
        make()

    @step
    def use() -> None:
        Path("used").touch()

    @pipeline
    def follow():
        use()

    @sensor(pipeline=work, interval=0.05, default_on=True)
    def nothing_new(context):
        return SkipReason("nothing new")

    @sensor(pipeline=work, interval=0.05, default_on=True)
    def always_new(context):
        count = int(context.cursor or 0) + 1
        context.update_cursor(str(count))
        return RunRequest(run_key=str(count))

    @asset_sensor(asset="thing", pipeline=follow, interval=0.05, default_on=True)
    def on_thing(context, materialization):
        return RunRequest(run_key=materialization.id)

    @schedule(cron="* * * * *", pipeline=work, default_on=True)
    def minutely(context):
        return RunRequest()
"""


@pytest.mark.long
def test_a_pass_asks_each_sensor_once_and_follows_what_comes_of_it(bench):
    bench.write(EVERY_SECOND)
    bench("daemon", "tick").ok()
    ticks = bench.json("sensor", "ticks")
    names = [tick["name"] for tick in ticks]
    assert names.count("main/nothing_new") == 1
    assert names.count("main/always_new") == 1
    assert (bench.path / "used").exists()  # by the run that the run of that sensor led to
    bench("daemon", "tick").ok()
    assert [tick["name"] for tick in bench.json("sensor", "ticks")].count("main/nothing_new") == 2


def test_what_becomes_due_during_a_pass_is_left_to_the_next(bench, ticking):
    bench.write(EVERY_SECOND)
    with ticking:
        ticking.at("2019-02-27T12:00:10Z")
    ticking.now = ticking.now.replace(minute=1, second=30)
    with ticking:
        ticking.daemon.make_one_pass()
        ticking.at("2019-02-27T12:01:40Z")
        assert ticking.instants("minutely") == ["02-27 12:01"]
        before = ticking.outcomes("nothing_new")
        assert before
        ticking.at("2019-02-27T12:05:00Z")
        assert ticking.instants("minutely") == ["02-27 12:01"]
        assert ticking.outcomes("nothing_new") == before


def test_beside_a_daemon_a_pass_is_quiet_and_done(bench):
    bench.write(EVERY_SECOND)
    lock = try_lock(prepare(bench.state).daemon_lock)
    lock.write_note(str(os.getpid()).encode())
    try:
        done = bench("daemon", "tick").ok()
        assert (done.out, done.err) == ("", "")
        assert bench("daemon", "start").code == 7
    finally:
        lock.release()


def test_stopping_a_daemon_that_is_not_there_is_no_failure(bench):
    bench.write(EVERY_SECOND)
    assert "No daemon is running" in bench.here("daemon", "stop").ok().err


@pytest.fixture
def asker(tmp_path):
    """A process that asks whether the lock is held, and takes its time."""
    state = prepare(tmp_path / "state")
    state.daemon_lock.touch()
    code = (
        "import fcntl, os, sys; d = os.open(sys.argv[1], os.O_RDONLY); fcntl.flock(d, fcntl.LOCK_SH);"
        " print(flush=True); sys.stdin.readline()"
    )
    asking = subprocess.Popen(
        [sys.executable, "-c", code, str(state.daemon_lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    asking.stdout.readline()
    yield state, asking
    asking.kill()
    asking.communicate()


def test_whoever_only_asks_whether_there_is_a_daemon_keeps_none_from_starting(asker, monkeypatch):
    state, asking = asker
    monkeypatch.setattr(process.time, "sleep", lambda _seconds: (asking.kill(), asking.wait()))
    _only_one(state).release()


def test_a_holder_that_does_not_say_who_it_is_is_called_no_number(asker, monkeypatch):
    state, _ = asker
    monkeypatch.setattr(process, "_LOCK_PATIENCE_S", 0.1)
    with pytest.raises(DaemonError) as refused:
        _only_one(state)
    assert refused.value.message == f"A daemon is running already for {state.path}."
