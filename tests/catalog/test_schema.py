"""A database made by an older version is brought up to date, with a way back; one made by a newer is left alone."""

from datetime import UTC, datetime
from importlib import resources

import pytest

from orchestrator.catalog.automations import list_automations, used_keys
from orchestrator.catalog.database import Database
from orchestrator.catalog.maintenance import TABLES, scan
from orchestrator.catalog.runs import list_runs
from orchestrator.catalog.salvage import salvage
from orchestrator.catalog.schema import MIGRATIONS, VERSION, schema_version
from orchestrator.catalog.session import open_store
from orchestrator.catalog.ticks import list_ticks
from orchestrator.errors import SchemaTooNew
from orchestrator.model.filters import RunFilter, TickFilter
from tests.catalog.journals import a_finished_run


def make_older(state, version):
    """A database as it was after that many migrations, with a run and an event in it."""
    database = Database(state.database)
    for name in MIGRATIONS[:version]:
        database.execute(resources.files("orchestrator.catalog").joinpath("migrations", f"{name}.sql").read_text())
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
        assert store(list_automations) == []
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
    monkeypatch.setattr(
        "orchestrator.catalog.schema.statement_of", lambda name: "CREATE TABLE ticks (x INTEGER); SELEKT 1"
    )
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


def an_old_tick(**columns):
    known = {"tick_id": "1", "instigator": "main/x", "kind": "schedule", "status": "SKIPPED", **columns}
    return {name: [value] for name, value in known.items()}


TOLD = "told of the FAILURE of run 4zg9h2kq7m1x (people)"
FACTS_IN_SENTENCES = [
    pytest.param(
        {"status": "MISSED", "skip_reason": "late (37 occurrences, the last of them at 2026-01-01 00:00:09+00:00)"},
        {"skip_reason": "late", "occurrences": 37, "until": datetime(2026, 1, 1, 0, 0, 9, tzinfo=UTC)},
        id="one tick for many occurrences",
    ),
    pytest.param(
        {"skip_reason": "run 4zg9h2kq7m1x is not over yet (overlap=skip)"},
        {"skip_reason": "the previous run has not finished (overlap=skip)", "about_run": "4zg9h2kq7m1x"},
        id="a run in the way",
    ),
    pytest.param(
        {"skip_reason": "run the dog is not over yet (", "duration_s": 0.1},
        {"skip_reason": "run the dog is not over yet ("},
        id="words of the user's own",
    ),
    pytest.param(
        {"kind": "run_status_sensor", "status": "SUCCESS", "output": TOLD},
        {"about_run": "4zg9h2kq7m1x", "output": None},
        id="an alert that printed nothing",
    ),
    pytest.param(
        {"kind": "run_status_sensor", "status": "SUCCESS", "output": f"{TOLD}\none (1)\ntwo"},
        {"about_run": "4zg9h2kq7m1x", "output": "one (1)\ntwo"},
        id="an alert that printed something",
    ),
    pytest.param(
        {"kind": "run_status_sensor", "status": "FAILURE", "error": f"{TOLD}:\nTraceback:\nKeyError: (1):\n2"},
        {"about_run": "4zg9h2kq7m1x", "error": "Traceback:\nKeyError: (1):\n2"},
        id="an alert that failed",
    ),
]


@pytest.mark.parametrize(("columns", "facts"), FACTS_IN_SENTENCES)
def test_what_older_versions_wrote_into_sentences_becomes_facts(state, columns, facts):
    make_older(state, 2)
    database = Database(state.database)
    database.insert("ticks", {**an_old_tick(**columns), "occurred_at": [datetime(2026, 1, 1)]})
    database.execute("UPDATE ticks SET run_ids = '[]', run_keys = '[]'")
    database.close()
    with open_store(state) as store:
        (tick,) = store(list_ticks, TickFilter())
    expected = {"occurrences": 1, "until": None, "about_run": None, **facts}
    assert {name: getattr(tick, name) for name in expected} == expected


BODY = (
    '{"id":"main/x","location":"main","name":"x","kind":"sensor","is_on":true,"changed_at":"2026-01-01T00:00:00Z",'
    '"cursor":"7"}'
)
REMEMBERED = {
    "instigators": {"id": ["main/x"], "body": [BODY]},
    "ticks": {"tick_id": ["t1"], "instigator": ["main/x"], "kind": ["sensor"], "status": ["SUCCESS"],
              "occurred_at": [datetime(2026, 1, 1)]},
    "run_keys": {"instigator": ["main/x"], "run_key": ["file-1"], "run_id": ["0123456789ab"]},
}  # fmt: skip


def remember(state, version):
    """An older database that knows a sensor, one of its ticks and a key that it used."""
    make_older(state, version)
    database = Database(state.database)
    for table, columns in REMEMBERED.items():
        database.insert(table, columns)
    database.checkpoint()
    database.close()


def knows_them(store):
    (automation,) = store(list_automations)
    (tick,) = store(list_ticks, TickFilter())
    return (automation.id, automation.cursor, tick.name, store(used_keys, "main/x", ["file-1", "file-2"]))


@pytest.mark.parametrize("version", range(2, VERSION))
def test_what_older_versions_remembered_of_schedules_and_sensors_is_kept(state, version):
    remember(state, version)
    with open_store(state) as store:
        assert knows_them(store) == ("main/x", "7", "main/x", ["file-1"])


@pytest.mark.parametrize("version", range(2, VERSION))
def test_it_is_kept_when_it_has_to_be_copied_out_of_a_damaged_file(state, version):
    remember(state, version)
    damaged = state.database.rename(state.database.with_suffix(".damaged"))
    with open_store(state) as store:
        salvage(damaged, store.database, [])
        assert knows_them(store) == ("main/x", "7", "main/x", ["file-1"])


def test_queries_may_use_the_names_of_older_versions(state):
    remember(state, 2)
    with open_store(state) as store:
        database = store.database
        assert database.rows("SELECT instigator, automation FROM ticks") == [("main/x", "main/x")]
        assert database.rows("SELECT id FROM instigators") == [("main/x",)]
