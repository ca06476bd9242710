"""Acknowledging the failure of a run."""

from __future__ import annotations

from datetime import datetime

from orchestrator.catalog.acknowledgements import acknowledge_run
from orchestrator.catalog.runs import get_run
from orchestrator.catalog.session import Store
from orchestrator.errors import NotPossible
from orchestrator.model.states import RunState


def acknowledge_failure(store: Store, run_id: str, note: str | None, now: datetime) -> None:
    """Acknowledges the failure. Raises NotPossible when the run has not failed."""
    status = store(get_run, run_id).summary.status
    if status is not RunState.FAILURE:
        raise NotPossible(f"Run {run_id} has not failed: {status}.", hint="Only a failed run can be acknowledged.")
    store(acknowledge_run, run_id, note, now)
