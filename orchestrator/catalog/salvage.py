"""Reads what can still be read of a damaged database. Changes neither file: what is read goes into another database.

Everything about runs that have files is made from those. What is only in the database is read table by table: damage
in the blocks of one leaves the others readable.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.catalog.database import Database
from orchestrator.model.salvaged import Salvaged
from orchestrator.regular import open_regular, read_regular

# Tables that no journal knows of, with a word for people.
ONLY_HERE = {
    "automations": "schedules and sensors with their cursors",
    "tick_rows": "ticks",
    "run_keys": "used run keys",
    "queue": "queued runs",
    "plans": "plans of queued runs",
    "run_endings": "endings of runs that alerts go by",
    "wiped_assets": "wiped assets",
    "acknowledged_runs": "acknowledged failures",
    "deliveries": "alerts that have not got through",
}
# What older versions called a table, or a column.
_OLDER_NAMES = {"automations": "instigators", "tick_rows": "ticks", "automation": "instigator"}
# Tables of which only what belongs to runs without files cannot be made again.
_OF_RUNS = ("runs", "steps", "events", "materializations")
# Rows in a group of DuckDB's: damage in one leaves the next readable.
_GROUP = 122_880
_DAMAGED_AT = re.compile(r"byte position (\d+)")


def salvage(damaged: Path, database: Database, with_files: list[str]) -> list[Salvaged]:
    """Copies what can be read from a damaged file into an empty database; table by table, what that came to. Runs
    `with_files` are left out: they are made from their journals."""
    found = []
    there = _columns(damaged)
    for table, what in ONLY_HERE.items():
        rows, total = _copy(damaged, there, database, table, "", [])
        found.append(Salvaged(what, rows, None if total is None else total - rows))
    count = 0
    for table in _OF_RUNS:
        rows, _ = _copy(damaged, there, database, table, "WHERE NOT list_contains(?, run_id)", [with_files])
        count = rows if table == "runs" else count
    found.append(Salvaged("runs without files", count))
    readable = _readable(damaged)
    for left_over in (readable, readable.with_name(f"{readable.name}.wal")):
        left_over.unlink(missing_ok=True)
    return found


def known_ordinals(damaged: Path) -> list[tuple[str, int]]:
    """The places of materializations in the order of their assets, as far as they can be read: cursors go by them."""
    rows, _ = _rows(damaged, "materializations", "id, ordinal", "", [])
    return [(str(id), int(ordinal)) for id, ordinal in rows]


def _copy(
    damaged: Path,
    found: dict[str, list[str]] | None,
    database: Database,
    table: str,
    condition: str,
    parameters: list[Any],
) -> tuple[int, int | None]:
    """How many rows were copied, and how many there are: None when that cannot be found out either. `found` has the
    tables of the damaged file, None when it cannot be opened."""
    if found is None:
        return 0, None
    names = [row[0] for row in database.rows("SELECT column_name FROM duckdb_columns() WHERE table_name = ?", [table])]
    there = table if table in found else _OLDER_NAMES.get(table, table)
    columns = {name: _known_as(name, found.get(there, ())) for name in names}
    shared = {name: known_as for name, known_as in columns.items() if known_as is not None}
    if not shared:
        return 0, 0  # the damaged file is of a version that had no such table
    rows, total = _rows(damaged, there, ", ".join(shared.values()), condition, parameters)
    if rows:
        database.insert(table, {name: [row[at] for row in rows] for at, name in enumerate(shared)})
    return len(rows), total


def _columns(damaged: Path) -> dict[str, list[str]] | None:
    """The columns of each table in the damaged file; None when it cannot be opened."""
    with _connected(damaged) as connection:
        if connection is None:
            return None
        rows = connection.execute(
            "SELECT table_name, list(column_name) FROM duckdb_columns() JOIN duckdb_tables()"
            " USING (database_name, schema_name, table_name) WHERE database_name = current_database() GROUP BY 1"
        ).fetchall()
    return dict(rows)


def _known_as(column: str, there: Collection[str]) -> str | None:
    """What a table with these columns calls the column; None when it has no such column."""
    return next((name for name in (column, _OLDER_NAMES.get(column)) if name in there), None)


def _rows(
    damaged: Path, table: str, columns: str, condition: str, parameters: list[Any]
) -> tuple[list[tuple[Any, ...]], int | None]:
    """The rows that can be read, and how many there are."""
    query = f"SELECT {columns} FROM {table} {condition}"
    whole = _ask(damaged, query, parameters)
    if whole is not None:
        return whole, len(whole)
    total = _ask(damaged, f"SELECT count(*) FROM {table} {condition}", parameters)
    size = _ask(damaged, f"SELECT count(*) FROM {table}", [])
    joined = "AND" if condition else "WHERE"
    found: list[tuple[Any, ...]] = []
    for start in range(0, int(size[0][0]) if size else 0, _GROUP):
        group = f"{query} {joined} rowid >= {start} AND rowid < {start + _GROUP}"
        found += _ask(damaged, group, parameters) or []
    return found, int(total[0][0]) if total else None


def _ask(damaged: Path, query: str, parameters: list[Any]) -> list[tuple[Any, ...]] | None:
    """The answer; None when what it needs cannot be read. Each question has a connection of its own: after some errors
    DuckDB gives no other answer."""
    import duckdb

    with _connected(damaged) as connection:
        if connection is None:
            return None
        try:
            found: list[tuple[Any, ...]] = connection.execute(query, parameters).fetchall()
        except (duckdb.Error, RuntimeError, MemoryError, UnicodeDecodeError):
            return None
    return found


@contextmanager
def _connected(damaged: Path) -> Iterator[Any]:
    """A connection that only reads; None when the file cannot be opened. A log that is damaged is cut where the damage
    begins: what was committed before that is good."""
    connection = _connect(damaged)
    if connection is None and (cut := _with_shorter_log(damaged)) is not None:
        connection = _connect(cut)
    try:
        yield connection
    finally:
        if connection is not None:
            connection.close()


def _connect(path: Path) -> Any:
    import duckdb

    try:
        for file in (path, path.with_name(f"{path.name}.wal")):
            if os.path.lexists(file):
                os.close(open_regular(file))
        return duckdb.connect(str(path), read_only=True)
    except (duckdb.Error, RuntimeError, MemoryError, UnicodeDecodeError, OSError):
        return None


def _with_shorter_log(damaged: Path) -> Path | None:
    """The same database under another name, with as much of its write-ahead log as can be read."""
    log = damaged.with_name(f"{damaged.name}.wal")
    if not os.path.lexists(log) or not damaged.is_file() or damaged.is_symlink():
        return None
    other = _readable(damaged)
    if not other.exists():
        other.hardlink_to(damaged)
        other.with_name(f"{other.name}.wal").write_bytes(_whole_part(damaged, log))
    return other


def _whole_part(damaged: Path, log: Path) -> bytes:
    """The part of a write-ahead log before its damage, as DuckDB says where that is."""
    import duckdb

    try:
        content = read_regular(log)
        duckdb.connect(str(damaged), read_only=True).close()
    except duckdb.Error as error:
        position = _DAMAGED_AT.search(str(error))
        return content[: int(position[1])] if position else b""
    except OSError:
        return b""
    return content


def _readable(damaged: Path) -> Path:
    return damaged.with_name(f"{damaged.stem}-readable.duckdb")
