"""When a cron expression fires, in a time zone, daylight saving included. Knows nothing of schedules: whether anything
is run then is for `engine.due` to say.

croniter reads the expression; which instants it means is decided here, by two rules. An expression whose hour field
covers all 24 hours means real time: it fires whenever the local clock shows a matching time, so times that a change
of clocks skips are dropped and times that it repeats fire twice. Any other expression means times of day, and each of
them fires exactly once: one that is skipped fires at the first instant after the gap, one that is repeated fires the
second time.

Instants are UTC. They are found day by day of UTC, each day by itself, so that the answer never depends on where one
begins to look.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_ALIASES = frozenset({"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"})
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NAMES = frozenset((*_MONTHS, *_WEEKDAYS, "l"))
_FIELDS = ("minute (0-59)", "hour (0-23)", "day of the month (1-31)", "month (1-12)", "weekday (0-7, from Sunday on)")
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Cron:
    """A cron expression, understood. `days` and `weekdays` are None when they are not restricted; weekdays count from
    Sunday as 0. `nth` says, for weekdays given as `5#3` or `L5`, which ones of the month."""

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: frozenset[int]
    days: frozenset[int] | None
    last_day: bool
    weekdays: frozenset[int] | None
    nth: tuple[tuple[int, int], ...] = ()  # (weekday, which of the month; 0 for the last)

    @property
    def is_real_time(self) -> bool:
        """Whether it means every hour, and so real time rather than times of day."""
        return len(self.hours) == 24

    def matches(self, day: date) -> bool:
        """Whether it fires at all on a day of the local calendar."""
        if day.month not in self.months:
            return False
        by_day = self._matches_day(day)
        by_weekday = self._matches_weekday(day)
        if by_day is None or by_weekday is None:
            return by_day is not False and by_weekday is not False
        # Both restricted: either will do, as it has always been in cron.
        return by_day or by_weekday

    def _matches_day(self, day: date) -> bool | None:
        if self.days is None:
            return None
        return day.day in self.days or (self.last_day and (day + _DAY).month != day.month)

    def _matches_weekday(self, day: date) -> bool | None:
        if self.weekdays is None:
            return None
        weekday = day.isoweekday() % 7
        if weekday not in self.weekdays:
            return False
        wanted = [which for found, which in self.nth if found == weekday]
        is_last = (day + 7 * _DAY).month != day.month
        return not wanted or (day.day - 1) // 7 + 1 in wanted or (0 in wanted and is_last)


@lru_cache(maxsize=4096)
def parse_cron(text: str) -> Cron:
    """The expression understood. Raises ValueError saying what is wrong with it, also for one that never fires."""
    compact = " ".join(text.split())
    if compact.startswith("@"):
        if compact.lower() not in _ALIASES:
            raise ValueError(f"{text!r} is unknown; there is: {', '.join(sorted(_ALIASES))}")
    elif len(compact.split()) != 5:
        raise ValueError(f"{text!r} has {_fields(compact)}; minute, hour, day, month and weekday are five")
    unknown = [word for word in re.findall(r"[A-Za-z]+", compact.lower()) if word not in _NAMES]
    if unknown and not compact.startswith("@"):
        raise ValueError(f"{text!r}: {unknown[0]!r} is no name of a month or weekday")
    try:
        fields, nth = _expand(compact)
    except (ValueError, KeyError) as error:
        raise ValueError(f"{text!r} is no cron expression: {_wrong_field(compact) or error}") from None
    cron = _understood(compact, fields, nth)
    if not _ever_fires(cron):
        raise ValueError(f"{text!r} never fires: there is no such day in those months")
    return cron


def load_zone(name: str) -> ZoneInfo:
    """The IANA time zone of that name. Raises ValueError."""
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise ValueError(f"{name!r} is no time zone; write it like Europe/Berlin or UTC") from None


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


def _expand(text: str) -> tuple[list[list[int | str]], dict[int, set[int | str]]]:
    """What each field stands for. Raises ValueError (of which croniter's errors are a kind) or KeyError."""
    from croniter import croniter  # a hundredth of a second for whoever has no schedule

    fields, nth = croniter.expand(text.lower())
    return fields, nth


def _fields(text: str) -> str:
    count = len(text.split())
    return f"{count} field{'' if count == 1 else 's'}"


def _wrong_field(text: str) -> str | None:
    """Which field cannot be read, tried one at a time; None when each of them can."""
    for place, (field, what) in enumerate(zip(text.lower().split(), _FIELDS, strict=False)):
        try:
            _expand(" ".join(field if other == place else "*" for other in range(5)))
        except (ValueError, KeyError):
            return f"{field!r} cannot be its {what}"
    return None


def _understood(text: str, fields: list[list[int | str]], nth: dict[int, set[int | str]]) -> Cron:
    minutes, hours, days, months, weekdays = fields
    return Cron(
        text=text,
        minutes=_numbers(minutes, 60),
        hours=_numbers(hours, 24),
        months=frozenset(_numbers(months, 13)) - {0},
        days=None if days == ["*"] else frozenset(day for day in days if isinstance(day, int)),
        last_day="l" in days,
        weekdays=None if weekdays == ["*"] else frozenset(int(weekday) for weekday in weekdays),
        nth=tuple(
            sorted((weekday, 0 if which == "l" else int(which)) for weekday, some in nth.items() for which in some)
        ),
    )


def _numbers(field: list[int | str], limit: int) -> tuple[int, ...]:
    return tuple(range(limit)) if field == ["*"] else tuple(sorted(int(number) for number in field))


def _ever_fires(cron: Cron) -> bool:
    if cron.days is None or cron.last_day or cron.weekdays is not None:
        return True
    longest = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
    return any(day <= longest.get(month, 31) for month in cron.months for day in cron.days)


@lru_cache(maxsize=8192)
def _instants_on(cron: Cron, zone: ZoneInfo, day: date) -> tuple[datetime, ...]:
    """The instants within one day of UTC, in order.

    Local dates a day to each side can reach into it: offsets go from -12 to +14 hours, and a time that was skipped
    or repeated may be told on another date than it belongs to.
    """
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    found: set[datetime] = set()
    for days in (-1, 0, 1):
        try:
            local = day + timedelta(days=days)
        except OverflowError:
            continue
        found.update(_instants_of(cron, zone, local))
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
