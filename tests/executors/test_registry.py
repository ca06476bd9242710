"""Executors are found by name: shipped, registered by an installed package, or by a dotted path."""

import sys
from pathlib import Path

import pytest

from orchestrator.attempts.memory import MemoryChannels
from orchestrator.code_locations.pool import LocationPool
from orchestrator.errors import ConfigError
from orchestrator.executors.base import ExecutorContext
from orchestrator.executors.registry import make_executor
from orchestrator.settings import Settings

MODULE = """
class Recording:
    name = "recording"
    capabilities = None
    launch = adopt = poll = cancel = end_run = close = descriptors = None

    def __init__(self, context):
        self.context = context

class Bare:
    pass

class Partial(Recording):
    def __getattribute__(self, name):
        if name in ("poll", "cancel"):
            raise AttributeError(name)
        return super().__getattribute__(name)
"""


@pytest.fixture
def context():
    return ExecutorContext(LocationPool([]), MemoryChannels(), Settings(path=Path(".orchestrator.yaml")))


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package that registers an executor, and one that cannot be loaded."""
    (tmp_path / "third_party.py").write_text(MODULE)
    registered = tmp_path / "third_party-1.0.dist-info"
    registered.mkdir()
    (registered / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    (registered / "entry_points.txt").write_text(
        "[orchestrator.executors]\nrecording = third_party:Recording\nmissing = third_party:Gone\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("third_party", None)


@pytest.mark.parametrize("name", ["recording", "third_party.Recording"])
def test_an_executor_of_another_package_is_called_with_the_context(installed, context, name):
    made = make_executor(name, context)
    assert (made.name, made.context) == ("recording", context)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("recordin", "There is no executor 'recordin'."),
        ("missing", "The executor 'missing' cannot be used"),
        ("third_party.Gone", "The executor 'third_party.Gone' cannot be used"),
        ("third_party.Bare", "The executor 'third_party.Bare' cannot be used"),
        ("third_party.Partial", "it has no poll, cancel."),
        ("nowhere.Class", "The executor 'nowhere.Class' cannot be used"),
    ],
)
def test_one_that_cannot_be_used_is_refused_by_its_name(installed, context, name, words):
    with pytest.raises(ConfigError) as refused:
        make_executor(name, context)
    assert words in str(refused.value)


def test_a_near_miss_of_a_registered_name_is_suggested(installed, context):
    with pytest.raises(ConfigError) as refused:
        make_executor("recordin", context)
    assert "Did you mean recording?" in refused.value.hint


@pytest.mark.parametrize(("name", "forks"), [("subprocess", True), ("in_process", False)])
def test_shipped_executors_say_whether_they_fork_the_location(context, name, forks):
    assert make_executor(name, context).capabilities.forks is forks
