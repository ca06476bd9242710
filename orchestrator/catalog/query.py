"""Answers SQL from people. One statement is checked, and runs in a transaction that can neither write, nor read files,
nor change a setting.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from orchestrator.catalog.codec import from_timestamp
from orchestrator.catalog.database import Database
from orchestrator.catalog.kinds import question
from orchestrator.errors import UsageError

# A longer statement is data, or a mistake.
LONGEST = 100_000
# What a result may hold. It is in memory here, in the daemon and in the message between them.
LARGEST = 64 << 20
_AT_ONCE = 1000

# What a statement may call in place of a table. Others read files, look into memory, or change settings.
_TABLE_FUNCTIONS = frozenset(
    {
        *("range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree"),
        *("duckdb_columns", "duckdb_constraints", "duckdb_databases", "duckdb_functions", "duckdb_indexes"),
        *("duckdb_keywords", "duckdb_memory", "duckdb_schemas", "duckdb_settings", "duckdb_tables", "duckdb_types"),
        *("duckdb_views", "pragma_table_info", "pragma_show", "pragma_version", "pragma_database_size"),
        *("pragma_storage_info", "pg_timezone_names"),
    }
)
_PRAGMAS = frozenset(
    {"table_info", "show", "show_tables", "show_tables_expanded", "show_databases", "database_size", "version"}
)
# Functions of a value that change something.
_FUNCTIONS_REFUSED = frozenset({"write_log", "setval", "nextval", "setseed"})

_SPACE = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
_EXPLAIN = re.compile(rf"{_SPACE}explain\b{_SPACE}(?:analyze\b{_SPACE})?(?:\([\w\s,]*\){_SPACE})?", re.I | re.S)
_PRAGMA = re.compile(rf"{_SPACE}pragma\s+(?P<name>\w+)\s*(?:\(\s*['\"]?\w*['\"]?\s*\))?\s*;?\s*$", re.I | re.S)
_FIRST_WORD = re.compile(rf"{_SPACE}\(*\s*(?P<word>\w+)", re.S)
_CALL = re.compile(r"[\"']?(?P<name>\w+)[\"']?\s*\(")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
# What DuckDB would take for a file, if there is no table of that name.
_LIKE_A_FILE = re.compile(r"[./\\:*?\[]")


class QueryResult(msgspec.Struct, frozen=True):
    """Columns and rows; values are JSON-able."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


@question
def query(database: Database, statement: str) -> QueryResult:
    """The result of one SQL statement that reads. Raises UsageError for one that is wrong, or may do something else."""
    import duckdb

    if len(statement) > LONGEST:
        raise UsageError(f"The statement has {len(statement):,} characters; at most {LONGEST:,} are taken.")
    with database.reading() as connection:
        try:
            checked = _checked(connection, statement)
            connection.execute(checked)
            columns = tuple(column[0] for column in connection.description or ())
            return QueryResult(columns, list(_rows(connection)))
        except (duckdb.IOException, duckdb.FatalException, duckdb.InterruptException):
            raise
        except duckdb.TransactionException as error:
            raise UsageError("That statement would write; the state can only be read this way.") from error
        except duckdb.OutOfMemoryException as error:
            raise UsageError("The query needs more memory than it may have.", hint="Ask for less.") from error
        except duckdb.Error as error:
            raise UsageError(f"The query failed: {error}") from error


def _rows(connection: Any) -> Iterator[tuple[Any, ...]]:
    size = 0
    while rows := connection.fetchmany(_AT_ONCE):
        for row in rows:
            plain = tuple(_plain(value) for value in row)
            size += sum(len(value) if isinstance(value, str) else sys.getsizeof(value) for value in plain)
            if size > LARGEST:
                raise UsageError(
                    f"The result is larger than {LARGEST >> 20} MB.", hint="Use LIMIT, or count in SQL what you need."
                )
            yield plain


def _checked(connection: Any, text: str) -> Any:
    """The statement, found to read nothing but tables. Raises UsageError."""
    statements = connection.extract_statements(text)
    if len(statements) != 1:
        raise UsageError(f"One SQL statement is expected, not {len(statements)}.")
    kind = statements[0].type.name
    if kind == "SELECT":
        _check_select(connection, text)
    elif kind == "EXPLAIN" and (explain := _EXPLAIN.match(text)):
        _check_select(connection, text[explain.end() :])
    elif kind == "PRAGMA" and (pragma := _PRAGMA.match(text)):
        _refuse_unless(pragma["name"].lower() in _PRAGMAS, f"PRAGMA {pragma['name']}")
    elif kind == "MULTI" and _first_word(text) in ("pivot", "pivot_wider", "from", "with", "select"):
        _check_words(connection, text)
    else:
        _refuse_unless(False, kind)
    return statements[0]


def _check_select(connection: Any, text: str) -> None:
    """Looks at each part of a SELECT, as DuckDB itself has understood it."""
    row = connection.execute("SELECT json_serialize_sql(?)", [text]).fetchone()
    try:
        parsed = json.loads(row[0])
    except RecursionError:
        raise UsageError("The statement is nested too deeply.") from None
    if parsed.get("error"):
        raise UsageError(
            f"Only statements that read are taken: {parsed.get('error_message', 'this one is not understood')}"
        )
    for node in _nodes(parsed):
        kind = node.get("type")
        if kind == "TABLE_FUNCTION":
            name = str(node["function"].get("function_name", "")).lower()
            _refuse_unless(name in _TABLE_FUNCTIONS, f"{name}() in place of a table")
        elif kind == "BASE_TABLE":
            name = str(node.get("table_name", ""))
            _refuse_unless(not _LIKE_A_FILE.search(name), f"The file {name!r}")
        elif kind == "FUNCTION":
            name = str(node.get("function_name", "")).lower()
            _refuse_unless(name not in _FUNCTIONS_REFUSED, f"{name}()")


def _nodes(parsed: Any) -> Iterator[dict[str, Any]]:
    waiting = [parsed]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _check_words(connection: Any, text: str) -> None:
    """A PIVOT that looks for its columns by itself is several statements, which cannot be looked at: its words are."""
    rows = connection.execute(
        "SELECT DISTINCT lower(function_name) FROM duckdb_functions() WHERE function_type LIKE '%table%'"
    )
    refused = {row[0] for row in rows.fetchall()} - _TABLE_FUNCTIONS | _FUNCTIONS_REFUSED
    for call in _CALL.finditer(text):
        _refuse_unless(call["name"].lower() not in refused, f"{call['name']}()")
    for quoted in _QUOTED.findall(text):
        _refuse_unless(not _LIKE_A_FILE.search(quoted), f"{quoted} in a PIVOT")


def _first_word(text: str) -> str:
    found = _FIRST_WORD.match(text)
    return found["word"].lower() if found else ""


def _refuse_unless(allowed: bool, what: str) -> None:
    if not allowed:
        raise UsageError(
            f"{what} is refused: the state can only be read this way, and only its tables.",
            hint="`orchestrator sql --help` names them.",
        )


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
