"""The status page."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.cli.output import Cell, Painter, table
from orchestrator.cli.runs_view import ago, run_table
from orchestrator.cli.styles import BOLD, DIM, GREEN, RED, YELLOW
from orchestrator.cli.ticks_view import TICK_STYLES, until
from orchestrator.clock import now
from orchestrator.operations.status import Status


def status_lines(status: Status, paint: Painter) -> Iterator[str]:
    """One screen: the verdict first, then what it rests on."""
    if status.ok:
        yield paint(f"{BOLD};{GREEN}", "✓ all is well")
    else:
        count = len(status.problems)
        yield paint(f"{BOLD};{RED}", f"✗ {count} problem{'' if count == 1 else 's'}")
        for problem in status.problems:
            yield f"  - {problem.splitlines()[0]}"
    yield paint(DIM, f"  {status.workspace}   state in {status.state_dir}")
    yield from _locations(status, paint)
    yield from _daemon(status, paint)
    yield from _instigators(status, paint)
    for title, runs in (
        ("running", status.active_runs),
        ("interrupted", status.interrupted_runs),
        ("failed in the last day", status.failed_runs),
    ):
        if runs:
            yield f"\n{paint(BOLD, title)}"
            interrupted = {run.run_id for run in status.interrupted_runs}
            yield from (f"  {line}" for line in run_table(runs, now(), interrupted).split("\n"))


def _locations(status: Status, paint: Painter) -> Iterator[str]:
    yield f"\n{paint(BOLD, 'locations')}"
    for location in status.locations:
        if location.loaded:
            names = ", ".join(location.pipelines) or "no pipelines"
            yield f"  {paint(GREEN, '✓')} {location.name}  {paint(DIM, names)}"
            continue
        yield f"  {paint(RED, '✗')} {location.name}  {paint(RED, 'broken')}"
        for line in (location.traceback or location.error or "").splitlines()[-12:]:
            yield f"      {line}"


def _daemon(status: Status, paint: Painter) -> Iterator[str]:
    daemon = status.daemon
    if not daemon.running and not status.instigators and not daemon.queued:
        return
    yield f"\n{paint(BOLD, 'daemon')}"
    if not daemon.running:
        yield f"  {paint(DIM, '·')} not running"
    else:
        since = f", since {ago(daemon.started_at, now())}" if daemon.started_at else ""
        fine = bool(daemon.concerns) and all(one["alive"] and not one["erroring"] for one in daemon.concerns)
        symbol = paint(GREEN, "✓") if fine else paint(RED, "✗")
        yield f"  {symbol} process {daemon.pid}{since}"
    if daemon.queued:
        yield f"  {daemon.queued} runs queued"
        yield from (f"    {run_id}  {reason}" for run_id, reason in list(daemon.waiting.items())[:5])


def _instigators(status: Status, paint: Painter) -> Iterator[str]:
    if not status.instigators:
        return
    yield f"\n{paint(BOLD, 'schedules and sensors')}"
    rows = []
    for one in status.instigators:
        state = Cell("gone, still on", YELLOW) if one.gone else Cell("on", GREEN) if one.is_on else Cell("off", DIM)
        due = until(one.next_at, now()) if one.is_on and one.next_at else ""
        last: object = ""
        if one.last is not None:
            symbol, colour = TICK_STYLES[one.last.status]
            last = Cell(f"{symbol} {one.last.status.lower()} {ago(one.last.at, now())}", colour)
        rows.append([Cell(one.name, BOLD), one.kind.replace("_", " "), state, due, last])
    yield from (f"  {line}" for line in table(["NAME", "KIND", "STATE", "NEXT", "LAST"], rows).split("\n"))
