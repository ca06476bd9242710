"""Parses a cron expression into the minutes, hours, months and days that it stands for.

The rules are those of cron(5) and of its source as Debian ships it (Vixie cron 3.0):

- A field is a list of items; an item is `*`, a value, or a range `a-b`; `*` and ranges take a step, `/n`.
- Weekdays go from 0 to 7, where 0 and 7 are Sunday. Months and weekdays have names of three letters.
- If either day field begins with `*` (so `*/2` and `*,15` count), both must match. Otherwise either one is enough.
- If the minute or the hour field begins with `*`, the job follows the clock; otherwise it has fixed times of day.

Accepted beyond cron: ranges that wrap around (`22-2`, counted on from the first value), a value with a step (`5/15`),
`?` for `*` in a day field, and `L`, `L5` and `5#3`, which croniter reads. `docs/cron.md` has the whole list.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date
from functools import lru_cache

from msgspec import Struct

from orchestrator.cron_advice import ALIASES, MONTHS, WEEKDAYS, advice

_ITEM = re.compile(r"(?P<first>\*|\?|[a-z]+|[0-9]{1,4})(?:-(?P<last>[a-z]+|[0-9]{1,4}))?(?:/(?P<step>[0-9]{1,9}))?")
# Every combination of month, day, weekday and leap year occurs within these years.
_CALENDAR = range(2000, 2028)


class Field(Struct, frozen=True):
    """The values that one field takes. `top` is the largest number that may be written: 7 for Sunday."""

    name: str
    low: int
    high: int
    top: int
    names: dict[str, int]

    @property
    def described(self) -> str:
        return f"{self.name} ({self.low}-{self.top})"


_MINUTE = Field("minute", 0, 59, 59, {})
_HOUR = Field("hour", 0, 23, 23, {})
_DAY_OF_MONTH = Field("day of the month", 1, 31, 31, {})
_MONTH = Field("month", 1, 12, 12, {name: number for number, name in enumerate(MONTHS, 1)})
_WEEKDAY = Field("weekday", 0, 6, 7, {name: number for number, name in enumerate(WEEKDAYS)})
_FIELDS = (_MINUTE, _HOUR, _DAY_OF_MONTH, _MONTH, _WEEKDAY)


class Cron(Struct, frozen=True):
    """A parsed cron expression. Weekdays count from Sunday as 0."""

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: frozenset[int]
    days: frozenset[int]
    weekdays: frozenset[int]
    # Whether the job follows the clock when it changes, because its minute or hour field begins with a star.
    is_real_time: bool
    # Whether a day must match both day fields, because one of them begins with a star.
    needs_both_days: bool
    last_day: bool = False
    nth: tuple[tuple[int, int], ...] = ()  # (weekday, which of the month; 0 for the last)

    def matches(self, day: date) -> bool:
        """Whether it fires at all on a day of the local calendar."""
        if day.month not in self.months:
            return False
        if self.needs_both_days:
            return self._matches_day(day) and self._matches_weekday(day)
        return self._matches_day(day) or self._matches_weekday(day)

    def _matches_day(self, day: date) -> bool:
        return day.day in self.days or (self.last_day and day.day == _length(day))

    def _matches_weekday(self, day: date) -> bool:
        weekday = day.isoweekday() % 7
        if weekday not in self.weekdays:
            return False
        wanted = [which for found, which in self.nth if found == weekday]
        is_last = day.day + 7 > _length(day)
        return not wanted or (day.day - 1) // 7 + 1 in wanted or (0 in wanted and is_last)


@lru_cache(maxsize=4096)
def parse_cron(text: str) -> Cron:
    """Parses the expression. Raises ValueError that says which part is wrong and, for what other systems write, what
    to write instead; also for an expression that never fires."""
    compact = " ".join(text.split())
    if (hint := advice(compact)) is not None:
        raise ValueError(f"{text!r} {hint}")
    words = ALIASES.get(compact.lower(), compact).lower().split()
    try:
        cron = _parsed(compact, words)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a valid cron expression: {error}") from None
    if not _ever_fires(cron):
        raise ValueError(f"{text!r} never fires: there is no such day in those months")
    return cron


def expand(text: str, field: Field) -> frozenset[int]:
    """The values that a list of items such as `1,5-9/2` stands for. Raises ValueError naming the wrong item."""
    return frozenset().union(*(_expand_item(item, field) for item in text.split(",")))


def _parsed(text: str, words: list[str]) -> Cron:
    minutes, hours, months = (expand(words[place], _FIELDS[place]) for place in (0, 1, 3))
    days, last_day = _days(words[2])
    weekdays, nth = _weekdays(words[4])
    return Cron(
        text=text,
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        months=months,
        days=days,
        weekdays=weekdays,
        is_real_time=words[0].startswith("*") or words[1].startswith("*"),
        needs_both_days=words[2].startswith(("*", "?")) or words[4].startswith(("*", "?")),
        last_day=last_day,
        nth=nth,
    )


def _expand_item(item: str, field: Field) -> frozenset[int]:
    found = _ITEM.fullmatch(item)
    step = int(found["step"] or 1) if found else 0
    if found is None or step == 0 or (found["first"] == "?" and field not in (_DAY_OF_MONTH, _WEEKDAY)):
        raise _invalid(item, field)
    if found["first"] in ("*", "?"):
        if found["last"]:
            raise _invalid(item, field)
        return frozenset(range(field.low, field.high + 1, step))
    first = _number(found["first"], item, field)
    if found["last"]:
        return _range(first, _number(found["last"], item, field), step, field)
    first = _folded(first, field)
    return frozenset(range(first, field.high + 1, step)) if found["step"] else frozenset({first})


def _range(first: int, last: int, step: int, field: Field) -> frozenset[int]:
    """Every `step`th value from `first` to `last`, past the end of the field if `last` comes before `first`."""
    if first > last:
        first = _folded(first, field)
        last += field.high - field.low + 1 if first > last else 0
    return frozenset(_folded(number, field) for number in range(first, last + 1, step))


def _number(word: str, item: str, field: Field) -> int:
    """The value of a number or name, as it is written: 7 for a Sunday that is written as 7."""
    number = field.names.get(word, -1) if word.isalpha() else int(word)
    if not field.low <= number <= field.top:
        raise _invalid(item, field)
    return number


def _folded(number: int, field: Field) -> int:
    """The value of the field that a number beyond its end stands for."""
    return field.low + (number - field.low) % (field.high - field.low + 1)


def _invalid(item: str, field: Field) -> ValueError:
    return ValueError(f"{item!r} is not a valid {field.described}")


def _days(text: str) -> tuple[frozenset[int], bool]:
    """The days of the month, and whether the last day of the month is among them."""
    items = text.split(",")
    plain = [item for item in items if item != "l"]
    return expand(",".join(plain), _DAY_OF_MONTH) if plain else frozenset(), len(plain) < len(items)


def _weekdays(text: str) -> tuple[frozenset[int], tuple[tuple[int, int], ...]]:
    """The weekdays, and of which of them only certain ones of the month count (0 for the last one)."""
    if not re.search("[#l]", text):
        return expand(text, _WEEKDAY), ()
    from croniter import croniter  # takes 10 ms to import

    try:
        fields, nth = croniter.expand(f"* * * * {text}")
    except (ValueError, KeyError):
        raise _invalid(text, _WEEKDAY) from None
    pairs = [(weekday, 0 if which == "l" else int(which)) for weekday, some in nth.items() for which in some]
    return frozenset(int(weekday) for weekday in fields[4]), tuple(sorted(pairs))


def _ever_fires(cron: Cron) -> bool:
    """Whether any day of the calendar matches. Most expressions match within the first month that is tried."""
    return any(
        cron.matches(day) for year in _CALENDAR for month in sorted(cron.months) for day in _days_of(year, month)
    )


def _days_of(year: int, month: int) -> list[date]:
    return [date(year, month, number) for number in range(1, monthrange(year, month)[1] + 1)]


def _length(day: date) -> int:
    """How many days the month of that day has."""
    return monthrange(day.year, day.month)[1]
