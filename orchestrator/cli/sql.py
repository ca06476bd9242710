"""`orchestrator sql`: the state as tables, to ask whatever one likes. Knows no table."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from orchestrator.cli.options import Json, store
from orchestrator.cli.output import print_json, say, table

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_EPILOG = """Example: orchestrator sql "SELECT pipeline, status, count(*) FROM runs GROUP BY ALL"

Tables: runs, steps, events, materializations. Instants are in UTC. `-` reads the query from standard input."""


@app.command(epilog=_EPILOG)
def sql(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="One SQL statement that reads.")],
    json: Json = False,
) -> None:
    """Ask the state a question in SQL. It cannot be changed this way."""
    from orchestrator.store.query import query as run_query

    statement = sys.stdin.read() if query == "-" else query
    with store() as opened:
        result = opened(run_query, statement)
    if json:
        print_json([dict(zip(result.columns, row, strict=True)) for row in result.rows])
        return
    rows = [["" if value is None else str(value) for value in row] for row in result.rows]
    print(table(list(result.columns), rows) if result.columns else "")
    say(f"{len(rows)} row{'' if len(rows) == 1 else 's'}")
