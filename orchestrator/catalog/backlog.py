"""Ingests a backlog of journals in bounded parts, so that the daemon's loop is never blocked for long.

Unfinished runs are always ingested at once: decisions about overlap and about runs without an owner depend on them, and
there are never many. Finished runs only add history, so they may follow later, oldest first.
"""

from __future__ import annotations

from collections.abc import Container

from orchestrator.catalog.database import Database
from orchestrator.catalog.ingest import ingest
from orchestrator.clock import monotonic
from orchestrator.runlog.inventory import pending_runs
from orchestrator.runlog.run_log import RunLog
from orchestrator.state_dir import StateDir

# Runs in one transaction. About 20 ms on a laptop.
_HANDFUL = 50


def ingest_part(database: Database, state: StateDir, seconds: float, *, besides: Container[str] = ()) -> int:
    """Ingests all unfinished pending runs and, for about `seconds`, finished ones; returns how many of those are left.
    Skips runs in `besides`. Ingests at least one batch of finished runs, so that repeated calls come to an end."""
    pending = [run_id for run_id in pending_runs(state) if run_id not in besides]
    finished = [run_id for run_id in pending if RunLog(state, run_id).seems_finished()]
    over = set(finished)
    ingest(database, state, [run_id for run_id in pending if run_id not in over])
    finished.sort(key=lambda run_id: RunLog(state, run_id).pending_since())
    deadline = monotonic() + seconds
    for begin in range(0, len(finished), _HANDFUL):
        if begin and monotonic() > deadline:
            return len(finished) - begin
        ingest(database, state, finished[begin : begin + _HANDFUL])
    return 0
