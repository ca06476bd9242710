"""A state directory, and its store opened and closed as a command would."""

import pytest

from orchestrator.catalog.session import open_store
from orchestrator.state_dir import prepare


@pytest.fixture
def state(tmp_path):
    return prepare(tmp_path / "state")


@pytest.fixture
def ask(state):
    """Carries one operation out in a session of its own."""

    def ask(operation, *arguments, **named):
        with open_store(state) as store:
            return store(operation, *arguments, **named)

    return ask
