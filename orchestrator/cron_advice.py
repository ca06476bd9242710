"""Says what to write instead of cron expressions that other systems accept, and warns about surprising ones."""

from __future__ import annotations

import re
from difflib import get_close_matches

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_NAMES = (*MONTHS, *WEEKDAYS)
_SIZES = (("minute", 60), ("hour", 24), ("day", 31), ("month", 12), ("weekday", 7))
_FIVE = "cron has five fields: minute, hour, day, month and weekday"


def advice(text: str) -> str | None:
    """What is wrong with an expression, in words that follow it in a sentence, if it is recognized as the syntax of
    another system or does not have five fields; else None. `text` has single spaces between its fields."""
    for check in (_zone_prefix, _call, _special, _comment, _field_count, _letters):
        if (found := check(text)) is not None:
            return found
    return None


def warnings(text: str) -> list[str]:
    """What may surprise in a valid expression, a sentence each."""
    words = ALIASES.get(text.strip().lower(), text).split()
    found = [
        f"{item!r} steps beyond the end of the {name} field, so it means its first value only."
        for word, (name, size) in zip(words, _SIZES, strict=True)
        for item in word.split(",")
        if (step := re.fullmatch(r"\*/(\d+)", item)) and int(step[1]) >= size
    ]
    day, weekday = words[2], words[4]
    if "*" in (day, weekday) or "?" in (day, weekday):
        return found
    if day.startswith(("*", "?")) or weekday.startswith(("*", "?")):
        return [*found, "One of the two day fields begins with a star, so a day must match both (as in cron)."]
    return [*found, "Both day fields are restricted, so a day that matches either one is enough (as in cron)."]


# Names that look like a region's time and are a fixed offset all year.
_FIXED = {"EST": "America/New_York", "MST": "America/Denver", "HST": "Pacific/Honolulu"}


def zone_note(timezone: str) -> str | None:
    """What may surprise about a time zone; None if nothing does."""
    region = _FIXED.get(timezone)
    if region is None:
        return None
    return f"{timezone} is a fixed offset, without daylight saving time. Where clocks change, name a region: {region}."


def _zone_prefix(text: str) -> str | None:
    if (found := re.match(r"(?:CRON_)?TZ=(\S+) ?(.*)", text, re.IGNORECASE)) is None:
        return None
    return f"names its time zone: write timezone={found[1]!r} beside cron={found[2]!r}"


def _call(text: str) -> str | None:
    """The syntax of cloud schedulers: `cron(0 12 * * ? *)`, `rate(5 minutes)`."""
    if (found := re.fullmatch(r"(cron|rate)\((.*)\)", text, re.IGNORECASE)) is None:
        return None
    if found[1].lower() == "rate":
        return f"is a rate: {_instead_of_every(found[2])}"
    return f"is wrapped in cron(...): write only the first five fields, {' '.join(found[2].split()[:5])!r}"


def _special(text: str) -> str | None:
    word = text.lower()
    if word in ALIASES:
        return None
    if not word.startswith("@"):
        return f"is not a cron expression; did you mean '@{word}'?" if f"@{word}" in ALIASES else None
    if word.startswith("@every"):
        return f"is an interval: {_instead_of_every(text[6:].strip())}"
    if word == "@reboot":
        return "is not a time: run the pipeline where the daemon is started, `orchestrator run NAME --detach`"
    near = get_close_matches(word, ALIASES, 1)
    known = f"did you mean {near[0]!r}?" if near else f"there is: {', '.join(sorted(ALIASES))}"
    return f"is unknown; {known}"


def _instead_of_every(interval: str) -> str:
    """What to write for an interval such as `6h`, `90s` or `5 minutes`."""
    sensor = "write a sensor with interval=SECONDS"
    if (found := re.fullmatch(r"(\d+) ?([smhd])[a-z]*", interval.lower())) is None:
        return f"{sensor}, or a cron expression such as '*/15 * * * *'"
    count, unit = int(found[1]), found[2]
    if unit == "m" and count and 60 % count == 0:
        return f"write '*/{count} * * * *'"
    if unit == "h" and count and 24 % count == 0:
        return f"write '0 */{count} * * *'"
    if unit == "d" and count == 1:
        return "write '0 0 * * *'"
    seconds = count * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    return sensor.replace("SECONDS", str(seconds))


def _comment(text: str) -> str | None:
    words = text.split()
    place = next((place for place, word in enumerate(words) if word.startswith("#")), None)
    return None if place is None else f"has a comment: write only {' '.join(words[:place])!r}"


def _field_count(text: str) -> str | None:
    words = text.split()
    if len(words) == 5 or text.startswith("@"):
        return None
    count = f"has {len(words)} field{'' if len(words) == 1 else 's'}; {_FIVE}"
    if any(word.endswith(",") or word.startswith(",") for word in words):
        return f"{count}. A list has no spaces: {re.sub(' ?, ?', ',', text)!r}"
    if len(words) in (6, 7) and all(re.fullmatch(r"[\w*?][\w*?/,#-]*", word) and len(word) < 20 for word in words):
        return f"{count}. {_without_seconds(words)}"
    if len(words) > 5:
        return f"{count}. Write no command behind them: what runs is the pipeline"
    return count


def _without_seconds(words: list[str]) -> str:
    """For expressions with a field for seconds at the front, or one for years at the end."""
    if len(words) == 6 and re.fullmatch(r"\d{4}\S*", words[5]):
        return f"There is no field for years: write {' '.join(words[:5])!r}"
    return (
        f"There is no field for seconds: write {' '.join(words[1:6])!r}, and for less than a minute a sensor with "
        "interval=SECONDS"
    )


def _letters(text: str) -> str | None:
    """Words and letters that mean something elsewhere, or nothing."""
    if text.startswith("@"):
        return None
    day, weekday = text.lower().split()[2], text.lower().split()[4]
    for pattern, place, found in (
        (r"(^|,)(\d+w|l?w|wl)(,|$)", day, "the working day nearest to a day of the month is not in cron: {skip}"),
        (r"(^|,)l-\d+(,|$)", day, "days before the end of the month are not in cron: {skip}"),
        (r"(^|,)([0-7]|[a-z]{3})l(,|$)", weekday, "the last of a weekday is written with the L first, such as 'L5'"),
    ):
        if re.search(pattern, place):
            skip = "let it fire on each day that may be right, and return SkipReason(...) on the others"
            return f"is not valid: {found.format(skip=skip)}"
    if "#" in weekday and "," in weekday and not all("#" in item for item in weekday.split(",")):
        return "is not valid: in a list with '#' each weekday needs its own, such as '5#3,6#3'"
    if "~" in text:
        return "has a random range (~): write a fixed time and jitter=SECONDS, which spreads the starts"
    return _unknown_name(text)


def _unknown_name(text: str) -> str | None:
    for word in re.findall(r"[^\W\d_]+", text.lower()):
        if word in _NAMES or word == "l":
            continue
        if word in ("h", "r"):
            return f"has {word.upper()!r} for any time: write a fixed time and jitter=SECONDS, which spreads the starts"
        near = get_close_matches(word, _NAMES, 1, 0.4) if len(word) > 3 else []
        exact = word[:3] if word[:3] in _NAMES else (near[0] if near else None)
        hint = f"; did you mean {exact!r}?" if exact and len(word) > 3 else "; months and weekdays have three letters"
        return f"has the name {word!r}, which is not a month or weekday{hint}"
    return None
