"""When a cron expression fires: tables of known answers, and random expressions in every zone against counting."""

import itertools
import os
import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator.cron import instants_after, instants_between, load_zone, next_instant
from orchestrator.cron_advice import warnings, zone_note
from orchestrator.cron_expression import parse_cron
from tests import cron_oracle

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


REFUSED = [
    ("0 0 30 2 *", "never fires"),
    ("0 0 31 2 *", "never fires"),
    ("0 0 31 4,6,9,11 *", "never fires"),
    ("0 0 30 2 */2", "never fires"),
    ("0 0 */27 * 1#2", "never fires"),
    ("0 0 32 1 *", "'32' is not a valid day of the month (1-31)"),
    ("0 0 0 1 *", "'0' is not a valid day of the month (1-31)"),
    ("0 0 1 0 *", "'0' is not a valid month (1-12)"),
    ("60 * * * *", "'60' is not a valid minute (0-59)"),
    ("0 24 * * *", "'24' is not a valid hour (0-23)"),
    ("0 0 * * 8", "'8' is not a valid weekday (0-7)"),
    ("*/0 * * * *", "'*/0' is not a valid minute (0-59)"),
    ("5-64/30 * * * *", "'5-64/30' is not a valid minute (0-59)"),
    ("1-2-3 * * * *", "'1-2-3' is not a valid minute (0-59)"),
    ("*-5 * * * *", "'*-5' is not a valid minute (0-59)"),
    ("1,,2 * * * *", "'' is not a valid minute (0-59)"),
    ("? * * * *", "'?' is not a valid minute (0-59)"),
    ("0 0 * mon *", "'mon' is not a valid month (1-12)"),
    ("* * * *", "has 4 fields"),
    ("", "has 0 fields"),
    ("foo", "has 1 field"),
    ("0 0 * foo *", "has the name 'foo', which is not a month or weekday"),
    # What other systems write.
    ("* * * * * *", "no field for seconds: write '* * * * *'"),
    ("0 0 12 * * ?", "no field for seconds: write '0 12 * * ?'"),
    ("0 0 12 1 1 ? 2025", "no field for seconds: write '0 12 1 1 ?'"),
    ("0 0 12 1 1 2025", "no field for years: write '0 0 12 1 1'"),
    ("0 5 * * * /usr/bin/backup", "Write no command"),
    ("1, 2 * * * *", "A list has no spaces: '1,2 * * * *'"),
    ("0 0 * * * # at night", "has a comment: write only '0 0 * * *'"),
    ("CRON_TZ=America/New_York 0 9 * * 1-5", "write timezone='America/New_York' beside cron='0 9 * * 1-5'"),
    ("TZ=UTC @daily", "write timezone='UTC' beside cron='@daily'"),
    ("@every 6h", "write '0 */6 * * *'"),
    ("@every 10m", "write '*/10 * * * *'"),
    ("@every 7m", "write a sensor with interval=420"),
    ("@every 90s", "write a sensor with interval=90"),
    ("@every 1h30m", "write a sensor with interval=SECONDS"),
    ("@reboot", "run the pipeline where the daemon is started"),
    ("@dayly", "did you mean '@daily'?"),
    ("@sometimes", "there is: @annually"),
    ("daily", "did you mean '@daily'?"),
    ("H H(0-7) * * 1-5", "write a fixed time and jitter=SECONDS"),
    ("R R * * *", "write a fixed time and jitter=SECONDS"),
    ("0~59 * * * *", "write a fixed time and jitter=SECONDS"),
    ("0 0 * * Monday", "did you mean 'mon'?"),
    ("0 0 1 sept *", "did you mean 'sep'?"),
    ("0 0 LW * *", "return SkipReason"),
    ("0 0 15W * *", "return SkipReason"),
    ("0 0 L-3 * *", "return SkipReason"),
    ("0 0 * * 5L", "such as 'L5'"),
    ("0 0 * * friL", "such as 'L5'"),
    ("0 0 * * 5,6#3", "each weekday needs its own, such as '5#3,6#3'"),
    ("cron(0 12 * * ? *)", "write only the first five fields, '0 12 * * ?'"),
    ("rate(5 minutes)", "write '*/5 * * * *'"),
]


@pytest.mark.parametrize(("text", "said"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_can_never_be_right_is_refused_with_what_to_write(text, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_cron(text)


@pytest.mark.parametrize(
    "advised",
    [found for text, said in REFUSED for found in re.findall(r"write (?:only )?'([^']+)'|spaces: '([^']+)'", said)],
)
def test_what_is_advised_is_accepted(advised):
    parse_cron(advised[0] or advised[1])


def refusal(text):
    """What is said when the expression is refused; None when it is not."""
    try:
        parse_cron(text)
    except ValueError as error:
        return str(error)
    return None


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40) | st.text("0123456789*/-,LW#?@ ~HRabcjanmon", max_size=30))
def test_any_text_is_understood_or_refused(text):
    said = refusal(text)
    assert said is None or repr(text) in said


@pytest.mark.parametrize(
    ("text", "days"),
    [
        # Days of March 2027, which begins on a Monday.
        ("0 0 */2 * 1", "1 15 29"),
        ("0 0 1-7 * */7", "7"),
        ("3 5 */100,1-7 * TUE", "2"),
        ("0 7 */100,1-7 * MON", "1"),
        ("0 0 *,15 * 1", "1 8 15 22 29"),
        ("0 0 15,* * 1", " ".join(map(str, range(1, 32)))),
        ("0 0 1-31 * 1", " ".join(map(str, range(1, 32)))),
        ("0 0 1,15 * 5", "1 5 12 15 19 26"),
        ("0 0 1 * 0-7", " ".join(map(str, range(1, 32)))),
        ("0 0 21-31 * */6", "21 27 28"),
        ("0 0 ? * 1", "1 8 15 22 29"),
        ("0 0 5-5 * *", "5"),
        ("0 0 * * mon-MON", "1 8 15 22 29"),
        ("0 0 * * 7-0", "7 14 21 28"),
        ("0 0 27-3/2 * *", "2 27 29 31"),
        ("0 0 * * 6-2/3", "2 6 9 13 16 20 23 27 30"),
    ],
)
def test_days_of_a_month(text, days):
    march = [date(2027, 3, day) for day in range(1, 32)]
    assert [day.day for day in march if parse_cron(text).matches(day)] == [int(day) for day in days.split()]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("*/90 * * * *", "steps beyond the end of the minute field"),
        ("0 */36 * * *", "steps beyond the end of the hour field"),
        ("0 0 */40 * *", "steps beyond the end of the day field"),
        ("0 0 */2 * 1", "a day must match both"),
        ("0 0 1 * 1", "matches either one"),
    ],
)
def test_what_may_surprise_is_said(text, said):
    assert [said in warning for warning in warnings(text)] == [True]


@pytest.mark.parametrize("text", ["0 0 * * *", "@daily", "*/15 * * * *", "0 9 * * 1-5", "0 0 1 * *", "0 0 ? * 1"])
def test_the_usual_is_not_warned_of(text):
    assert warnings(text) == []


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
    with pytest.raises(ValueError, match="is not a time zone"):
        load_zone(name)


def test_the_first_instant_may_be_the_one_asked_from():
    at = datetime(2026, 1, 1, tzinfo=UTC)
    daily = parse_cron("0 0 * * *")
    assert next(instants_after(daily, load_zone("UTC"), at, inclusive=True)) == at
    assert next(instants_after(daily, load_zone("UTC"), at)) == at + timedelta(days=1)


# --- against counting -------------------------------------------------------------------------------------------------

ZONES = sorted(available_timezones() - {"localtime", "Factory"})
# Days on which some clock somewhere is changed, the strangest ones among them.
DAYS = [
    datetime(2023, 3, 26), datetime(2023, 10, 29), datetime(2019, 3, 10), datetime(2019, 11, 3), datetime(2011, 12, 30),
    datetime(2023, 10, 1), datetime(2023, 4, 2), datetime(2010, 11, 7), datetime(2011, 3, 13), datetime(2018, 5, 5),
    datetime(1993, 8, 21), datetime(2024, 4, 25), datetime(2016, 3, 27), datetime(2022, 10, 28), datetime(2005, 4, 3),
]  # fmt: skip
CRONS = [
    "0 * * * *", "*/15 * * * *", "45 * * * *", "0 0 * * *", "30 2 * * *", "0 2 * * *", "30 1 * * *", "0 3 * * *",
    "15 0-5 * * *", "59 23 * * *", "0 1-23/2 * * *", "30 2 * * sun", "0 0 1 * *", "5 */3 * * *", "*/20 2 * * *",
    "*/7 1-3 * * *", "30 0-23 * * *", "0 22-3 * * *", "10,40 2-2 * * *", "0 */2 * * *",
]  # fmt: skip


def numbers(low, high, names=()):
    written = [st.integers(low, high).map(str)]
    if names:
        written += [
            st.sampled_from(names),
            st.sampled_from(names).map(str.upper),
            st.sampled_from(names).map(str.title),
        ]
    return st.one_of(written)


def items(low, high, names=(), *, in_cron=False):
    """Items of a list. Without `in_cron` also ranges that wrap around, values with a step, and `?`."""
    number, step = numbers(low, high, names), st.sampled_from([1, 2, 3, 5, 7, 10, 15, 30, 40, 90])
    ranges = st.tuples(number, number).filter(lambda ends: not in_cron or not wraps(ends, names, low))
    heads = [st.just("*"), ranges.map("-".join), number.map(lambda word: f"{word}-{word}")]
    if not in_cron:
        heads.append(number)
    stepped = st.tuples(st.one_of(heads), step).map(lambda pair: f"{pair[0]}/{pair[1]}")
    return st.one_of(number, *heads, stepped)


def wraps(ends, names, low):
    first, last = (names.index(word.lower()) + low if word.isalpha() else int(word) for word in ends)
    return first > last


def fields(*bounds, **options):
    return st.lists(items(*bounds, **options), min_size=1, max_size=3).map(",".join)


def expressions(**options):
    """Random expressions, most of which no person would write."""
    day = st.one_of(fields(1, 31, **options), st.just("*"))
    weekday = st.one_of(fields(0, 7, cron_oracle.DAYS, **options), st.just("*"))
    if not options:
        day |= st.sampled_from(["L", "L,15", "*,L", "?"])
        weekday |= st.sampled_from(["L5", "5#3", "1#1,5#3", "?", "7#2"])
    month = st.one_of(fields(1, 12, cron_oracle.MONTHS, **options), st.just("*"))
    return st.tuples(fields(0, 59, **options), fields(0, 23, **options), day, month, weekday).map(" ".join)


def is_whole_minute(zone, *instants):
    """Long ago zones had offsets with seconds; counting minutes cannot judge those."""
    return all(instant.astimezone(zone).utcoffset().seconds % 60 == 0 for instant in instants)


def check_against_counting(name, text, day, shift):
    zone = ZoneInfo(name)
    middle = day.replace(tzinfo=UTC) + timedelta(hours=shift)
    start, end = middle - timedelta(days=2), middle + timedelta(days=2)
    if not is_whole_minute(zone, start, middle, end):
        return
    # The edges are left out of the comparison: a time shown again beyond them would not be counted.
    inner = middle - timedelta(days=1), middle + timedelta(days=1)
    counted = cron_oracle.Oracle(text).instants(zone, start, end)
    expected = [instant for instant in counted if inner[0] <= instant <= inner[1]]
    assert list(instants_between(parse_cron(text), zone, *inner)) == expected


@pytest.mark.long
@settings(max_examples=100, deadline=None)
@given(st.sampled_from(ZONES), st.sampled_from(CRONS), st.sampled_from(DAYS), st.integers(-24, 24))
@example("Australia/Lord_Howe", "0 2 * * *", datetime(2023, 10, 1), 0)
@example("Pacific/Apia", "30 2 * * *", datetime(2011, 12, 30), 0)
@example("America/St_Johns", "0 0 * * *", datetime(2010, 11, 7), 0)
@example("Africa/Casablanca", "30 2 * * *", datetime(2018, 5, 13), 0)
@example("America/Havana", "0 0 * * *", datetime(2019, 3, 10), 0)
@example("Asia/Pyongyang", "45 23 * * *", datetime(2018, 5, 4), 0)
@example("Antarctica/Troll", "30 2 * * *", datetime(2023, 3, 26), 0)
@example("Europe/Berlin", "*/20 2 * * *", datetime(2023, 3, 26), 0)
@example("Europe/Berlin", "*/20 2 * * *", datetime(2023, 10, 29), 0)
def test_every_zone_agrees_with_counting_minutes(name, text, day, shift):
    check_against_counting(name, text, day, shift)


def fires(text):
    said = refusal(text)
    assert said is None or "never fires" in said
    return said is None


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(ZONES), expressions(), st.sampled_from(DAYS), st.integers(-24, 24))
def test_random_expressions_agree_with_counting_minutes(name, text, day, shift):
    if fires(text):
        check_against_counting(name, text, day, shift)


@pytest.mark.exhaustive
def test_a_million_random_expressions_fire_on_the_right_days():
    """Days, hours and minutes of each; the clock changes are for the tests above, which count minutes."""

    @settings(max_examples=int(os.environ.get("CRON_EXAMPLES", "1000000")), deadline=None, database=None)
    @given(expressions(), st.dates(date(1990, 1, 1), date(2060, 1, 1)))
    def check(text, start):
        check_days(text, datetime(start.year, start.month, start.day))

    check()


def check_days(text, start):
    oracle = cron_oracle.Oracle(text)
    if not fires(text):
        # The same calendar comes round after 28 years, while no century without a leap day lies between.
        assert oracle.dates(datetime(2000, 1, 1), 28 * 366) == []
        return
    cron = parse_cron(text)
    days = [(start + timedelta(days=n)).date() for n in range(40)]
    assert [day for day in days if cron.matches(day)] == oracle.dates(start, 40)
    assert (set(cron.minutes), set(cron.hours)) == (oracle.minutes, oracle.hours)
    assert cron.is_real_time == oracle.is_wild


@settings(max_examples=200, deadline=None)
@given(expressions(), st.dates(date(1990, 1, 1), date(2060, 1, 1)))
@example("0 0 30 2 */2", date(2000, 1, 1))
@example("0 0 */27 * 1#2", date(2000, 1, 1))
@example("0 0 */29 2 5#5", date(2000, 1, 1))
@example("0 0 29 2 5#5", date(2000, 1, 1))
@example("0 0 */29 2 *", date(2000, 1, 1))
def test_random_expressions_fire_on_the_right_days(text, start):
    check_days(text, datetime(start.year, start.month, start.day))


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


@pytest.mark.parametrize("name", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12", "Europe/Berlin"])
def test_the_ends_of_the_calendar_are_reached_without_an_error(name):
    zone, cron = ZoneInfo(name), parse_cron("0 */6 L,1 * *")
    last = datetime(9999, 12, 30, tzinfo=UTC)
    assert all(instant > last for instant in instants_after(cron, zone, last))
    first = datetime(1, 1, 1, 0, 30, tzinfo=UTC)
    assert next(instants_after(cron, zone, first)) > first


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Europe/Berln", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("utc", "UTC"),
        ("Berlin", "Europe/Berlin"),
        ("New York", "America/New_York"),
        ("America/New-York", "America/New_York"),
        ("US/Pacifc", "US/Pacific"),
    ],
)
def test_an_unknown_zone_is_refused_with_the_one_that_is_meant(name, meant):
    with pytest.raises(ValueError, match=f"did you mean {meant}"):
        load_zone(name)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "x\0y", "", "Atlantis/Center"])
def test_a_zone_like_no_other_is_refused_with_an_example(name):
    with pytest.raises(ValueError, match=r"is not a time zone"):
        load_zone(name)


def test_a_zone_that_is_a_fixed_offset_is_noted():
    assert "without daylight saving time" in zone_note("EST")
    assert "America/New_York" in zone_note("EST")
    assert zone_note("America/New_York") is None
