"""Evaluations of schedules and sensors, and what they ask for."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from orchestrator.clock import format_instant
from orchestrator.model.states import TickState


class Tick(msgspec.Struct, frozen=True, omit_defaults=False, kw_only=True):
    """One evaluation, or one occurrence that was not evaluated: as `ticks --json` prints it.

    `at` is when it was asked or passed over, `scheduled_at` the instant of the occurrence (schedules only). `cursor` is
    as it was afterwards. `output` is the end of what the user's code printed. One tick may stand for several
    `occurrences` that were not run, from `scheduled_at` to `until`. `about_run` is the run that an alert is about,
    or the run that kept an occurrence from starting.
    """

    tick_id: str
    name: str  # with its location: location/name
    kind: str
    status: TickState
    at: datetime
    scheduled_at: datetime | None = None
    duration_s: float | None = None
    run_ids: tuple[str, ...] = ()
    run_keys: tuple[str, ...] = ()
    skip_reason: str | None = None
    error: str | None = None
    cursor: str | None = None
    output: str | None = None
    occurrences: int = 1
    until: datetime | None = None
    about_run: str | None = None


class Requested(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run that user code asks for."""

    run_key: str | None = None
    config: dict[str, Any] = {}
    tags: dict[str, str] = {}
    pipeline: str | None = None  # None: the one that the schedule or sensor names
    mode: str | None = None
    preset: str | None = None


class Evaluation(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What user code said when it was asked once. `error` is a traceback that begins in the user's file."""

    requests: tuple[Requested, ...] = ()
    skip_reason: str | None = None
    cursor: str | None = None  # as it is afterwards
    error: str | None = None
    output: str = ""


def dedupe_key(run_key: str | None, scheduled_at: datetime | None) -> str | None:
    """What must be unique, permanently, among the requests of one schedule or sensor; None when nothing has to be."""
    if scheduled_at is None:
        return run_key
    return f"{format_instant(scheduled_at)} {run_key}" if run_key else format_instant(scheduled_at)
