"""Alerts that have failed and have not got through: reading and writing them. When one is tried again is decided by the
engine.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.catalog.codec import from_json, from_timestamp, to_json, to_timestamp
from orchestrator.catalog.kinds import reads, writes
from orchestrator.model.delivery import Delivery, RunEnding
from orchestrator.model.states import DeliveryState

if TYPE_CHECKING:
    from orchestrator.catalog.database import Database

_COLUMNS = "sensor, delivery_key, status, attempts, first_failed_at, last_failed_at, next_at, error, run"


@reads
def list_deliveries(database: Database, sensor: str | None = None) -> list[Delivery]:
    """All of them, or those of one sensor, the oldest first."""
    rows = database.rows(
        f"SELECT {_COLUMNS} FROM deliveries WHERE ? IS NULL OR sensor = ?"
        " ORDER BY first_failed_at, sensor, delivery_key",
        [sensor, sensor],
    )
    found = []
    for name, key, status, attempts, first, last, next_at, error, run in rows:
        first_failed_at, last_failed_at = from_timestamp(first), from_timestamp(last)
        assert first_failed_at is not None
        assert last_failed_at is not None
        found.append(
            Delivery(
                sensor=name,
                key=key,
                run=from_json(run, RunEnding),
                status=DeliveryState(status),
                attempts=attempts,
                first_failed_at=first_failed_at,
                last_failed_at=last_failed_at,
                next_at=from_timestamp(next_at),
                error=error,
            )
        )
    return found


@writes
def save_deliveries(database: Database, failed: list[Delivery], delivered: list[str]) -> None:
    """Writes the failed ones, whether they were there or not, and removes those that got through, given by key."""
    keys = [*(one.key for one in failed), *delivered]
    if not keys:
        return
    with database.transaction():
        database.execute("DELETE FROM deliveries WHERE delivery_key IN (SELECT unnest(?))", [keys])
        database.insert(
            "deliveries",
            {
                "sensor": [one.sensor for one in failed],
                "delivery_key": [one.key for one in failed],
                "run_id": [one.run.run_id for one in failed],
                "status": [str(one.status) for one in failed],
                "attempts": [one.attempts for one in failed],
                "first_failed_at": [to_timestamp(one.first_failed_at) for one in failed],
                "last_failed_at": [to_timestamp(one.last_failed_at) for one in failed],
                "next_at": [to_timestamp(one.next_at) for one in failed],
                "error": [one.error for one in failed],
                "run": [to_json(one.run) for one in failed],
            },
        )


@writes
def retry_deliveries(database: Database, keys: list[str], now: datetime) -> None:
    """Makes these due now, also those that were given up."""
    database.execute(
        "UPDATE deliveries SET status = 'PENDING', next_at = ? WHERE delivery_key IN (SELECT unnest(?))",
        [to_timestamp(now), keys],
    )


@writes
def move_deliveries(database: Database, old: str, new: str) -> None:
    """Hands the alerts of a sensor to the one that replaces it. Their keys stay as they are."""
    database.execute("UPDATE deliveries SET sensor = ? WHERE sensor = ?", [new, old])
