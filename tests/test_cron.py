"""When a cron expression fires: the table of known answers, and every zone there is against counting minutes."""

import itertools
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator.cron import (
    instants_after,
    instants_between,
    load_zone,
    next_instant,
    parse_cron,
)

# (cron, zone, local start, local end, the instants in UTC). The first ones are what Dagster's own tests ask for; the
# rest was counted out minute by minute with the rules of the module.
KNOWN = [
    ("30 2 * * *", "US/Central", "2019-03-09", "2019-03-12", "03-09T08:30 03-10T08:00 03-11T07:30"),
    ("0 2 * * *", "US/Central", "2019-03-09", "2019-03-12", "03-09T08:00 03-10T08:00 03-11T07:00"),
    ("0 0 * * *", "US/Central", "2019-03-10", "2019-03-12", "03-10T06:00 03-11T05:00 03-12T05:00"),
    ("0 3 * * *", "US/Central", "2019-03-09", "2019-03-12", "03-09T09:00 03-10T08:00 03-11T08:00"),
    ("0 * * * *", "US/Central", "2019-03-10T01", "2019-03-10T04", "03-10T07:00 03-10T08:00 03-10T09:00"),
    (
        "30 * * * *", "US/Central", "2019-03-10T00", "2019-03-10T04:59",
        "03-10T06:30 03-10T07:30 03-10T08:30 03-10T09:30",
    ),
    (
        "*/15 * * * *", "US/Central", "2019-03-10T01:30", "2019-03-10T03:30",
        "03-10T07:30 03-10T07:45 03-10T08:00 03-10T08:15 03-10T08:30",
    ),
    ("30 1 * * *", "US/Central", "2019-11-02", "2019-11-05", "11-02T06:30 11-03T07:30 11-04T07:30"),
    ("0 1 * * *", "US/Central", "2019-11-02", "2019-11-05", "11-02T06:00 11-03T07:00 11-04T07:00"),
    ("0 0 * * *", "US/Central", "2019-11-03", "2019-11-05", "11-03T05:00 11-04T06:00 11-05T06:00"),
    ("0 2 * * *", "US/Central", "2019-11-02", "2019-11-05", "11-02T07:00 11-03T08:00 11-04T08:00"),
    (
        "0 * * * *", "US/Central", "2019-11-03T00:30", "2019-11-03T03:30",
        "11-03T06:00 11-03T07:00 11-03T08:00 11-03T09:00",
    ),
    (
        "30 * * * *", "US/Central", "2019-11-03T00", "2019-11-03T03:30",
        "11-03T05:30 11-03T06:30 11-03T07:30 11-03T08:30 11-03T09:30",
    ),
    ("0 2 * * *", "Europe/Berlin", "2023-03-25", "2023-03-28", "03-25T01:00 03-26T01:00 03-27T00:00"),
    ("30 2 * * *", "Europe/Berlin", "2023-03-25", "2023-03-28", "03-25T01:30 03-26T01:00 03-27T00:30"),
    ("45 1 * * *", "Europe/Berlin", "2023-03-25", "2023-03-28", "03-25T00:45 03-26T00:45 03-26T23:45"),
    ("0 3 * * *", "Europe/Berlin", "2023-03-25", "2023-03-28", "03-25T02:00 03-26T01:00 03-27T01:00"),
    (
        "0 * * * *", "Europe/Berlin", "2023-03-26T00", "2023-03-26T05",
        "03-25T23:00 03-26T00:00 03-26T01:00 03-26T02:00 03-26T03:00",
    ),
    ("0 2 * * 0", "Europe/Berlin", "2023-03-19", "2023-04-03", "03-19T01:00 03-26T01:00 04-02T00:00"),
    ("0 2 26 * *", "Europe/Berlin", "2023-02-01", "2023-05-01", "02-26T01:00 03-26T01:00 04-26T00:00"),
    ("0 2 * * *", "Europe/Berlin", "2023-10-28", "2023-10-31", "10-28T00:00 10-29T01:00 10-30T01:00"),
    ("30 2 * * *", "Europe/Berlin", "2023-10-28", "2023-10-31", "10-28T00:30 10-29T01:30 10-30T01:30"),
    ("45 1 * * *", "Europe/Berlin", "2023-10-28", "2023-10-31", "10-27T23:45 10-28T23:45 10-30T00:45"),
    ("0 3 * * *", "Europe/Berlin", "2023-10-28", "2023-10-31", "10-28T01:00 10-29T02:00 10-30T02:00"),
    (
        "0 * * * *", "Europe/Berlin", "2023-10-29T00", "2023-10-29T04",
        "10-28T22:00 10-28T23:00 10-29T00:00 10-29T01:00 10-29T02:00 10-29T03:00",
    ),
    (
        "*/15 * * * *", "Europe/Berlin", "2023-10-29T01:45", "2023-10-29T03:15",
        "10-28T23:45 10-29T00:00 10-29T00:15 10-29T00:30 10-29T00:45 10-29T01:00 10-29T01:15 10-29T01:30 10-29T01:45"
        " 10-29T02:00 10-29T02:15",
    ),
    (
        "0 0 1 * 1", "UTC", "2023-05-01", "2023-05-31",
        "05-01T00:00 05-08T00:00 05-15T00:00 05-22T00:00 05-29T00:00",
    ),
    # Half an hour is skipped on Lord Howe: 02:00 there is the first instant after the gap, 02:30.
    ("0 2 * * *", "Australia/Lord_Howe", "2023-09-30", "2023-10-02T12", "09-29T15:30 09-30T15:30 10-01T15:00"),
    ("0 * * * *", "Australia/Lord_Howe", "2023-10-01T01", "2023-10-01T04", "09-30T14:30 09-30T16:00 09-30T17:00"),
    # Samoa had no 30 December 2011: what it should have done happens at the first instant of the 31st, once.
    ("0 0 * * *", "Pacific/Apia", "2011-12-29", "2012-01-01", "12-29T10:00 12-30T10:00 12-31T10:00"),
    ("0 5 * * *", "Pacific/Apia", "2011-12-29", "2012-01-01", "12-29T15:00 12-30T10:00 12-30T15:00"),
    # Two times of one gap are one instant.
    ("0 1-4 * * *", "Europe/Berlin", "2023-03-26", "2023-03-27", "03-26T00:00 03-26T01:00 03-26T02:00"),
    # Hourly means local full hours, whatever the offset.
    ("0 * * * *", "Asia/Kathmandu", "2026-01-01T00", "2026-01-01T02", "12-31T18:15 12-31T19:15 12-31T20:15"),
    ("0 0 L * *", "UTC", "2024-01-15", "2024-03-15", "01-31T00:00 02-29T00:00"),
    ("0 9 * * fri#2", "UTC", "2026-01-01", "2026-03-31", "01-09T09:00 02-13T09:00 03-13T09:00"),
    ("0 9 * * L5", "UTC", "2026-01-01", "2026-03-31", "01-30T09:00 02-27T09:00 03-27T09:00"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "zone", "start", "end", "instants"), KNOWN, ids=[f"{row[0]} in {row[1]} from {row[2]}" for row in KNOWN]
)
def test_the_table_of_known_answers(text, zone, start, end, instants):
    zone = load_zone(zone)
    bounds = [datetime.fromisoformat(bound).replace(tzinfo=zone).astimezone(UTC) for bound in (start, end)]
    found = [f"{instant:%m-%dT%H:%M}" for instant in instants_between(parse_cron(text), zone, *bounds)]
    assert found == instants.split()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("0 0 30 2 *", "never fires", id="no 30 February"),
        pytest.param("0 0 31 2 *", "never fires", id="no 31 February"),
        pytest.param("0 0 31 4,6,9,11 *", "never fires", id="no 31st of short months"),
        pytest.param("0 0 32 1 *", "'32' cannot be its day of the month", id="no 32nd"),
        pytest.param("60 * * * *", "'60' cannot be its minute", id="no minute 60"),
        pytest.param("*/0 * * * *", "'\\*/0' cannot be its minute", id="no step of 0"),
        pytest.param("* * * * * *", "has 6 fields", id="seconds"),
        pytest.param("* * * *", "has 4 fields", id="too few"),
        pytest.param("", "has 0 fields", id="nothing"),
        pytest.param("foo", "has 1 field", id="a word"),
        pytest.param("0 0 * foo *", "'foo' is no name", id="no month"),
        pytest.param("R R * * *", "'r' is no name", id="random times are not the same twice"),
        pytest.param("@reboot", "is unknown; there is: @annually", id="an alias that means nothing here"),
    ],
)
def test_what_can_never_be_right_is_refused_within_a_second(text, said):
    started = time.monotonic()
    with pytest.raises(ValueError, match=said):
        parse_cron(text)
    assert time.monotonic() - started < 1, "it hangs"


def test_leap_days_are_waited_for():
    after = datetime(2021, 1, 1, tzinfo=UTC)
    assert next_instant(parse_cron("0 0 29 2 *"), load_zone("UTC"), after) == datetime(2024, 2, 29, tzinfo=UTC)
    century = datetime(2096, 3, 1, tzinfo=UTC)
    assert next_instant(parse_cron("0 0 29 2 *"), load_zone("UTC"), century) == datetime(2104, 2, 29, tzinfo=UTC)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("@daily", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("0 0 * * 7", "0 0 * * sun"),
        ("0 0 * * MON-fri", "0 0 * * 1,2,3,4,5"),
        ("0 0 1 Jan *", "0 0 1 1 *"),
        ("  0   0 * *  * ", "0 0 * * *"),
        ("0 22-2 * * *", "0 0,1,2,22,23 * * *"),
        ("*/90 * * * *", "0 * * * *"),
    ],
)
def test_ways_of_writing_the_same(one, other):
    start = datetime(2026, 1, 1, tzinfo=UTC)

    def first_ten(text):
        return list(itertools.islice(instants_after(parse_cron(text), load_zone("UTC"), start), 10))

    assert first_ten(one) == first_ten(other)


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "Europe", "berlin"])
def test_a_zone_that_does_not_exist_is_refused(name):
    with pytest.raises(ValueError, match="is no time zone"):
        load_zone(name)


def test_the_first_instant_may_be_the_one_asked_from():
    at = datetime(2026, 1, 1, tzinfo=UTC)
    daily = parse_cron("0 0 * * *")
    assert next(instants_after(daily, load_zone("UTC"), at, inclusive=True)) == at
    assert next(instants_after(daily, load_zone("UTC"), at)) == at + timedelta(days=1)


# --- every zone, against counting ------------------------------------------------------------------------------------

ZONES = sorted(available_timezones() - {"localtime", "Factory"})
# Days on which some clock somewhere is changed, the strangest ones among them.
DAYS = [
    datetime(2023, 3, 26), datetime(2023, 10, 29), datetime(2019, 3, 10), datetime(2019, 11, 3), datetime(2011, 12, 30),
    datetime(2023, 10, 1), datetime(2023, 4, 2), datetime(2010, 11, 7), datetime(2011, 3, 13), datetime(2018, 5, 5),
    datetime(1993, 8, 21), datetime(2024, 4, 25), datetime(2016, 3, 27), datetime(2022, 10, 28), datetime(2005, 4, 3),
]  # fmt: skip
CRONS = [
    "0 * * * *", "*/15 * * * *", "45 * * * *", "0 0 * * *", "30 2 * * *", "0 2 * * *", "30 1 * * *", "0 3 * * *",
    "15 0-5 * * *", "59 23 * * *", "0 1-23/2 * * *", "30 2 * * sun", "0 0 1 * *", "5 */3 * * *",
]  # fmt: skip


def counted(cron, zone, start, end):
    """The instants by looking at the local clock at every minute: slow, and with nothing clever in it.

    Real time: whenever the clock shows a match. Times of day: of each matching time, the last minute that shows it;
    if none does, the first minute whose time is later than it.
    """
    minutes = [start + timedelta(minutes=i) for i in range(int((end - start).total_seconds() // 60) + 1)]
    shown = [minute.astimezone(zone).replace(tzinfo=None) for minute in minutes]
    if len(cron.hours) == 24:
        return [
            m
            for m, wall in zip(minutes, shown, strict=True)
            if wall.minute in cron.minutes and cron.matches(wall.date())
        ]
    found = set()
    last_shown = {wall: minute for minute, wall in zip(minutes, shown, strict=True)}
    day = min(shown).replace(hour=0, minute=0)
    while day <= max(shown):
        if cron.matches(day.date()):
            for hour, minute in itertools.product(cron.hours, cron.minutes):
                wall = day.replace(hour=hour, minute=minute)
                if wall in last_shown:
                    found.add(last_shown[wall])
                elif min(shown) < wall < max(shown):
                    found.add(next(m for m, s in zip(minutes, shown, strict=True) if s > wall))
        day += timedelta(days=1)
    return sorted(found)


def is_whole_minute(zone, *instants):
    """Long ago zones had offsets with seconds; counting minutes cannot judge those."""
    return all(instant.astimezone(zone).utcoffset().seconds % 60 == 0 for instant in instants)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(ZONES), st.sampled_from(CRONS), st.sampled_from(DAYS), st.integers(-36, 36))
@example("Australia/Lord_Howe", "0 2 * * *", datetime(2023, 10, 1), 0)
@example("Pacific/Apia", "30 2 * * *", datetime(2011, 12, 30), 0)
@example("America/St_Johns", "0 0 * * *", datetime(2010, 11, 7), 0)
@example("Africa/Casablanca", "30 2 * * *", datetime(2018, 5, 13), 0)
@example("America/Havana", "0 0 * * *", datetime(2019, 3, 10), 0)
@example("Asia/Pyongyang", "45 23 * * *", datetime(2018, 5, 4), 0)
@example("Antarctica/Troll", "30 2 * * *", datetime(2023, 3, 26), 0)
def test_every_zone_agrees_with_counting_minutes(name, text, day, shift):
    zone, cron = ZoneInfo(name), parse_cron(text)
    middle = day.replace(tzinfo=UTC) + timedelta(hours=shift)
    start, end = middle - timedelta(days=3), middle + timedelta(days=3)
    if not is_whole_minute(zone, start, middle, end):
        return
    # The edges are left out of the comparison: a time shown again beyond them would not be counted.
    inner = middle - timedelta(days=1, hours=12), middle + timedelta(days=1, hours=12)
    expected = [instant for instant in counted(cron, zone, start, end) if inner[0] <= instant <= inner[1]]
    assert list(instants_between(cron, zone, *inner)) == expected


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(ZONES), st.sampled_from(CRONS), st.sampled_from(DAYS), st.integers(0, 4 * 24 * 60))
def test_it_does_not_matter_where_one_begins(name, text, day, minutes):
    zone, cron = ZoneInfo(name), parse_cron(text)
    start = day.replace(tzinfo=UTC) - timedelta(days=2)
    whole = list(instants_between(cron, zone, start, start + timedelta(days=5)))
    assert all(one < other for one, other in itertools.pairwise(whole)), "not strictly increasing"
    begun_later = start + timedelta(minutes=minutes)
    rest = list(instants_between(cron, zone, begun_later, start + timedelta(days=5)))
    assert rest == [instant for instant in whole if instant >= begun_later]
