"""A daemon that finds a backlog of journals does what is due meanwhile, and by the truth about what still runs."""

import pytest

from orchestrator.catalog import backlog
from orchestrator.daemon import runs
from orchestrator.runlog.run_log import RunLog
from orchestrator.state_dir import StateDir
from tests.catalog.journals import a_run, append, finished, started
from tests.daemon.ticking import Ticking

SOURCE = """
    from orchestrator import pipeline, schedule, step

    @step
    def note() -> None:
        open("ledger", "a").write("ran ")

    @pipeline
    def work():
        note()

    @schedule(cron="0 * * * *", pipeline=work, overlap="skip")
    def hourly(context): ...
"""


@pytest.fixture
def life(bench, monkeypatch):
    monkeypatch.setattr(runs, "PART_S", 0.0)
    monkeypatch.setattr(backlog, "_HANDFUL", 1)
    bench.write(SOURCE)
    life = Ticking(bench, monkeypatch)
    with life:
        life.at("2019-02-27T12:10:00Z").turn_on("hourly")
    return life


def history(bench, count):
    for _ in range(count):
        append(a_run(StateDir(bench.state), pipeline="work"), started(), finished())


@pytest.mark.sample(1)
@pytest.mark.parametrize("another_runs", [False, True], ids=["nothing else runs", "another run is active"])
def test_a_schedule_that_is_due_meanwhile_is_not_kept_waiting(bench, life, another_runs):
    history(bench, 60)
    if another_runs:
        run_dir = append(a_run(StateDir(bench.state), pipeline="work"), started())
        lock = RunLog(StateDir(bench.state), run_dir.run_id).own()
    with life:
        life.at("2019-02-27T13:00:00Z", until=lambda: life.ticks("hourly"))
        assert life.daemon.describe()["queue"]["backlog"] > 0, "the history is still being taken in"
        assert life.outcomes("hourly") == ["SKIPPED" if another_runs else "SUCCESS"]
        if another_runs:
            append(run_dir, finished())
            lock.release()
        life.at("2019-02-27T13:00:30Z")
        assert life.daemon.describe()["queue"]["backlog"] == 0
        assert len(life.runs()) == 61
        assert bench.ledger() == ([] if another_runs else ["ran"])
