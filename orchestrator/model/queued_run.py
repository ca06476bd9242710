"""Runs that wait for their turn, and runs that are not over."""

from __future__ import annotations

from datetime import datetime

import msgspec

from orchestrator.model.run import BY_HAND, RunRecord, Trigger, priority_of


class QueuedRun(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A run that waits for a slot or holds one, as far as admission is concerned.

    `foreground`: a command in a terminal drives it, and not the daemon. `by_hand`: a person asked for it, and no
    schedule or sensor.
    """

    run_id: str
    created_at: datetime
    priority: int = 0
    tags: dict[str, str] = {}
    pipeline: str = ""
    location: str = ""
    mode: str = ""
    foreground: bool = False
    by_hand: bool = False
    not_before: datetime | None = None  # after a launch that could not be made: when to try again


class UnfinishedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is not over, as far as `overlap` is concerned."""

    run_id: str
    pipeline: str
    location: str
    mode: str
    trigger: Trigger
    has_begun: bool


def as_queued(record: RunRecord, *, foreground: bool = False) -> QueuedRun:
    """What admission needs to know of a run that is about to start or runs."""
    return QueuedRun(
        run_id=record.run_id,
        created_at=record.created_at,
        priority=priority_of(record.tags),
        tags=record.tags,
        pipeline=record.pipeline,
        location=record.location,
        mode=record.mode,
        foreground=foreground,
        by_hand=record.trigger.kind in BY_HAND,
    )
