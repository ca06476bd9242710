"""A database made by an older version is brought up to date, with a way back; one made by a newer is left alone."""

from datetime import datetime
from importlib import resources

import pytest

from orchestrator.errors import SchemaTooNew
from orchestrator.store.database import Database
from orchestrator.store.instigators import list_instigators
from orchestrator.store.maintenance import TABLES, scan
from orchestrator.store.runs import RunFilter, list_runs
from orchestrator.store.schema import MIGRATIONS, VERSION, schema_version
from orchestrator.store.session import open_store
from tests.store.journals import a_finished_run


def make_older(state, version):
    """A database as it was after that many migrations, with a run and an event in it."""
    database = Database(state.database)
    for name in MIGRATIONS[:version]:
        database.execute(resources.files("orchestrator.store").joinpath("migrations", f"{name}.sql").read_text())
    database.execute("INSERT INTO meta VALUES ('schema_version', ?)", [str(version)])
    database.insert(
        "runs",
        {
            "run_id": ["0123456789ab"],
            "pipeline": ["old"],
            "location": ["main"],
            "mode": ["default"],
            "status": ["SUCCESS"],
            "created_at": [datetime(2026, 1, 1)],
            "tags": ["{}"],
            "trigger_json": ['{"kind":"manual"}'],
            "journal_lines": [1],
            "journal_offset": [1],
        },
    )
    database.insert("events", {"run_id": ["0123456789ab"], "seq": [0], "event": ["run_started"], "body": ["{}"]})
    database.close()


@pytest.mark.parametrize("version", range(1, VERSION))
def test_an_older_database_keeps_its_rows_and_can_do_what_the_newest_can(state, version):
    make_older(state, version)
    run_id = a_finished_run(state).run_id
    with open_store(state) as store:
        assert schema_version(store.database) == VERSION
        assert {run.run_id for run in store(list_runs, RunFilter())} == {"0123456789ab", run_id}
        assert store(list_instigators) == []
        assert set(store(scan)) == set(TABLES)
    with open_store(state) as store:
        assert len(store(list_runs, RunFilter())) == 2


def test_before_a_migration_a_copy_is_made_that_the_older_version_can_use(state):
    make_older(state, 1)
    with open_store(state):
        pass
    (backup,) = state.backups.iterdir()
    assert backup.name.endswith("-before-migration.duckdb")
    assert backup.stat().st_mode & 0o777 == 0o600
    copy = Database(backup)
    assert schema_version(copy) == 1
    assert copy.rows("SELECT run_id FROM runs") == [("0123456789ab",)]
    copy.close()


def test_a_database_that_is_up_to_date_is_not_copied(state):
    for _ in range(2):
        with open_store(state):
            pass
    assert not state.backups.exists()


def test_a_migration_that_fails_leaves_the_older_database_as_it_was(state, monkeypatch):
    make_older(state, 1)
    monkeypatch.setattr("orchestrator.store.schema._sql", lambda name: "CREATE TABLE ticks (x INTEGER); SELEKT 1")
    with pytest.raises(Exception, match="SELEKT"), open_store(state):
        pass
    database = Database(state.database)
    assert schema_version(database) == 1
    assert database.rows("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'ticks'") == [(0,)]
    database.close()


def test_a_newer_database_is_refused_and_not_touched(state):
    make_older(state, VERSION)
    database = Database(state.database)
    database.execute("UPDATE meta SET value = ? WHERE name = 'schema_version'", [str(VERSION + 1)])
    database.checkpoint()
    database.close()
    before = state.database.read_bytes()
    with pytest.raises(SchemaTooNew, match=f"schema version {VERSION + 1}; this program knows"), open_store(state):
        pass
    assert state.database.read_bytes() == before
    assert not state.backups.exists()
