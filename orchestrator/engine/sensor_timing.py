"""Decides when a sensor is evaluated next, and which of its run requests are new."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from orchestrator.model.automation import Automation, SensorInfo
from orchestrator.model.tick import Requested

# A failing sensor is looked at ever less often, down to this.
LONGEST_BACK_OFF = timedelta(minutes=10)


def next_evaluation_at(declared: SensorInfo, remembered: Automation, now: datetime) -> datetime:
    """The instant of the next evaluation: an interval after the last one, whatever came of it; longer after failures.

    A clock that was set back never makes a sensor wait longer than that.
    """
    pause = _pause(declared, remembered.failures)
    if remembered.last_tick_at is None:
        return now
    if remembered.last_tick_at > now:
        return now + pause
    return remembered.last_tick_at + pause


def spread(id: str, interval: float) -> timedelta:
    """How long after a start a sensor is looked at, so that a thousand of them do not all come at once: less than half
    a second, or than half its interval (in seconds) if that is shorter. The same for every start."""
    share = zlib.crc32(id.encode()) / (1 << 32)
    return timedelta(seconds=share * min(interval, 1.0) * 0.5)


def _pause(declared: SensorInfo, failures: int) -> timedelta:
    interval = timedelta(seconds=declared.interval)
    if not failures:
        return interval
    doubled: timedelta = interval * 2 ** min(failures, 16)
    return min(doubled, max(LONGEST_BACK_OFF, interval))


class RequestDecision(Struct, frozen=True):
    """The requests to be carried out, in order, and those that are not: their keys were used before or just now."""

    fresh: tuple[Requested, ...]
    dropped: tuple[Requested, ...]


def decide_requests(
    requests: Sequence[Requested],
    used: Collection[str],
    key_of: Callable[[Requested], str | None] = lambda request: request.run_key,
) -> RequestDecision:
    """Sorts out requests by what must be unique among them. A request for which that is nothing is always new."""
    taken = set(used)
    fresh, dropped = [], []
    for request in requests:
        key = key_of(request)
        if key is not None and key in taken:
            dropped.append(request)
            continue
        if key is not None:
            taken.add(key)
        fresh.append(request)
    return RequestDecision(tuple(fresh), tuple(dropped))
