"""When the clocks of a zone change, and which occurrences of a schedule that moves. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

from orchestrator.cron import instants_between, load_zone
from orchestrator.cron_expression import parse_cron
from orchestrator.model.automation import ScheduleInfo

_LOOK = timedelta(hours=12)


class ClockChange(Struct, frozen=True):
    """At `at` the clocks of a zone go from one offset to another."""

    at: datetime
    timezone: str
    before: timedelta
    after: timedelta

    @property
    def is_forward(self) -> bool:
        return self.after > self.before


def changes_between(timezone: str, start: datetime, end: datetime) -> Iterator[ClockChange]:
    """The changes from `start` to `end`, in order."""
    zone = load_zone(timezone)
    low = start
    while low < end:
        high = min(low + _LOOK, end)
        before, after = _offset(zone, low), _offset(zone, high)
        if before != after:
            yield ClockChange(_change_within(zone, low, high), timezone, before, after)
        low = high


def moved_by(change: ClockChange, declared: ScheduleInfo) -> list[datetime]:
    """The occurrences around a change that are not where they would be on another day: those whose local time does not
    exist or exists twice. Schedules with a star in minute or hour follow the clock, so theirs are not among them."""
    cron = parse_cron(declared.cron)
    if cron.is_real_time:
        return []
    zone = load_zone(declared.timezone)
    shift = abs(change.after - change.before)
    if change.is_forward:
        return [
            instant
            for instant in instants_between(cron, zone, change.at, change.at)
            if _is_shifted(instant.astimezone(zone), cron.hours, cron.minutes)
        ]
    return [one for one in instants_between(cron, zone, change.at, change.at + shift) if one < change.at + shift]


def _is_shifted(local: datetime, hours: tuple[int, ...], minutes: tuple[int, ...]) -> bool:
    return local.hour not in hours or local.minute not in minutes


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta(0)


def _change_within(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The first second with the offset that holds at `high`, known not to hold at `low`."""
    after = _offset(zone, high)
    low, high = low.replace(microsecond=0), high.replace(microsecond=0)
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
        low, high = (low, middle) if _offset(zone, middle) == after else (middle, high)
    return high
