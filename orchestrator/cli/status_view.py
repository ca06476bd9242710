"""The status page."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.cli.output import Painter
from orchestrator.cli.runs_view import run_table
from orchestrator.cli.styles import BOLD, DIM, GREEN, RED
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
