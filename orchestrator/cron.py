"""Computes the instants at which a cron expression fires in a time zone, daylight saving included.

Two rules, as in cron(8). An expression whose minute or hour field begins with a star follows the clock: it fires
whenever the local clock shows a matching time, so times that a change of clocks skips are dropped, and times that it
repeats fire twice. Any other expression means times of day, and each of them fires exactly once: one that is skipped
fires at the first instant after the gap, one that is repeated fires the second time.

Instants are UTC. They are computed for each day of UTC by itself, so the answer does not depend on the starting point.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from orchestrator.cron_expression import Cron

_DAY = timedelta(days=1)


def load_zone(name: str) -> ZoneInfo:
    """The IANA time zone of that name. Raises ValueError."""
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise ValueError(f"{name!r} is not a time zone; {_near_zones(str(name))}") from None


def _near_zones(name: str) -> str:
    """What to write instead of a zone that does not exist."""
    known = available_timezones()
    by_lower = {zone.lower(): zone for zone in known}
    wanted = name.strip().lower().replace(" ", "_")
    found = [by_lower[wanted]] if wanted in by_lower else []
    if not found:  # the city alone, or the region misspelled
        found = sorted(zone for zone in known if zone.rpartition("/")[2].lower() == wanted and "/" in zone)
    if not found:
        import difflib  # takes 2 ms; for errors only

        found = [by_lower[near] for near in difflib.get_close_matches(wanted, by_lower, n=1, cutoff=0.75)]
    return f"did you mean {' or '.join(found[:3])}?" if found else "write it like Europe/Berlin or UTC"


def instants_after(cron: Cron, zone: ZoneInfo, after: datetime, *, inclusive: bool = False) -> Iterator[datetime]:
    """The instants at which it fires, from `after` on, strictly increasing, without end while the calendar goes on."""
    day = after.astimezone(UTC).date()
    while True:
        found = _instants_on(cron, zone, day)
        start = (bisect_left if inclusive else bisect_right)(found, after)
        yield from found[start:]
        try:
            day += _DAY
        except OverflowError:
            return


def next_instant(cron: Cron, zone: ZoneInfo, after: datetime) -> datetime:
    """The first instant after `after`."""
    return next(instants_after(cron, zone, after))


def instants_between(cron: Cron, zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """The instants from `start` to `end`, both inclusive."""
    for instant in instants_after(cron, zone, start, inclusive=True):
        if instant > end:
            return
        yield instant


@lru_cache(maxsize=8192)
def _instants_on(cron: Cron, zone: ZoneInfo, day: date) -> tuple[datetime, ...]:
    """The instants within one day of UTC, in order.

    Local dates a day to each side can reach into it: offsets go from -12 to +14 hours, and a time that was skipped
    or repeated may get another date than it belongs to.
    """
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    found: set[datetime] = set()
    for days in (-1, 0, 1):
        try:
            found.update(_instants_of(cron, zone, day + timedelta(days=days)))
        except OverflowError:  # the first and the last day of the calendar
            continue
    end = start + timedelta(hours=23, minutes=59, seconds=59)
    return tuple(sorted(instant for instant in found if start <= instant <= end))


@lru_cache(maxsize=8192)
def _instants_of(cron: Cron, zone: ZoneInfo, local: date) -> tuple[datetime, ...]:
    """The instants that belong to one date of the local calendar."""
    if not cron.matches(local):
        return ()
    midnight = datetime(local.year, local.month, local.day)  # noqa: DTZ001 (a wall time: the zone is what is asked)
    offset = _steady_offset(zone, midnight)
    if offset is not None:
        base = (midnight - offset).replace(tzinfo=UTC)
        return tuple(base + timedelta(minutes=60 * hour + minute) for hour in cron.hours for minute in cron.minutes)
    found: list[datetime] = []
    for hour in cron.hours:
        for minute in cron.minutes:
            found += _instants_at(cron, zone, midnight.replace(hour=hour, minute=minute))
    return tuple(found)


def _steady_offset(zone: ZoneInfo, midnight: datetime) -> timedelta | None:
    """The zone's offset if it is the same all day and at both ends of it; None when the clocks change."""
    offsets = {
        instant.replace(tzinfo=zone, fold=fold).utcoffset()
        for instant in (midnight, midnight + timedelta(hours=12), midnight + _DAY)
        for fold in (0, 1)
    }
    return offsets.pop() if len(offsets) == 1 else None


def _instants_at(cron: Cron, zone: ZoneInfo, wall: datetime) -> list[datetime]:
    """The instants at which a time that the local clock may show once, twice or never counts as reached."""
    first, second = (_to_utc(wall, zone, fold) for fold in (0, 1))
    if first == second:
        return [first]
    if first < second:  # the clock shows it twice
        return [first, second] if cron.is_real_time else [second]
    return [] if cron.is_real_time else [_end_of_gap(zone, second, first)]


def _to_utc(wall: datetime, zone: ZoneInfo, fold: int) -> datetime:
    return wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _end_of_gap(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The instant at which the clock jumped, known to lie after `before` and not after `after`."""
    offset = before.astimezone(zone).utcoffset()
    low, high = before, after
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
        if middle.astimezone(zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return high
