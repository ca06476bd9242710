"""The tables, version by version. Changes none of them by hand: what a version brings is in its file.

A migration is a file of SQL. Before one touches an existing database a backup is made; after it the file is
checkpointed and opened again, because DDL left in a write-ahead log is what DuckDB has most trouble replaying.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources

from orchestrator.catalog.database import Database
from orchestrator.errors import SchemaTooNew

MIGRATIONS = ("0001_initial", "0002_daemon", "0003_alerts", "0004_recovery", "0005_step_times", "0006_automations")
VERSION = len(MIGRATIONS)


def schema_version(database: Database) -> int:
    """How many migrations the database has been through; 0 when it is empty."""
    return int(database.meta("schema_version") or 0)


def migrate(database: Database, back_up: Callable[[], None], reopen: Callable[[], Database]) -> Database:
    """The database with all migrations applied; the same object when there was nothing to do. Raises SchemaTooNew."""
    version = schema_version(database)
    if version > VERSION:
        raise SchemaTooNew(
            f"{database.path} has schema version {version}; this program knows versions up to {VERSION}.",
            hint="Upgrade orchestrator, or restore a backup made with the older version.",
        )
    if version == VERSION:
        return database
    if version > 0:
        back_up()
    with database.transaction():
        for name in MIGRATIONS[version:]:
            database.execute(statement_of(name))
        database.execute("DELETE FROM meta WHERE name = 'schema_version'")
        database.execute("INSERT INTO meta VALUES ('schema_version', ?)", [str(VERSION)])
    database.checkpoint()
    return reopen()


def statement_of(name: str) -> str:
    """The SQL of a migration."""
    return resources.files("orchestrator.catalog").joinpath("migrations", f"{name}.sql").read_text()
