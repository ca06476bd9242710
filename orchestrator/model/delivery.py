"""Endings of runs, and their delivery to run status sensors."""

from __future__ import annotations

from datetime import datetime

import msgspec

from orchestrator.model.run import Trigger
from orchestrator.model.states import DeliveryState, RunState


class RunEnding(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is over, as run-status sensors see it. `ordinal` counts endings up, over all runs.

    `trigger` says why the run existed: its `kind` is "manual", "schedule", "sensor" or "rerun", its `name` that of the
    schedule, the sensor or the earlier run, with its `run_key` or `scheduled_at`.
    """

    ordinal: int
    run_id: str
    pipeline: str
    location: str
    mode: str
    status: RunState
    finished_at: datetime
    reason: str = ""
    tags: dict[str, str] = {}
    failed_steps: dict[str, str] = {}  # step: what went wrong
    trigger: Trigger = Trigger()


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that has failed and has not got through: a run-status sensor, and the end of a run to tell it about.

    `key` is the same for every attempt. `next_at` is None once it was given up. `error` is that of the last attempt.
    """

    sensor: str  # location/name
    key: str
    run: RunEnding
    status: DeliveryState
    attempts: int
    first_failed_at: datetime
    last_failed_at: datetime
    next_at: datetime | None
    error: str
