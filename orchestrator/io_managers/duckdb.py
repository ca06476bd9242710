"""Tables in a DuckDB file of the user's own (never our state database)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.definitions.contexts import InputContext, OutputContext
from orchestrator.definitions.io_manager import IOManager
from orchestrator.definitions.resource import IOManagerDefinition
from orchestrator.definitions.values import AssetMaterialization, Failure, Metadata
from orchestrator.io_managers.catalog import materialization
from orchestrator.io_managers.duckdb_tables import (
    TableName,
    delete_kept,
    keep,
    quoted,
    read_label,
    runs_kept,
    write_label,
)
from orchestrator.io_managers.frames import Tabular, from_tabular, stored_form
from orchestrator.io_managers.identity import Label, check_read, check_write
from orchestrator.io_managers.kept import ended_runs, run_to_keep, run_to_look_for
from orchestrator.io_managers.places import mapping_keys, with_run_id
from orchestrator.io_managers.stored_tables import check_kept, label_of, refused_by, tabular_of
from orchestrator.locks import HeldLock, try_lock

if TYPE_CHECKING:
    import pyarrow as pa

_STORE = "duckdb_io_manager"
# Steps of one run write to the file in turn; this is how long one of them waits before it says so and fails.
PATIENCE_S = 600.0


class DuckDBIOManager(IOManager):
    """Keeps each output as a table in one DuckDB file, replaced by every run that writes it.

    The table is named by the output's `metadata={"table": "marts.delays"}` (a schema is created when it is missing);
    by default after the step, with the output's name behind it. `{run_id}` in the name stands for the run, which gives
    each run a table of its own. A mapped step or a dynamic output has one table a key, with `__<key>` behind that.
    DuckDB lets one process write to a file at a time, so steps that run in parallel take turns.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    def handle_output(self, context: OutputContext, obj: Any) -> AssetMaterialization:
        import duckdb

        tabular = stored_form(obj, context, _STORE)
        if not tabular.table.num_columns:
            raise Failure(f"{_STORE} cannot keep a table without columns, as output {context.name!r} is.")
        table = _table_of(context)
        label = label_of(tabular, context, with_skeleton=True)
        with self._connection(context.log) as connection:
            connection.execute("BEGIN")
            self._make_room(connection, table, context)
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(table.schema)}")
            try:
                _create(connection, table.sql, tabular.table)
            except duckdb.Error:
                refused_by(tabular, _create_alone, context, _STORE)
                raise
            _check_stored(connection, table.sql, tabular, label, context)
            write_label(connection, table, label)
            connection.execute("COMMIT")
        return materialization(context, tabular.table, {"path": Metadata.path(self._path), "table": str(table)})

    def _make_room(self, connection: Any, table: TableName, context: OutputContext) -> None:
        """Keeps the table that is there for the run that needs it; fails when that is this run."""
        there = read_label(connection, table)
        check_write(there.made_by, context, f"Table {table} in {self._path}")
        run = run_to_keep(there.made_by, context)
        if run is not None:
            keep(connection, table, there, run)
        delete_kept(connection, table, ended_runs(runs_kept(connection, table), context))

    def load_input(self, context: InputContext) -> Any:
        import duckdb

        upstream = context.upstream_output
        table = _table_of(upstream)
        with self._connection(context.log) as connection:
            connection.execute("BEGIN")  # what is read is what was checked
            label = read_label(connection, table)
            run = run_to_look_for(label.made_by, upstream)
            if run is not None and run in runs_kept(connection, table):
                table = table.kept_for(run)
                label = read_label(connection, table)
            check_read(label.made_by, upstream, f"Table {table} in {self._path}", shared=True)
            try:
                content = connection.sql(f"SELECT * FROM {table.sql}").to_arrow_table()
            except duckdb.CatalogException:
                raise Failure(
                    f"There is no table {table} in {self._path} for output {upstream.name!r} of step"
                    f" {upstream.step!r}. Run that step again."
                ) from None
        return from_tabular(tabular_of(content, label), context.type)

    @contextmanager
    def _connection(self, log: Any) -> Iterator[Any]:
        import duckdb

        self._path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + PATIENCE_S
        turn = self._turn(deadline)
        try:
            connection = None
            while connection is None:
                try:
                    connection = duckdb.connect(str(self._path))
                except duckdb.IOException as error:
                    # Our own steps queue at the lock file; this is another program that has the database open.
                    if "lock" not in str(error).lower() or time.monotonic() > deadline:
                        raise
                    log.warning("waiting for %s: %s", self._path, str(error).split("\n")[0])
                    time.sleep(1.0)
            # Else times with a zone are read in the zone of this computer.
            connection.execute("SET TimeZone = 'UTC'")
            try:
                yield connection
            finally:
                connection.close()
        finally:
            turn.release()

    def _turn(self, deadline: float) -> HeldLock:
        lock_file = self._path.with_name(self._path.name + ".lock")
        while (held := try_lock(lock_file)) is None:
            if time.monotonic() > deadline:
                raise Failure(f"Another step has held {self._path} for {PATIENCE_S:.0f} seconds.")
            time.sleep(0.005)
        return held


def _create(connection: Any, table: str, content: pa.Table) -> None:
    connection.register("incoming", _physical(content))
    connection.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT * FROM incoming")


def _create_alone(content: pa.Table) -> None:
    import duckdb

    with duckdb.connect() as connection:
        _create(connection, "alone", content)


def _physical(table: pa.Table) -> pa.Table:
    """The table with columns of types that DuckDB does not take as ones that it does."""
    import pyarrow as pa
    from pyarrow import types

    for position, field in enumerate(table.schema):
        column = table.column(position)
        if types.is_float16(field.type):
            column = column.cast(pa.float32())
        elif isinstance(field.type, pa.BaseExtensionType) and field.type.extension_name not in _KNOWN_EXTENSIONS:
            column = pa.chunked_array([chunk.storage for chunk in column.chunks], type=field.type.storage_type)
        else:
            continue
        table = table.set_column(position, field.name, column)
    return table


_KNOWN_EXTENSIONS = frozenset({"arrow.uuid", "arrow.bool8", "arrow.json"})


def _check_stored(connection: Any, table: str, tabular: Tabular, label: Label, context: OutputContext) -> None:
    names = tabular.table.column_names
    stored = [row[0] for row in connection.execute(f"DESCRIBE {table}").fetchall()]
    if stored != names:
        output = f"output {context.name!r} of step {context.step!r}"
        raise Failure(f"{_STORE} cannot keep {output}: {_renamed(names, stored)}")

    def read(positions: list[int]) -> pa.Table:
        columns = ", ".join(quoted(names[position]) for position in positions)
        return connection.sql(f"SELECT {columns} FROM {table}").to_arrow_table()

    check_kept(tabular, label, read, _is_exact, context, _STORE)


def _renamed(names: list[str], stored: list[str]) -> str:
    """Which columns DuckDB had to rename, and why."""
    renamed = next(before for before, after in zip(names, stored, strict=True) if before != after)
    alike = [name for name in names if name.lower() == renamed.lower()]
    if len(alike) > 1:
        shown = " and ".join(map(repr, alike))
        return f"DuckDB does not tell the names of columns {shown} apart (it ignores case). Rename one of them."
    return f"DuckDB has no columns called {renamed!r}. Rename it."


def _is_exact(kind: pa.DataType) -> bool:
    """Whether DuckDB is known to keep a type with all its values, once they are cast back."""
    from pyarrow import types

    return bool(
        types.is_boolean(kind)
        or types.is_integer(kind)
        or types.is_float32(kind)
        or types.is_float64(kind)
        or types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_date32(kind)
        or (types.is_time64(kind) and kind.unit == "us")
        or (types.is_timestamp(kind) and (kind.tz is None or kind.unit == "us"))
        or types.is_decimal128(kind)
    )


def _table_of(context: OutputContext) -> TableName:
    declared = context.metadata.get("table")
    if declared is None:
        step = context.step.partition("[")[0].replace(".", "__")
        declared = step if context.name == "result" else f"{step}__{context.name}"
    *schema, name = with_run_id(str(declared), context).split(".")
    if len(schema) > 1 or not all([*schema, name]) or any(mark in str(declared) for mark in '"\0'):
        raise Failure(
            f"{declared!r} cannot be the table of output {context.name!r}: write a table, or a schema and a table with"
            " a dot between."
        )
    return TableName(schema[0] if schema else "main", "__".join([name, *mapping_keys(context)]))


def duckdb_io_manager(path: str | os.PathLike[str]) -> IOManagerDefinition:
    """An IO manager that keeps tables (pyarrow, pandas, polars) in the DuckDB file at `path`, and records each as an
    asset with its size, columns and first rows."""

    def duckdb_tables() -> DuckDBIOManager:
        return DuckDBIOManager(path)

    duckdb_tables.__doc__ = f"Tables in {os.fspath(path)}."
    return IOManagerDefinition(duckdb_tables, preload=["pyarrow", "duckdb"])
