"""Instants and durations: the only reader of the wall clock, and their two written forms.

All instants in this program are timezone-aware datetimes in UTC. What decides anything never asks what time it is:
`now` arrives as an argument, so that decisions can be tested at any instant.
"""

from __future__ import annotations

import math
import re
import time
from datetime import UTC, datetime, timedelta

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_FIRST, _LAST = datetime(1, 1, 3), datetime(9999, 12, 29)  # noqa: DTZ001  # compared as written, without an offset
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")


def now() -> datetime:
    """The current instant, in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds on a clock that is never set: for measuring how long something took, never for saying when."""
    return time.monotonic()


def is_recent(then: datetime | None, span: timedelta, now: datetime) -> bool:
    """Whether `then` is less than `span` ago. False for an instant that lies ahead, because the clock was set back:
    nothing waits for a clock."""
    return then is not None and then <= now < then + span


def is_ahead(until: datetime | None, longest: timedelta, now: datetime) -> bool:
    """Whether `until` is still to come. False for one that is further ahead than `longest`: the clock was set back."""
    return until is not None and now < until <= now + longest


class Every:
    """Something to be done once in an interval, whatever the clock does."""

    def __init__(self, interval: timedelta) -> None:
        self._interval = interval
        self._done_at: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        """Whether it was not done yet, or not within the interval."""
        return not is_recent(self._done_at, self._interval, now)

    def done(self, now: datetime) -> None:
        """Starts the interval."""
        self._done_at = now

    def reset(self) -> None:
        """Makes it due at once."""
        self._done_at = None


class JumpDetector:
    """Notices that the wall clock was set, or that the machine was asleep, by a clock that is never set."""

    # A smaller difference between the two clocks may be a slow turn.
    LEAST = timedelta(seconds=2)

    def __init__(self) -> None:
        self._before: tuple[datetime, float] | None = None

    def jump(self, now: datetime, steady: float) -> timedelta | None:
        """By how much the wall clock went further than `steady` (seconds of `monotonic`) since the last call, negative
        when it was set back; None when both went alike."""
        before, self._before = self._before, (now, steady)
        if before is None:
            return None
        jump = now - before[0] - timedelta(seconds=steady - before[1])
        return jump if abs(jump) > self.LEAST else None


def in_utc(instant: datetime) -> datetime:
    """The same instant in UTC; an instant without a zone is taken to be UTC already."""
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def parse_instant(text: str) -> datetime:
    """The instant of an ISO date or time; without an offset it is UTC. Raises ValueError.

    The first and last days of the calendar are refused: in another time zone they would lie beyond it.
    """
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is not a time; write it like 2026-03-29 or 2026-03-29T01:00+01:00") from None
    if not _FIRST <= instant.replace(tzinfo=None) <= _LAST:
        raise ValueError(f"{text!r} is too close to the end of the calendar")
    return in_utc(instant)


def format_instant(instant: datetime) -> str:
    """ISO 8601 in UTC with a `Z`, microseconds only when there are any."""
    return in_utc(instant).isoformat().replace("+00:00", "Z")


Duration = float | str | timedelta


def seconds_of(duration: object, *, least: float = -math.inf) -> float:
    """The seconds of a duration as user code gives one: seconds, text such as "15m", or a timedelta. Raises ValueError
    for anything else, for infinity and NaN, and for fewer seconds than `least`."""
    if isinstance(duration, str):
        seconds = parse_duration(duration)
    elif isinstance(duration, timedelta):
        seconds = duration.total_seconds()
    elif isinstance(duration, (int, float)) and not isinstance(duration, bool) and math.isfinite(duration):
        seconds = float(duration)
    else:
        raise ValueError(f"{duration!r} is not a duration")
    if seconds < least:
        raise ValueError(f"{duration!r} is less than {least:g} seconds")
    return seconds


def parse_duration(text: str) -> float:
    """Seconds in "90s", "15m", "24h", "7d", "1h30m", or in an ISO 8601 duration ("PT1H30M"); raises ValueError for
    anything else."""
    compact = text.strip().replace(" ", "")
    if compact[:1] in ("P", "p"):
        return _parse_iso_duration(text, compact.upper())
    if re.fullmatch(r"\d+(\.\d+)?", compact):
        return float(compact)
    if not compact or _DURATION.sub("", compact):
        raise ValueError(f"{text!r} is not a duration; write it like 90s, 15m, 24h, 7d or 1h30m")
    return sum(float(amount) * _UNITS[unit] for amount, unit in _DURATION.findall(compact))


def _parse_iso_duration(text: str, compact: str) -> float:
    import pendulum  # takes 60 ms, and few write durations this way

    try:
        found = pendulum.parse(compact)
    except ValueError:
        found = None
    if not isinstance(found, pendulum.Duration) or not compact[-1].isalpha() or compact.endswith("T"):
        raise ValueError(f"{text!r} is not an ISO 8601 duration; write it like PT90S, PT1H30M or P7D")
    if found.years or found.months:
        raise ValueError(f"{text!r} has years or months, whose length differs; write it in weeks or days")
    return found.total_seconds()


def format_duration(seconds: float) -> str:
    """Seconds as people say them: "0.42s", "12.3s", "4m 05s", "3h 12m", "2d 4h"."""
    if seconds < 10:
        return f"{seconds:.2f}s"
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h {minutes:02d}m"
    days, hours = divmod(hours, 24)
    return f"{days}d {hours}h"


def parse_instant_or_age(text: str, *, now: datetime) -> datetime:
    """The instant meant by "2h", "7d" (that long before `now`) or by an ISO date or time; raises ValueError."""
    try:
        return now - timedelta(seconds=parse_duration(text))
    except (ValueError, OverflowError):
        pass
    try:
        return parse_instant(text)
    except ValueError as error:
        if "calendar" in str(error):
            raise
        raise ValueError(f"{text!r} is neither an age (2h, 7d) nor a time (2026-03-01, 2026-03-01T09:30Z)") from None


def parse_moment(text: str, *, now: datetime, base: datetime | None = None) -> datetime:
    """The instant meant by "+7d" (that long after `base`, or after `now`), or by anything that
    `parse_instant_or_age` understands; raises ValueError."""
    if not text.strip().startswith("+"):
        return parse_instant_or_age(text, now=now)
    try:
        return (base or now) + timedelta(seconds=parse_duration(text.strip()[1:]))
    except OverflowError:
        raise ValueError(f"{text!r} is beyond the end of the calendar") from None
