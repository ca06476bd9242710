"""Questions in SQL from people: answered from a transaction that cannot write. Knows no table."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from orchestrator.errors import UsageError
from orchestrator.store.codec import from_timestamp
from orchestrator.store.database import Database

_READING = frozenset({"SELECT", "EXPLAIN", "PRAGMA", "RELATION"})


class QueryResult(msgspec.Struct, frozen=True):
    """Columns and rows; values are JSON-able."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def query(database: Database, statement: str) -> QueryResult:
    """The result of one SQL statement that reads. Raises UsageError for one that is wrong, or that would write."""
    import duckdb

    with database.reading() as connection:
        try:
            statements = connection.extract_statements(statement)
            if len(statements) != 1:
                raise UsageError(f"One SQL statement is expected, not {len(statements)}.")
            if statements[0].type.name not in _READING:
                raise UsageError(f"{statements[0].type.name} is refused: the state can only be read this way.")
            connection.execute(statements[0])
            columns = tuple(column[0] for column in connection.description or ())
            rows = [tuple(_plain(value) for value in row) for row in connection.fetchall()]
        except (duckdb.IOException, duckdb.FatalException):
            raise
        except duckdb.TransactionException as error:
            raise UsageError("That statement would write; the state can only be read this way.") from error
        except duckdb.Error as error:
            raise UsageError(f"The query failed: {error}") from error
    return QueryResult(columns, rows)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return from_timestamp(value.replace(tzinfo=None))
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return str(value)
