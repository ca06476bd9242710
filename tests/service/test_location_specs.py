"""Location processes that are started before the command that needs them is imported."""

import pytest

from orchestrator.cli.ahead import begin_ahead
from orchestrator.service import location_specs
from orchestrator.service.workspace import Workspace

TWO = """
locations:
  - {name: sales, file: sales.py}
  - {name: web, file: web.py}
"""


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    (tmp_path / ".orchestrator.yaml").write_text(TWO)
    for name in ("sales.py", "web.py"):
        (tmp_path / name).write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ORCHESTRATOR_WORKSPACE", raising=False)
    monkeypatch.setattr(location_specs, "_ahead", {})
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "started"),
    [
        (["run", "orders"], ["sales", "web"]),
        (["run", "web/orders", "--json"], ["web"]),
        (["run", "nowhere/orders"], []),
        (["run", "--rerun", "last"], []),
        (["run"], []),
        (["runs", "list"], []),
        (["run", "orders", "--help"], []),
        (["run", "orders", "-w", "elsewhere"], []),
        (["run", "orders", "--workspace=elsewhere"], []),
    ],
    ids=" ".join,
)
def test_a_run_starts_the_locations_that_may_have_its_pipeline(workspace, arguments, started):
    begin_ahead(arguments)
    found = Workspace.find()
    try:
        assert [process.name for process in found.pool.running()] == started
    finally:
        found.close()


def test_a_workspace_takes_over_what_was_started_for_it_and_nothing_else(workspace, tmp_path):
    begin_ahead(["run", "orders"])
    other = tmp_path / "other"
    other.mkdir()
    (other / ".orchestrator.yaml").write_text(TWO)
    elsewhere, found = Workspace.find(str(other)), Workspace.find()
    try:
        assert (elsewhere.pool.running(), len(found.pool.running())) == ([], 2)
    finally:
        found.close()


@pytest.mark.parametrize("text", ["locations: [", "locations: 3", None], ids=["no YAML", "no workspace", "no file"])
def test_what_is_wrong_with_a_workspace_is_left_to_the_command_to_report(workspace, text):
    file = workspace / ".orchestrator.yaml"
    file.unlink() if text is None else file.write_text(text)
    begin_ahead(["run", "orders"])
    assert location_specs._ahead == {}
