"""`orchestrator sql`: queries the state as tables."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from orchestrator.cli.options import Json, single, workspace
from orchestrator.cli.output import print_json, put, say, table

app = single()

_EPILOG = """Example: orchestrator sql "SELECT pipeline, status, count(*) FROM runs GROUP BY ALL"

Tables and columns, instants in UTC:

\b
runs             run_id, pipeline, location, mode, status, created_at, started_at,
                 finished_at, tags (JSON), trigger_json, parent_run_id, root_run_id, reason
steps            run_id, step, status, attempts, started_at, finished_at, duration_s, error
events           run_id, seq, occurred_at, event, step, attempt, body (JSON)
materializations asset_key, partition_key, run_id, pipeline, step, materialized_at,
                 description, metadata (JSON), tags (JSON)
ticks            tick_id, automation, kind, status, occurred_at, scheduled_at, duration_s,
                 run_ids, run_keys, skip_reason, error

`DESCRIBE runs` names the types, `SHOW TABLES` the other tables; those may change. One SELECT, EXPLAIN, DESCRIBE,
SHOW, SUMMARIZE or PIVOT is taken; it cannot read files, and may take ten minutes. `-` reads it from standard input."""


@app.command(epilog=_EPILOG)
def sql(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="One SQL statement that reads.")],
    json: Json = False,
) -> None:
    """Ask the state a question in SQL. It cannot be changed this way."""
    from orchestrator.service.sql import ask_sql

    statement = sys.stdin.read() if query == "-" else query
    with workspace(only_reads=True) as found:
        result = ask_sql(found.state, statement, tell=say)
    if json:
        print_json([dict(zip(result.columns, row, strict=True)) for row in result.rows])
        return
    rows = [["" if value is None else str(value) for value in row] for row in result.rows]
    put(table(list(result.columns), rows) if result.columns else "")
    say(f"{len(rows)} row{'' if len(rows) == 1 else 's'}")
