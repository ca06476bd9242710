"""SQL from people reads our tables, and can do nothing else."""

import shutil
from itertools import takewhile

import pytest

from orchestrator.catalog import query as module
from orchestrator.catalog.query import LONGEST, query
from orchestrator.catalog.runs import list_runs
from orchestrator.catalog.session import open_store
from orchestrator.errors import UsageError
from orchestrator.model.filters import RunFilter
from tests.catalog.journals import a_finished_run


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """One store for all tests of statements: none of them changes it, and that is what they test."""
    from orchestrator.state_dir import prepare

    state = prepare(tmp_path_factory.mktemp("query") / "state")
    a_finished_run(state)
    with open_store(state) as store:
        yield store
    shutil.rmtree(state.path)


def settings(store):
    return store.database.rows("SELECT name, value FROM duckdb_settings() ORDER BY name")


def test_a_question_is_answered_in_columns_and_rows(opened):
    result = opened(query, "SELECT pipeline, status, started_at FROM runs")
    assert result.columns == ("pipeline", "status", "started_at")
    assert result.rows[0][:2] == ("people", "SUCCESS")
    assert result.rows[0][2].isoformat() == "2026-01-01T00:00:01+00:00"


@pytest.mark.parametrize(
    "statement",
    [
        "FROM runs",
        "  -- a remark\n SELECT 1",
        "select 1;",
        "WITH a AS (SELECT 1) FROM a",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) FROM r",
        "VALUES (1)",
        "TABLE runs",
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE SELECT count(*) FROM runs",
        "EXPLAIN (ANALYZE, FORMAT json) SELECT count(*) FROM runs",
        "/* why */ explain /* really */ analyze select 1",
        "DESCRIBE runs",
        "DESCRIBE SELECT 1",
        "SHOW TABLES",
        "SUMMARIZE steps",
        "PRAGMA table_info('runs')",
        "PRAGMA show_tables",
        "PIVOT steps ON status USING count(*)",
        "PIVOT steps ON status IN ('SUCCESS') USING count(*)",
        "SELECT * FROM (PIVOT steps ON status)",
        "UNPIVOT (SELECT 1 AS a, 2 AS b) ON a, b",
        "SELECT * FROM range(3), unnest([1, 2])",
        "SELECT body ->> '$.type', json_extract(body, '$.a') FROM events",
        "SELECT name, value FROM duckdb_settings()",
        "SELECT 'a/b.csv', list_transform([1], lambda x: x + 1), read_text FROM (SELECT 1 AS read_text)",
        "SELECT r.run_id FROM runs r ASOF JOIN events e ON r.run_id = e.run_id AND r.created_at >= e.occurred_at",
    ],
)
def test_all_kinds_of_reading_work(opened, statement):
    assert opened(query, statement).columns


WRITES = [
    "DELETE FROM runs",
    "INSERT INTO meta VALUES ('a', 'b')",
    "INSERT INTO meta VALUES ('a', 'b') RETURNING *",
    "DROP TABLE runs",
    "CREATE TABLE t (x INTEGER)",
    "CREATE TEMP TABLE t (x INTEGER)",
    "CREATE MACRO m() AS TABLE FROM runs",
    "UPDATE runs SET status = 'SUCCESS'",
    "MERGE INTO runs USING runs r2 USING (run_id) WHEN MATCHED THEN DELETE",
    "WITH gone AS (DELETE FROM runs RETURNING *) FROM gone",
    "TRUNCATE runs",
    "COMMIT",
    "BEGIN",
    "ROLLBACK",
    "SELECT 1; DROP TABLE runs",
    "SELECT 1; COMMIT",
    "",
    "   ",
    "-- nothing",
    "CHECKPOINT",
    "FORCE CHECKPOINT",
    "VACUUM",
    "CALL force_checkpoint('state')",
    "FROM checkpoint()",
    "SELECT * FROM force_checkpoint('state')",
    "PREPARE p AS SELECT 1",
    "EXPLAIN DELETE FROM runs",
    "EXPLAIN ANALYZE DELETE FROM runs",
    "EXPLAIN ANALYZE CHECKPOINT",
    "explain /* */ analyze /* */ checkpoint",
]
SETTINGS = [
    "SET threads = 1",
    "SET memory_limit = '2MB'",
    "SET GLOBAL memory_limit = '2MB'",
    "SET search_path = 'main'",
    "SET VARIABLE a = 1",
    "RESET threads",
    "USE main",
    "PRAGMA threads = 1",
    "PRAGMA memory_limit = '2MB'",
    "PRAGMA disable_optimizer",
    "PRAGMA enable_verification",
    "PRAGMA enable_profiling",
    "PRAGMA enable_checkpoint_on_shutdown",
    "PRAGMA import_database('FILES')",
    "EXPLAIN ANALYZE SET memory_limit = '2MB'",
    "EXPLAIN ANALYZE PRAGMA disable_optimizer",
    "FROM enable_logging()",
    "FROM enable_profiling()",
    "SELECT write_log('hello')",
    "INSTALL httpfs",
    "LOAD httpfs",
]
FILES = [
    "COPY runs TO 'FILES/out.csv'",
    "COPY (SELECT 1) TO 'FILES/out.parquet' (FORMAT parquet)",
    "COPY runs FROM 'FILES/secret.csv'",
    "EXPLAIN ANALYZE COPY (SELECT 'x') TO 'FILES/out.csv' (HEADER false)",
    "EXPLAIN (ANALYZE) COPY (SELECT 'x') TO 'FILES/out.csv'",
    "EXPORT DATABASE 'FILES/out'",
    "IMPORT DATABASE 'FILES'",
    "ATTACH 'FILES/out.db'",
    "EXPLAIN ANALYZE ATTACH 'FILES/out.db'",
    "DETACH state",
    "FROM read_text('FILES/secret.csv')",
    "FROM read_blob('FILES/secret.csv')",
    "FROM read_csv('FILES/secret.csv')",
    "FROM \"read_csv\"('FILES/secret.csv')",
    "FROM main.read_csv('FILES/secret.csv')",
    "FROM sniff_csv('FILES/secret.csv')",
    "FROM glob('FILES/*')",
    "FROM 'FILES/secret.csv'",
    'FROM "FILES/secret.csv"',
    "DESCRIBE 'FILES/secret.csv'",
    "SUMMARIZE 'FILES/secret.csv'",
    "DESCRIBE SELECT * FROM read_csv('FILES/secret.csv')",
    "EXPLAIN ANALYZE SELECT * FROM read_text('FILES/secret.csv')",
    "SELECT (SELECT max(content) FROM read_text('FILES/secret.csv')) FROM runs",
    "SELECT count(*) FILTER (WHERE run_id IN (SELECT content FROM read_text('FILES/secret.csv'))) FROM runs",
    "WITH a AS (FROM read_text('FILES/secret.csv')) FROM a",
    "SELECT 1 LIMIT (SELECT count(*) FROM read_text('FILES/secret.csv'))",
    "FROM query('FROM read_text(''FILES/secret.csv'')')",
    "FROM query_table('FILES/secret.csv')",
    "FROM json_execute_serialized_sql(json_serialize_sql('FROM read_text(''FILES/secret.csv'')'))",
    "PIVOT (FROM read_csv('FILES/secret.csv')) ON a",
    "PIVOT 'FILES/secret.csv' ON a",
    "FROM (PIVOT 'FILES/secret.csv' ON a)",
    "FROM read_duckdb('FILES/other.duckdb')",
    "FROM arrow_scan(1, 2, 3)",
    "FROM pandas_scan(1)",
]


@pytest.mark.parametrize("statement", [*WRITES, *SETTINGS, *FILES])
def test_whatever_is_more_than_reading_our_tables_is_refused_and_changes_nothing(opened, tmp_path, statement):
    (tmp_path / "secret.csv").write_text("a,b\nsecret,2\n")
    before = settings(opened)
    with pytest.raises(UsageError) as refused:
        opened(query, statement.replace("FILES", str(tmp_path)))
    assert "secret,2" not in str(refused.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.csv"]
    assert len(opened(list_runs, RunFilter())) == 1
    assert settings(opened) == before
    assert opened(query, "SELECT count(*) FROM runs").rows == [(1,)]


def test_a_variable_of_this_program_is_no_table(opened):
    import pyarrow

    somewhere = pyarrow.table({"a": [1]})
    with pytest.raises(UsageError, match="somewhere"):
        opened(query, "FROM somewhere")
    assert somewhere.num_rows == 1


def test_a_mistake_is_told_in_the_words_of_the_database(opened):
    with pytest.raises(UsageError, match="no_such_column"):
        opened(query, "SELECT no_such_column FROM runs")


@pytest.mark.parametrize(
    "statement",
    ["x" * (LONGEST + 1), "SELECT " + "(" * 20_000 + "1" + ")" * 20_000, "SELECT " + "+".join("1" * 40_000)],
    ids=["long", "deep", "long and deep"],
)
def test_a_statement_that_is_out_of_all_proportion_is_refused(opened, statement):
    with pytest.raises(UsageError):
        opened(query, statement)


def test_a_result_has_a_bound(opened, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 10_000)
    assert len(opened(query, "FROM range(100)").rows) == 100
    with pytest.raises(UsageError, match="larger than"):
        opened(query, "SELECT repeat('x', 100) FROM range(1000)")


def test_the_help_names_tables_and_columns_that_exist(opened, bench):
    said = bench.here("sql", "--help").ok().out
    named = said[said.index("runs  ") : said.index("`DESCRIBE")].replace("(JSON)", "")
    for table in ("runs", "steps", "events", "materializations", "ticks"):
        text = named[named.index(f"{table} ") + len(table) :].split("\n  ")
        lines = [text[0], *takewhile(lambda line: line.startswith("        "), text[1:])]
        columns = [one.strip() for one in " ".join(lines).split(",") if one.strip()]
        there = {row[0] for row in opened(query, f"DESCRIBE {table}").rows}
        assert columns
        assert {column.split()[0] for column in columns} <= there
