"""A backlog of journals is ingested in parts: active runs at once, finished runs little by little."""

import os

import pytest

from orchestrator.catalog import backlog
from orchestrator.catalog.runs import list_runs
from orchestrator.catalog.session import open_store
from orchestrator.layout import RunsDir
from orchestrator.model.filters import RunFilter
from orchestrator.runlog.files import seems_finished
from orchestrator.runlog.inventory import pending_runs
from orchestrator.state_dir import prepare
from tests.catalog.journals import a_run, a_step, append, finished, started


@pytest.fixture
def state(tmp_path):
    return prepare(tmp_path / "state")


def over(state, number):
    run_dir = append(a_run(state, seconds=number), started(), *a_step(), finished())
    os.utime(RunsDir(state.path).pending_marker(run_dir.run_id), (number, number))
    return run_dir


def test_active_runs_are_ingested_at_once_and_finished_ones_in_parts_oldest_first(state, monkeypatch):
    monkeypatch.setattr(backlog, "_HANDFUL", 3)
    ended = [over(state, number).run_id for number in range(8, 0, -1)][::-1]
    going = {append(a_run(state), started(), *a_step()[:2]).run_id for _ in range(4)}
    with open_store(state, ingest=False) as store:

        def known():
            return {run.run_id for run in store(list_runs, RunFilter(limit=None))}

        assert known() == set()
        for left, count in ((5, 3), (2, 6), (0, 8), (0, 8)):
            assert backlog.ingest_part(store.database, state, 0.0) == left
            assert known() == going | set(ended[:count])
        assert set(pending_runs(state)) == going, "nothing of what is over is looked at again"


def test_with_time_everything_is_ingested_except_what_is_left_out(state):
    runs = [over(state, number).run_id for number in range(120)]
    with open_store(state, ingest=False) as store:
        assert backlog.ingest_part(store.database, state, 60.0, besides={runs[0]}) == 0
        assert {run.run_id for run in store(list_runs, RunFilter(limit=None))} == set(runs[1:])


@pytest.mark.parametrize(
    ("tail", "is_over"),
    [
        pytest.param(b"", True, id="as it was written"),
        pytest.param(b'{"event":"run_f', False, id="a torn line behind"),
        pytest.param(b"nonsense\n", False, id="another line behind"),
        pytest.param(b"\n" + b"x" * 20_000 + b"\n", False, id="a long line behind"),
        pytest.param(None, False, id="no journal"),
    ],
)
def test_a_look_at_the_end_of_the_journal_says_whether_the_run_is_over(state, tail, is_over):
    run_dir = over(state, 1)
    if tail is None:
        run_dir.journal.unlink()
    else:
        with run_dir.journal.open("ab") as file:
            file.write(tail)
    assert seems_finished(run_dir) is is_over


def test_an_empty_journal_is_not_over(state):
    run_dir = a_run(state)
    run_dir.journal.touch()
    assert not seems_finished(run_dir)
