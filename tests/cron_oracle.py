"""Says when a cron expression fires by counting minutes: slow, simple, and written apart from the code under test.

The expression is read as cron's own source reads it (a bit for each value, a flag for each leading star), plus what
we accept beyond cron. `instants` then looks at the local clock once for every minute.
"""

import calendar
from datetime import datetime, timedelta

MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]


def value(word, names, low):
    return names.index(word.lower()) + low if word.isalpha() else int(word)


def bits(text, low, high, names=()):
    """The set of values of a field. `high` is 7 for weekdays, where both 0 and 7 are Sunday."""
    found = set()
    for item in text.split(","):
        head, _, step = item.partition("/")
        if head in "*?":
            sequence = list(range(low, high + 1))
        elif "-" in head:
            first, last = (value(word, names, low) for word in head.split("-"))
            if high == 7 and first == 7:
                first = 0
                last = 0 if last == 7 else last
            # Walk forward one value at a time, and past the end to the beginning, until the last one is reached.
            sequence = [first]
            while sequence[-1] != last:
                top = high if last > first else high - (high == 7)
                sequence.append(sequence[-1] + 1 if sequence[-1] < top else low)
        else:
            first = value(head, names, low)
            first = 0 if (high, first) == (7, 7) else first
            sequence = list(range(first, (6 if high == 7 else high) + 1)) if step else [first]
        found.update(sequence[:: int(step or 1)])
    if high == 7 and found & {0, 7}:
        found = (found | {0}) - {7}
    return found


class Oracle:
    def __init__(self, text):
        minute, hour, day, month, weekday = self.fields = text.split()
        self.minutes, self.hours = bits(minute, 0, 59), bits(hour, 0, 23)
        self.months = bits(month, 1, 12, MONTHS)
        self.last = "L" in day.split(",")
        plain = [item for item in day.split(",") if item != "L"]
        self.days = bits(",".join(plain), 1, 31) if plain else set()
        self.nth = None
        if "#" in weekday:
            self.nth = [item.split("#") for item in weekday.split(",")]
        elif weekday.startswith("L"):
            self.nth = [(weekday[1:], "L")]
        else:
            self.weekdays = bits(weekday, 0, 7, DAYS)
        self.is_wild = minute[0] == "*" or hour[0] == "*"
        self.needs_both = day[0] in "*?" or weekday[0] in "*?"

    def on(self, date):
        """Whether it fires on that date."""
        length = calendar.monthrange(date.year, date.month)[1]
        by_day = date.day in self.days or (self.last and date.day == length)
        number = (date.weekday() + 1) % 7
        if self.nth is None:
            by_weekday = number in self.weekdays
        else:
            by_weekday = any(
                value(name, DAYS, 0) % 7 == number
                and (date.day > length - 7 if which == "L" else (date.day + 6) // 7 == int(which))
                for name, which in self.nth
            )
        return date.month in self.months and (by_day and by_weekday if self.needs_both else by_day or by_weekday)

    def matches(self, wall):
        return wall.minute in self.minutes and wall.hour in self.hours and self.on(wall.date())

    def instants(self, zone, start, end):
        """Every minute from `start` to `end` at which it fires.

        With a star in minute or hour: whenever the local clock shows a match. Without one, each matching time of day
        counts once: in the last minute that shows it or, if none does, in the first minute that shows a later time.
        Times that are shown again after `end`, or were skipped before `start`, are not seen.
        """
        minutes = [start + timedelta(minutes=n) for n in range(int((end - start).total_seconds() // 60) + 1)]
        shown = [minute.astimezone(zone).replace(tzinfo=None) for minute in minutes]
        if self.is_wild:
            return [minute for minute, wall in zip(minutes, shown, strict=True) if self.matches(wall)]
        found = {wall: minute for minute, wall in zip(minutes, shown, strict=True) if self.matches(wall)}
        instants = set(found.values())
        for before, after in zip(range(len(shown) - 1), range(1, len(shown)), strict=True):
            wall = shown[before] + timedelta(minutes=1)
            while wall < shown[after]:  # the clock jumps over these
                if self.matches(wall) and wall not in found:
                    instants.add(minutes[after])
                wall += timedelta(minutes=1)
        return sorted(instants)

    def dates(self, start: datetime, days: int):
        return [date for n in range(days) if self.on(date := (start + timedelta(days=n)).date())]
