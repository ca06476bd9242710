"""The command line of an attempt, for executors that hand it to another system."""

import subprocess

import pytest

from orchestrator.attempts.observation import Phase
from orchestrator.errors import ConfigError, NotFound
from orchestrator.executors.command import attempt_command
from orchestrator.model.events import AttemptStarted, AttemptSucceeded
from orchestrator.service.workspace import Workspace
from orchestrator.settings import load_settings
from orchestrator.testing import ExecutorContract


@pytest.fixture
def owner(tmp_path):
    with ExecutorContract.owner(Contract(), tmp_path) as owner:
        yield owner


class Contract(ExecutorContract):
    """Only for its workspace."""

    __test__ = False
    executor = "subprocess"

    def location(self):
        return "env: {COLOR: blue}"


def run(command):
    return subprocess.run(
        command.arguments, input=command.package, cwd=command.directory, env=command.environment, timeout=60
    ).returncode


def test_a_command_that_is_run_twice_makes_the_attempt_once(owner):
    context, attempt = owner.workspace.executor_context, owner.attempt("quick")
    command = attempt_command(context, attempt)
    assert [run(command), run(command)] == [0, 0]
    seen = context.channels.watch(attempt.handle).look(parent_alive=False)
    assert seen.phase is Phase.SUCCEEDED
    assert [type(event) for event in seen.events if isinstance(event, (AttemptStarted, AttemptSucceeded))] == [
        AttemptStarted,
        AttemptSucceeded,
    ]


def test_a_command_has_the_environment_of_the_location_and_of_this_process(owner, monkeypatch):
    monkeypatch.setenv("SIZE", "large")
    environment = attempt_command(owner.workspace.executor_context, owner.attempt("quick")).environment
    assert (environment["COLOR"], environment["SIZE"]) == ("blue", "large")


def test_what_is_printed_before_the_attempt_begins_stands_in_its_log(owner):
    context, attempt = owner.workspace.executor_context, owner.attempt("quick")
    command = attempt_command(context, attempt)
    command.errors.write_text("sh: python: not found\n")
    with context.channels.watch(attempt.handle).log("stderr") as log:
        assert log.read() == b"sh: python: not found\n"


@pytest.mark.parametrize(
    ("location", "error", "words"),
    [
        ("name: other", NotFound, "There is no location 'main'"),
        ("name: main, env: {A: {env: NOT_SET_ANYWHERE}}", ConfigError, "Location 'main' cannot be started"),
    ],
)
def test_a_location_that_cannot_be_started_is_refused(owner, location, error, words):
    path = owner.workspace.settings.path
    path.write_text(f"locations: [{{file: pipelines.py, {location}}}]")
    workspace = Workspace(load_settings(path))
    with pytest.raises(error, match=words):
        attempt_command(workspace.executor_context, owner.attempt("quick"))
