"""History is kept as long as the workspace file says, and then gone from the index and from the disk."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from orchestrator import clock
from orchestrator.catalog.session import open_store
from orchestrator.catalog.ticks import newest_record, purge_ticks
from orchestrator.daemon import retention
from orchestrator.daemon.retention import FIRST, INTERVAL
from orchestrator.settings import RetentionSettings
from orchestrator.state_dir import StateDir
from tests.daemon.held import HELD

SENSING = (
    HELD
    + """
    from orchestrator import RunRequest, SkipReason, sensor

    @sensor(pipeline=held, interval=3600, default_on=True)
    def look(context):
        return SkipReason("nothing")
"""
)
KEPT = """
    locations: [{name: main, file: pipelines.py}]
    retention: {skipped_ticks: 7d, ticks: 90d, runs: 180d}
"""


@pytest.fixture
def held(bench):
    bench.write(SENSING)
    bench.settings(KEPT)
    (bench.path / "go").touch()


def age(bench, table, column, key, value, days):
    """Makes something older than it is."""
    at = (datetime.now(UTC) - timedelta(days=days)).replace(tzinfo=None)
    with open_store(StateDir(bench.state)) as store:
        store.database.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", [at, value])


def test_runs_and_ticks_go_when_their_time_has_come_and_not_before(bench, held, ticking):
    for _ in range(3):
        bench("run", "held").ok()
    old, young, interrupted = (run["run_id"] for run in bench.json("runs", "list"))
    age(bench, "runs", "finished_at", "run_id", old, 181)
    age(bench, "runs", "finished_at", "run_id", young, 179)
    with open_store(StateDir(bench.state)) as store:
        store.database.execute("UPDATE runs SET status = 'STARTED', finished_at = NULL WHERE run_id = ?", [interrupted])
        for number, (status, days) in enumerate([("SKIPPED", 8), ("SKIPPED", 6), ("SUCCESS", 91), ("SUCCESS", 89)]):
            at = (datetime.now(UTC) - timedelta(days=days)).replace(tzinfo=None)
            store.database.execute(
                "INSERT INTO tick_rows (tick_id, automation, kind, status, occurred_at, run_ids, run_keys)"
                " VALUES (?, 'main/look', 'sensor', ?, ?, '[]', '[]')",
                [f"tick{number}", status, at],
            )
    assert (bench.state / "storage" / old).exists()
    with ticking as it:
        it.at(datetime.now(UTC).isoformat())
        assert {run.run_id for run in it.runs()} == {old, young, interrupted}, "others have more to do at the start"
        it.at((it.now + FIRST).isoformat())
        assert {run.run_id for run in it.runs()} == {young, interrupted}
    for gone in (bench.state / "runs" / old, bench.state / "storage" / old):
        assert not gone.exists()
    assert (bench.state / "runs" / young / "journal.jsonl").exists()
    assert bench.json("sql", f"SELECT count(*) AS n FROM events WHERE run_id = '{old}'") == [{"n": 0}]
    ticks = {row["tick_id"] for row in bench.json("sql", "SELECT tick_id FROM ticks")}
    assert {"tick1", "tick3"} <= ticks
    assert not {"tick0", "tick2"} & ticks
    assert "old history removed" in (bench.state / "daemon.log").read_text()


@pytest.mark.parametrize(
    ("seconds_each", "waiting", "removed", "next_in"),
    [
        (0.0, 10, 10, INTERVAL),
        (0.0, 10_000, 50, timedelta(seconds=1)),
        (0.03, 10_000, 4, timedelta(seconds=1)),
        (5.0, 10_000, 1, timedelta(seconds=1)),
        (5.0, 1, 1, INTERVAL),
    ],
)
def test_a_turn_removes_as_many_runs_as_leave_the_loop_its_time(monkeypatch, seconds_each, waiting, removed, next_in):
    steady, gone = [1000.0], []

    def remove(_store, run_id, _now):
        steady[0] += seconds_each
        gone.append(run_id)

    def store(operation, *arguments):
        answers = {purge_ticks: 0, newest_record: None}
        return answers[operation] if operation in answers else [str(n) for n in range(waiting)][: arguments[-1]]

    monkeypatch.setattr(retention, "remove_run", remove)
    monkeypatch.setattr(clock, "monotonic", lambda: steady[0])
    workspace = SimpleNamespace(settings=SimpleNamespace(retention=RetentionSettings()))
    concern = retention.Retention(workspace, store, SimpleNamespace(info=lambda *_, **__: None))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    due = concern.turn(start)
    steady[0] += FIRST.total_seconds()
    assert concern.turn(due) - due == next_in
    assert len(gone) == removed
