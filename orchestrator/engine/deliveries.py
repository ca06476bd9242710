"""Decides when a failed alert is tried again, and when it is given up. Pure.

An alert is one call of a run-status sensor about the end of one run. Each is retried by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec.structs import replace

from orchestrator.clock import format_instant, is_recent
from orchestrator.model.delivery import Delivery, RunEnding
from orchestrator.model.states import DeliveryState

FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(minutes=15)
# Long enough for a mail server that goes down on a Friday night.
RETRY_FOR = timedelta(days=3)
# After an outage the others are tried at once, but none of them more often than this.
_RECOVERY_PAUSE = timedelta(minutes=1)


def delivery_key(sensor: str, run: RunEnding) -> str:
    """Identifies an alert. The same for every attempt, also after a crash, a restored backup or a rebuilt index.
    Another one when the run is resumed and ends again."""
    digest = hashlib.sha256(f"{sensor} {run.run_id} {format_instant(run.finished_at)}".encode()).hexdigest()
    return f"{run.run_id}-{digest[:12]}"


def pause_after(attempts: int) -> timedelta | None:
    """How long to wait after that many failed attempts; None when the alert is given up. One that is tried again on
    request after that begins the same series of pauses again.

    Counts attempts and not the time since the first one: a clock that was wrong by years gives nothing up, and neither
    does a daemon that was not running.
    """
    position = attempts % MOST_ATTEMPTS
    return None if position == 0 else _nth_pause(position)


def _nth_pause(position: int) -> timedelta:
    doubled: timedelta = FIRST_PAUSE * 2 ** min(position - 1, 16)
    return min(doubled, LONGEST_PAUSE)


def _most_attempts() -> int:
    """How many attempts it takes until the pauses between them add up to `RETRY_FOR`."""
    attempts, total = 1, timedelta()
    while total < RETRY_FOR:
        total += _nth_pause(attempts)
        attempts += 1
    return attempts


MOST_ATTEMPTS = _most_attempts()


def after_failure(before: Delivery | None, sensor: str, run: RunEnding, error: str, now: datetime) -> Delivery:
    """What to remember of an alert once an attempt has failed. `before` is what was remembered until then."""
    attempts = (before.attempts if before else 0) + 1
    pause = pause_after(attempts)
    return Delivery(
        sensor=before.sensor if before else sensor,
        key=before.key if before else delivery_key(sensor, run),
        run=run,
        status=DeliveryState.FAILED if pause is None else DeliveryState.PENDING,
        attempts=attempts,
        first_failed_at=before.first_failed_at if before else now,
        last_failed_at=now,
        next_at=None if pause is None else now + pause,
        error=error,
    )


def due_at(delivery: Delivery, now: datetime) -> datetime | None:
    """When the alert is tried again; None when it was given up. After the clock was set back it is due at once: it
    might have to wait for years otherwise."""
    if delivery.next_at is None:
        return None
    return now if delivery.last_failed_at > now else delivery.next_at


def next_due(deliveries: Iterable[Delivery], now: datetime) -> tuple[datetime, Delivery] | None:
    """The alert to try next, the one that has been due longest first, and when."""
    waiting = [(at, one.key, one) for one in deliveries if (at := due_at(one, now)) is not None]
    if not waiting:
        return None
    at, _, delivery = min(waiting, key=lambda one: one[:2])
    return at, delivery


def brought_forward(deliveries: Iterable[Delivery], now: datetime, *, is_reloaded: bool = False) -> list[Delivery]:
    """The alerts to try at once because the cause of their failure may be gone: another alert of the same sensor has
    just got through after failing, or its code was loaded again. One that was tried a moment ago keeps its place,
    unless the code is new: an alert that fails for a reason of its own must not be tried after every success."""
    return [
        replace(one, next_at=now)
        for one in deliveries
        if one.next_at is not None
        and one.next_at > now
        and (is_reloaded or not is_recent(one.last_failed_at, _RECOVERY_PAUSE, now))
    ]
