"""`orchestrator status`: is all well, and if not, what and why."""

from __future__ import annotations

from orchestrator.cli.options import Json, single, workspace
from orchestrator.cli.outcome import OK, RUN_FAILED
from orchestrator.cli.output import painter, print_json, put

app = single()


@app.command(epilog="Example: orchestrator status || notify-send 'orchestrator needs you'")
def status(json: Json = False) -> int:
    """Say whether all is well: locations, runs, the state. Exits with 0 only if it is."""
    import msgspec

    from orchestrator.cli.status_view import MOST_RUNS, status_lines
    from orchestrator.service.status import look

    with workspace(only_reads=True) as found:
        seen = look(found, most_failed=None if json else MOST_RUNS)
    if json:
        shown = msgspec.to_builtins(seen, enc_hook=str)
        print_json({**shown, "instigators": shown["automations"]})  # the name in 0.1.0
    else:
        for line in status_lines(seen, painter()):
            put(line)
    return OK if seen.ok else RUN_FAILED
