"""Finds failed alerts, retries and dismisses them."""

from __future__ import annotations

from datetime import datetime

from orchestrator.catalog.deliveries import list_deliveries, retry_deliveries
from orchestrator.catalog.session import Store
from orchestrator.catalog.ticks import TickBatch, commit_ticks
from orchestrator.errors import NotFound
from orchestrator.ids import new_run_id
from orchestrator.model.automation import Automation
from orchestrator.model.delivery import Delivery
from orchestrator.model.states import TickState
from orchestrator.model.tick import Tick


def failed_alerts(store: Store, one: Automation, run: str | None) -> list[Delivery]:
    """The failed alerts of a sensor, or those about a run, given by its id or a beginning of it. Raises NotFound when
    none is about that run."""
    found = store(list_deliveries, one.id)
    chosen = [delivery for delivery in found if run is None or delivery.run.run_id.startswith(run)]
    if run is not None and not chosen:
        raise NotFound(
            f"{one.id} has no failed alert about a run {run!r}.",
            hint=f"`orchestrator sensor deliveries {one.id}` lists its failed alerts.",
        )
    if len({delivery.run.run_id for delivery in chosen}) > 1 and run is not None:
        raise NotFound(f"Several runs begin with {run!r}.", hint="Give more of the id.")
    return chosen


def retry_alerts(store: Store, chosen: list[Delivery], now: datetime) -> None:
    """Makes them due now, also those that were given up."""
    store(retry_deliveries, [one.key for one in chosen], now)


def acknowledge_alerts(store: Store, chosen: list[Delivery], now: datetime) -> None:
    """Dismisses them: none is tried again. Each leaves a tick that says so."""
    ticks = [
        Tick(
            tick_id=new_run_id(),
            name=one.sensor,
            kind="run_status_sensor",
            status=TickState.SKIPPED,
            at=now,
            skip_reason="acknowledged, and not delivered",
            about_run=one.run.run_id,
        )
        for one in chosen
    ]
    store(commit_ticks, TickBatch(ticks, [], [], delivered=[one.key for one in chosen]))
