"""A question to the state that takes long, without a daemon: nobody else waits for it."""

import tempfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.catalog.runs import list_runs
from orchestrator.catalog.session import open_store
from orchestrator.errors import UsageError
from orchestrator.model.filters import RunFilter
from orchestrator.service import sql
from orchestrator.service.sql import ask_sql
from orchestrator.state_dir import prepare

# Seconds of work, and then an answer.
LONG = "SELECT count(*) FROM range(400000000) WHERE range % 7 = 3"


@pytest.fixture
def state(tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return prepare(tmp_path / "state")


def test_a_short_question_is_answered_at_once(state):
    said = []
    assert ask_sql(state, "SELECT count(*) FROM runs", tell=said.append).rows == [(0,)]
    assert said == []


def test_a_long_question_goes_on_with_a_copy_while_others_have_the_state(state, tmp_path):
    said = []
    with ThreadPoolExecutor(1) as others:

        def tell(sentence):
            said.append(sentence)
            waiting.append(others.submit(look))

        def look():
            with open_store(state) as store:
                return store(list_runs, RunFilter()), list((tmp_path / "tmp").iterdir())

        waiting = []
        assert ask_sql(state, LONG, tell=tell, quick_s=0.05).rows == [(57142857,)]
        runs, copies = waiting[0].result(20)
    assert runs == []
    assert copies  # the question was still being answered
    assert "copy" in said[0]
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("statement", ["SELECT nothing FROM nowhere", "DELETE FROM runs", "COPY runs TO 'x.csv'"])
def test_what_is_wrong_is_told_at_once_and_nothing_is_copied(state, monkeypatch, statement):
    monkeypatch.setattr(sql, "_copied", lambda _store: pytest.fail("it was copied"))
    with pytest.raises(UsageError):
        ask_sql(state, statement)
