"""Which other runs count as active for a step."""

import pytest

from orchestrator.attempts.files import is_run_active
from orchestrator.layout import RunsDir
from orchestrator.locks import try_lock
from orchestrator.state_dir import StateDir


@pytest.fixture
def state(tmp_path):
    return StateDir(tmp_path)


def test_a_runis_run_active_as_long_as_somebody_drives_it(state):
    run = RunsDir(state.path).run("r1")
    run.path.mkdir(parents=True)
    assert not is_run_active(str(state.storage), "r1")
    held = try_lock(run.owner_lock)
    assert is_run_active(str(state.storage), "r1")
    assert not is_run_active(str(state.storage), "r2")
    held.release()
    assert not is_run_active(str(state.storage), "r1")


def test_without_a_workspace_no_other_runis_run_active():
    assert not is_run_active("", "r1")
