"""Durations and instants as people write them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from orchestrator import clock

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("24h", 86400),
        ("7d", 604800),
        ("2w", 1209600),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("1.5h", 5400),
        ("500ms", 0.5),
        ("90", 90),
    ],
)
def test_durations_are_read(text, seconds):
    assert clock.parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("PT90S", 90), ("PT1H30M", 5400), ("P7D", 604800), ("P1W", 604800), ("P1DT12H", 129600), ("pt5m", 300)],
)
def test_iso_durations_are_read_too(text, seconds):
    assert clock.parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("P", "not an ISO 8601 duration"),
        ("PT", "not an ISO 8601 duration"),
        ("P5", "not an ISO 8601 duration"),
        ("PTfive", "not an ISO 8601 duration"),
        ("P1M", "years or months, whose length differs"),
        ("P1Y", "years or months, whose length differs"),
    ],
)
def test_an_iso_duration_without_a_fixed_length_is_refused(text, said):
    with pytest.raises(ValueError, match=said):
        clock.parse_duration(text)


@pytest.mark.parametrize("text", ["", "x", "7x", "h", "1h banana", "-5s", "1h2"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="is not a duration"):
        clock.parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.004, "0.00s"),
        (9.994, "9.99s"),
        (12.34, "12.3s"),
        (65, "1m 05s"),
        (3599.6, "1h 00m"),
        (7260, "2h 01m"),
        (90000, "1d 1h"),
    ],
)
def test_durations_are_said_shortly(seconds, text):
    assert clock.format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        pytest.param("2h", NOW - timedelta(hours=2), id="an age"),
        pytest.param("2026-02-03", datetime(2026, 2, 3, tzinfo=UTC), id="a date"),
        pytest.param("2026-02-03T04:05Z", datetime(2026, 2, 3, 4, 5, tzinfo=UTC), id="an instant"),
        pytest.param("2026-02-03T04:05+02:00", datetime(2026, 2, 3, 2, 5, tzinfo=UTC), id="with an offset"),
    ],
)
def test_a_time_is_an_age_or_an_instant(text, instant):
    assert clock.parse_instant_or_age(text, now=NOW) == instant


def test_what_is_no_time_is_refused():
    with pytest.raises(ValueError, match="neither an age"):
        clock.parse_instant_or_age("yesterday-ish", now=NOW)


def test_instants_are_written_in_utc():
    berlin = timezone(timedelta(hours=2))
    assert clock.format_instant(datetime(2026, 1, 1, 2, tzinfo=berlin)) == "2026-01-01T00:00:00Z"
    assert clock.now().tzinfo is UTC


ENDS = ["0001-01-01T00:00+14:00", "0001-01-01", "9999-12-31", "9999-12-31T23:59Z", "9999-12-31T23:59-12:00"]


@pytest.mark.parametrize("text", ENDS)
def test_the_ends_of_the_calendar_are_refused_in_words(text):
    with pytest.raises(ValueError, match="too close to the end of the calendar"):
        clock.parse_instant(text)
    with pytest.raises(ValueError, match="too close to the end of the calendar"):
        clock.parse_instant_or_age(text, now=NOW)


@pytest.mark.parametrize("text", ["0001-01-03", "9999-12-29", "0001-01-03T00:00+14:00", "9999-12-29T00:00-12:00"])
def test_what_is_accepted_exists_in_every_time_zone(text):
    for hours in (-12, 14):
        assert clock.parse_instant(text).astimezone(timezone(timedelta(hours=hours)))


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("seconds_ago", "recent"), [(None, False), (0, True), (59, True), (60, False), (3600, False), (-1, False)]
)
def test_an_instant_is_recent_until_its_span_is_over_and_never_ahead_of_the_clock(seconds_ago, recent):
    then = None if seconds_ago is None else NOON - timedelta(seconds=seconds_ago)
    assert clock.is_recent(then, MINUTE, NOON) is recent


@pytest.mark.parametrize(
    ("seconds_ahead", "ahead"), [(None, False), (1, True), (60, True), (61, False), (0, False), (-1, False)]
)
def test_an_instant_is_ahead_unless_only_a_clock_that_was_set_back_explains_it(seconds_ahead, ahead):
    until = None if seconds_ahead is None else NOON + timedelta(seconds=seconds_ahead)
    assert clock.is_ahead(until, MINUTE, NOON) is ahead


def test_what_is_done_once_in_an_interval_is_due_again_when_the_clock_is_set_back():
    every = clock.Every(MINUTE)
    assert every.is_due(NOON)
    every.done(NOON)
    assert [every.is_due(NOON + timedelta(seconds=s)) for s in (0, 59, 60)] == [False, False, True]
    assert every.is_due(NOON - timedelta(seconds=1))
    every.reset()
    assert every.is_due(NOON)


@pytest.mark.parametrize(
    ("wall", "steady", "jump"),
    [
        (10, 10, None),
        (11.9, 10, None),
        (12.1, 10, 2.1),
        (7.9, 10, -2.1),
        (-86400, 10, -86410),
        (3600, 0, 3600),
    ],
)
def test_a_clock_that_was_set_is_noticed_by_the_one_that_never_is(wall, steady, jump):
    clocks = clock.JumpDetector()
    assert clocks.jump(NOW, 100.0) is None, "there is nothing to compare with"
    found = clocks.jump(NOW + timedelta(seconds=wall), 100.0 + steady)
    assert (None if found is None else round(found.total_seconds(), 6)) == jump
    assert clocks.jump(NOW + timedelta(seconds=wall + 1), 101.0 + steady) is None, "it is reported once"
