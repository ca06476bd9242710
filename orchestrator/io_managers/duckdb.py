"""Tables in a DuckDB file of the user's own (never our state database)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.definitions.contexts import InputContext, OutputContext
from orchestrator.definitions.io_manager import IOManager
from orchestrator.definitions.resource import IOManagerDefinition
from orchestrator.definitions.values import AssetMaterialization, Failure, Metadata
from orchestrator.io_managers.frames import from_arrow, mapping_keys, materialization, to_arrow
from orchestrator.locks import HeldLock, try_lock

_COMMENT = "orchestrator: "
# Steps of one run write to the file in turn; this is how long one of them waits before it says so and fails.
PATIENCE_S = 600.0


class DuckDBIOManager(IOManager):
    """Keeps each output as a table in one DuckDB file, replaced by every run that writes it.

    The table is named by the output's `metadata={"table": "marts.delays"}` (a schema is created when it is missing);
    by default after the step, with the output's name behind it. A mapped step or a dynamic output has one table a key,
    with `__<key>` behind that. DuckDB lets one process write to a file at a time, so steps that run in parallel take
    turns.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    def handle_output(self, context: OutputContext, obj: Any) -> AssetMaterialization:
        incoming, kind = to_arrow(obj, context, "duckdb_io_manager")
        schema, name = _table_of(context)
        with self._connection(context.log) as connection:
            connection.execute("BEGIN")
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            connection.register("incoming", incoming)
            connection.execute(f"CREATE OR REPLACE TABLE {schema}.{name} AS SELECT * FROM incoming")
            connection.execute(f"COMMENT ON TABLE {schema}.{name} IS '{_COMMENT}{kind}'")
            connection.execute("COMMIT")
        table = f"{schema}.{name}".replace('"', "")
        return materialization(context, incoming, {"path": Metadata.path(self._path), "table": table})

    def load_input(self, context: InputContext) -> Any:
        import duckdb

        schema, name = _table_of(context.upstream_output)
        with self._connection(context.log) as connection:
            try:
                table = connection.sql(f"SELECT * FROM {schema}.{name}").to_arrow_table()
            except duckdb.CatalogException:
                upstream = context.upstream_output
                raise Failure(
                    f"There is no table {schema}.{name} in {self._path} for output {upstream.name!r} of step"
                    f" {upstream.step!r}. Run that step again."
                ) from None
            row = connection.execute(
                "SELECT comment FROM duckdb_tables() WHERE schema_name = ? AND table_name = ?",
                [schema.strip('"'), name.strip('"')],
            ).fetchone()
        comment = (row[0] if row else None) or ""
        kind = comment.removeprefix(_COMMENT) if comment.startswith(_COMMENT) else "pyarrow"
        return from_arrow(table, context.type, kind)

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


def _table_of(context: OutputContext) -> tuple[str, str]:
    declared = context.metadata.get("table")
    if declared is None:
        step = context.step.partition("[")[0].replace(".", "__")
        declared = step if context.name == "result" else f"{step}__{context.name}"
    *schema, name = str(declared).split(".")
    if len(schema) > 1 or not all([*schema, name]) or any(mark in declared for mark in '"\0'):
        raise Failure(
            f"{declared!r} cannot be the table of output {context.name!r}: write a table, or a schema and a table with"
            " a dot between."
        )
    table = "__".join([name, *mapping_keys(context)])
    return f'"{schema[0] if schema else "main"}"', f'"{table}"'


def duckdb_io_manager(path: str | os.PathLike[str]) -> IOManagerDefinition:
    """An IO manager that keeps tables (pyarrow, pandas, polars) in the DuckDB file at `path`, and records each as an
    asset with its size, columns and first rows."""

    def duckdb_tables() -> DuckDBIOManager:
        return DuckDBIOManager(path)

    duckdb_tables.__doc__ = f"Tables in {os.fspath(path)}."
    return IOManagerDefinition(duckdb_tables, preload=["pyarrow", "duckdb"])
