"""SQL from people reads, and can do nothing else."""

import pytest

from orchestrator.errors import UsageError
from orchestrator.store.query import query
from orchestrator.store.runs import RunFilter, list_runs
from tests.store.journals import a_finished_run


def test_a_question_is_answered_in_columns_and_rows(state, ask):
    a_finished_run(state)
    result = ask(query, "SELECT pipeline, status, started_at FROM runs")
    assert result.columns == ("pipeline", "status", "started_at")
    assert result.rows[0][:2] == ("people", "SUCCESS")
    assert result.rows[0][2].isoformat() == "2026-01-01T00:00:01+00:00"


@pytest.mark.parametrize("statement", ["FROM runs", "WITH a AS (SELECT 1) FROM a", "EXPLAIN SELECT 1", "DESCRIBE runs"])
def test_all_kinds_of_reading_work(ask, statement):
    assert ask(query, statement).columns


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM runs",
        "INSERT INTO meta VALUES ('a', 'b')",
        "DROP TABLE runs",
        "CREATE TABLE t (x INTEGER)",
        "UPDATE runs SET status = 'SUCCESS'",
        "COPY runs TO '/tmp/stolen.csv'",
        "ATTACH '/tmp/x.db'",
        "INSTALL httpfs",
        "SET threads = 1",
        "COMMIT",
        "SELECT 1; DROP TABLE runs",
        "",
        "CHECKPOINT",
    ],
)
def test_whatever_would_change_something_is_refused(state, ask, statement):
    a_finished_run(state)
    with pytest.raises(UsageError):
        ask(query, statement)
    assert len(ask(list_runs, RunFilter())) == 1


def test_a_mistake_is_told_in_the_words_of_the_database(ask):
    with pytest.raises(UsageError, match="no_such_column"):
        ask(query, "SELECT no_such_column FROM runs")
