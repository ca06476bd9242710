"""Statements on one table of a user's DuckDB file: its comment, and copies of it that are kept for other runs."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from orchestrator.io_managers.frames import form_of_library
from orchestrator.io_managers.identity import Label, decode_label, encode_label
from orchestrator.io_managers.kept import KEPT

# The comment of a table: this, and the label. Version 0.1.0 wrote the name of a library in place of the label.
_COMMENT = "orchestrator: "


class TableName(Struct, frozen=True):
    """A table in a schema."""

    schema: str
    name: str

    @property
    def sql(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    def kept_for(self, run: str) -> TableName:
        """The copy of this table for another run."""
        return TableName(KEPT, f"{self}.{run}")


def quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def read_label(connection: Any, table: TableName) -> Label:
    """What the comment of a table says; nothing when there is no such table or its comment is not ours."""
    rows = connection.execute(
        "SELECT comment FROM duckdb_tables() WHERE database_name = current_database()"
        " AND lower(schema_name) = lower(?) AND lower(table_name) = lower(?)",
        [table.schema, table.name],
    ).fetchall()
    comment = (rows[0][0] if rows else None) or ""
    if not comment.startswith(_COMMENT):
        return Label()
    text = comment.removeprefix(_COMMENT)
    return decode_label(text) or Label(form=form_of_library(text))


def write_label(connection: Any, table: TableName, label: Label) -> None:
    text = (_COMMENT + encode_label(label).decode()).replace("'", "''")
    connection.execute(f"COMMENT ON TABLE {table.sql} IS '{text}'")


def keep(connection: Any, table: TableName, label: Label, run: str) -> None:
    """Copies a table that is about to be replaced, for the run that has stored it."""
    copy = table.kept_for(run)
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(KEPT)}")
    connection.execute(f"CREATE OR REPLACE TABLE {copy.sql} AS FROM {table.sql}")
    write_label(connection, copy, label)


def runs_kept(connection: Any, table: TableName) -> list[str]:
    """The runs for which a copy of this table is kept."""
    rows = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = ?"
        " AND starts_with(table_name, ?)",
        [KEPT, f"{table}."],
    ).fetchall()
    return [name.rpartition(".")[2] for (name,) in rows if name.rpartition(".")[0] == str(table)]


def delete_kept(connection: Any, table: TableName, runs: list[str]) -> None:
    """Deletes the copies that are kept for these runs, and the schema with the last one."""
    for run in runs:
        connection.execute(f"DROP TABLE IF EXISTS {table.kept_for(run).sql}")
    left = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = ?", [KEPT]
    ).fetchall()
    if runs and left == [(0,)]:
        connection.execute(f"DROP SCHEMA IF EXISTS {quoted(KEPT)}")
