"""Creating runs, and making sure of them before anybody forgets what they came from."""

import os
import stat

import pytest

from orchestrator.errors import StoreError
from orchestrator.layout import RunsDir
from orchestrator.runlog.creation import make_durable
from orchestrator.state_dir import StateDir, prepare


@pytest.fixture
def state(tmp_path):
    return prepare(tmp_path / "state")


@pytest.fixture
def synced(monkeypatch):
    """The paths that are forced to disk, in order."""
    paths = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: paths.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    return paths


def a_run(state: StateDir, run_id: str):
    run_dir = RunsDir(state.path).run(run_id)
    run_dir.path.mkdir()
    run_dir.run_json.write_text("{}")
    run_dir.journal.write_text("")
    return run_dir


def test_all_a_run_could_be_resumed_from_is_forced_to_disk_and_its_name_last(state, synced):
    first, second = a_run(state, "aaaaaaaaaaaa"), a_run(state, "bbbbbbbbbbbb")
    make_durable(state, ["aaaaaaaaaaaa", "bbbbbbbbbbbb"])
    expected = [path for run in (first, second) for path in (run.run_json, run.journal, run.path)]
    assert synced == [str(path) for path in (*expected, RunsDir(state.path).runs)]


def test_a_run_that_is_over_and_gone_needs_nothing(state, synced):
    make_durable(state, ["cccccccccccc"])
    assert synced == [str(RunsDir(state.path).runs)]


def test_a_disk_that_fails_is_told_and_not_taken_for_success(state, monkeypatch):
    a_run(state, "aaaaaaaaaaaa")

    def failing(descriptor):
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(StoreError, match="Input/output error"):
        make_durable(state, ["aaaaaaaaaaaa"])
