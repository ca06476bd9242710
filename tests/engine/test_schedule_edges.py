"""The edges of what is due: exactly at a limit, one step beside it, at the end of the calendar, and after an edit."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from orchestrator.engine import automation_lifecycle, schedule_decisions
from orchestrator.model.automation import ScheduleInfo
from orchestrator.model.states import TickState

START = datetime(2026, 3, 1, tzinfo=UTC)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TINY = timedelta(microseconds=1)


def schedule(**changes):
    return ScheduleInfo(**{"name": "s", "cron": "0 12 * * *", "pipeline": "p", "catch_up_window": None, **changes})


def turned_on(declared, at=START):
    return automation_lifecycle.turn_on(automation_lifecycle.first_seen("main", declared, at), at)


def decided(declared, now, at=START, **more):
    return schedule_decisions.decide(declared, turned_on(declared, at), now, **more)


def with_jitter(seconds):
    """A schedule of that jitter, and how late it makes the occurrence at noon."""
    declared = schedule(jitter=seconds, catch_up="none")
    return declared, schedule_decisions.jitter_of(declared, "main/s", NOON)


@pytest.mark.parametrize(
    ("late", "runs"),
    [
        pytest.param(timedelta(0), True, id="at its instant"),
        pytest.param(schedule_decisions.ON_TIME - TINY, True, id="just on time"),
        pytest.param(schedule_decisions.ON_TIME, False, id="exactly at the limit"),
    ],
)
def test_when_catch_up_none_runs_an_occurrence(late, runs):
    decision = decided(schedule(catch_up="none"), NOON + late)
    assert decision.evaluate == ((NOON,) if runs else ())
    assert [passed.scheduled_at for passed in decision.missed] == ([] if runs else [NOON])


@pytest.mark.parametrize(("late", "runs"), [(-TINY, True), (timedelta(0), False)])
def test_with_catch_up_none_jitter_makes_the_limit_that_much_later(late, runs):
    declared, jitter = with_jitter(600.0)
    limit = NOON + timedelta(seconds=600) + schedule_decisions.ON_TIME
    assert limit > NOON + jitter
    assert bool(decided(declared, limit + late).evaluate) is runs


@pytest.mark.parametrize(
    ("window", "late", "jitter", "plain"),
    [
        pytest.param(None, schedule_decisions.ON_TIME - TINY, timedelta(0), True, id="no window"),
        pytest.param(None, schedule_decisions.ON_TIME, timedelta(0), False, id="no longer on time"),
        pytest.param(30.0, timedelta(seconds=30), timedelta(0), True, id="exactly at the window"),
        pytest.param(30.0, timedelta(seconds=30) + TINY, timedelta(0), False, id="just beyond it"),
        pytest.param(30.0, timedelta(seconds=10), timedelta(seconds=20), True, id="jitter counts up to the window"),
        pytest.param(30.0, timedelta(seconds=10), timedelta(seconds=20) + TINY, False, id="and beyond it"),
    ],
)
def test_an_occurrence_alone_is_plain_as_long_as_no_policy_could_matter(window, late, jitter, plain):
    assert schedule_decisions.is_plain(schedule(catch_up_window=window), late, jitter) is plain


@pytest.mark.parametrize(
    ("late", "runs"),
    [
        pytest.param(timedelta(hours=1), True, id="at its edge"),
        pytest.param(timedelta(hours=1) + TINY, False, id="past"),
    ],
)
def test_the_catch_up_window_includes_its_edge(late, runs):
    decision = decided(schedule(catch_up_window=3600.0), NOON + late)
    assert bool(decision.evaluate) is runs
    assert [passed.reason for passed in decision.missed] == (
        [] if runs else ["late by more than the catch-up window of 1h 00m"]
    )


def test_at_the_end_of_the_calendar_nothing_is_next():
    last = datetime(9999, 12, 1, 12, tzinfo=UTC)
    declared = schedule(cron="0 12 1 12 *")
    waiting = schedule_decisions.decide(declared, turned_on(declared, last - timedelta(hours=1)), last - TINY)
    assert (waiting.evaluate, waiting.next_at) == ((), last)
    decision = schedule_decisions.decide(declared, turned_on(declared, last - timedelta(hours=1)), last)
    assert (decision.evaluate, decision.next_at) == ((last,), None)
    after = replace(turned_on(declared, last), since=last, since_inclusive=False)
    assert schedule_decisions.decide(declared, after, last).next_at is None


def test_next_at_is_the_next_instant_with_its_jitter_whether_something_is_due_or_not():
    declared, jitter = with_jitter(600.0)
    tomorrow = NOON + timedelta(days=1)
    assert decided(declared, START).next_at == NOON + jitter
    due_now = decided(declared, NOON + jitter)
    assert due_now.evaluate == (NOON,)
    assert due_now.next_at == tomorrow + schedule_decisions.jitter_of(declared, "main/s", tomorrow)


def test_a_schedule_that_is_off_has_no_next_instant_and_forgets_nothing():
    declared = schedule()
    off = automation_lifecycle.turn_off(turned_on(declared), START)
    assert schedule_decisions.decide(declared, off, NOON) == schedule_decisions.ScheduleDecision(
        since=None, since_inclusive=True
    )


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        pytest.param(None, ["03-01", "03-02", "03-03"], id="all"),
        pytest.param("03-03", ["03-01", "03-02"], id="before the one that runs"),
        pytest.param("03-01", [], id="none before the first"),
    ],
)
def test_what_is_passed_over_before_the_occurrence_that_is_carried_out(until, expected):
    decision = schedule_decisions.ScheduleDecision(
        missed=tuple(schedule_decisions.SkippedOccurrence(NOON + timedelta(days=day), "late") for day in (0, 2)),
        skipped=(schedule_decisions.SkippedOccurrence(NOON + timedelta(days=1), "busy"),),
    )
    limit = until and datetime.strptime(f"2026-{until} 12:00+0000", "%Y-%m-%d %H:%M%z")
    passed = schedule_decisions.passed_of(decision, limit)
    assert [f"{one.scheduled_at:%m-%d}" for one, _ in passed] == expected
    assert [status for _, status in passed] == [TickState.MISSED, TickState.SKIPPED, TickState.MISSED][: len(expected)]


def test_a_definition_that_was_gone_is_told_apart_from_one_that_was_edited():
    """Back, it counts from now even if nothing else changed; edited, only other times make it count from now."""
    declared, later = schedule(catch_up="all"), START + timedelta(days=5)
    one = turned_on(declared)
    assert automation_lifecycle.as_declared(one, "main", declared, later) is one
    back = automation_lifecycle.as_declared(automation_lifecycle.gone(one, START), "main", declared, later)
    assert (back.gone_at, back.since, back.since_inclusive) == (None, later, True)
    edited = automation_lifecycle.as_declared(one, "main", schedule(catch_up="latest"), later)
    assert (edited.since, edited.declared.catch_up) == (one.since, "latest")
    off = automation_lifecycle.as_declared(
        automation_lifecycle.gone(automation_lifecycle.turn_off(one, START), START), "main", declared, later
    )
    assert (off.is_on, off.since, off.gone_at) == (False, None, None)


def test_what_falls_out_of_the_window_while_it_is_counted_is_told_once():
    """More than are told one by one have expired: the oldest are one line with their number and both ends."""
    declared = schedule(cron="* * * * *", catch_up="all", catch_up_window=3600.0)
    now = START + timedelta(minutes=60 + schedule_decisions.MOST_TOLD + 25)
    decision = decided(declared, now)
    assert [decision.evaluate[0], decision.evaluate[-1]] == [now - timedelta(hours=1), now]
    first, *others = decision.missed
    assert (first.scheduled_at, first.count, first.until) == (START, 25, START + timedelta(minutes=24))
    assert [one.scheduled_at for one in others] == [
        START + timedelta(minutes=minute) for minute in range(25, 25 + schedule_decisions.MOST_TOLD)
    ]


@pytest.mark.parametrize(("days", "is_counted"), [(0, True), (1, False)])
def test_only_what_is_both_many_and_long_ago_is_not_counted(monkeypatch, days, is_counted):
    """A backlog within the span that is always counted is told in full, however many occurrences that are."""
    monkeypatch.setattr(schedule_decisions, "MOST_COUNTED", 50)
    monkeypatch.setattr(schedule_decisions, "LONGEST_COUNTED", timedelta(days=2))
    declared = schedule(cron="*/10 * * * *", catch_up="none")
    now = START + timedelta(days=2 + days, minutes=5)
    decision = decided(declared, now)
    total = sum(passed.count for passed in decision.missed)
    if is_counted:
        assert total == 2 * 144 + 1
    else:
        assert decision.missed[0].scheduled_at == START
        assert decision.missed[0].reason.startswith("late by so much that occurrences are not counted")
        assert total == 1 + 2 * 144, "what lies before is one line, and the last two days are told"


def test_every_occurrence_since_turning_on_is_counted_the_first_included():
    declared = schedule(cron="* * * * *", catch_up="none")
    decision = decided(declared, START + timedelta(minutes=10, seconds=90))
    assert sum(passed.count for passed in decision.missed) == 11
    assert len(decision.evaluate) == 1


@pytest.mark.parametrize(
    ("active", "late", "runs", "skipped"),
    [
        pytest.param((), 1, 1, 0, id="nothing is going"),
        pytest.param((), 3, 2, 1, id="one runs and one waits"),
        pytest.param(("r1",), 1, 1, 0, id="one is going, one may wait"),
        pytest.param(("r1",), 3, 1, 2, id="one is going, one of three may wait"),
        pytest.param(("r1", "r2"), 1, 0, 1, id="one is going and one waits"),
        pytest.param(("r1", "r2", "r3"), 2, 0, 2, id="more than that are there"),
    ],
)
def test_buffer_one_keeps_one_waiting_at_most(active, late, runs, skipped):
    declared = schedule(catch_up="all", overlap="buffer_one")
    decision = decided(declared, NOON + timedelta(days=late - 1), active=active)
    assert (len(decision.evaluate), len(decision.skipped)) == (runs, skipped)
    assert {one.about_run for one in decision.skipped} <= {active[-1] if active else None}


@pytest.mark.parametrize(
    ("notes", "reason"),
    [
        ({}, "the previous run has not finished (overlap=skip)"),
        ({"r2": "the previous run has not begun"}, "the previous run has not begun (overlap=skip)"),
        ({"r1": "something of an older one"}, "the previous run has not finished (overlap=skip)"),
    ],
)
def test_a_skipped_occurrence_says_what_the_newest_run_in_its_way_does(notes, reason):
    decision = decided(schedule(), NOON, active=("r1", "r2"), notes=notes)
    assert [(one.reason, one.about_run) for one in decision.skipped] == [(reason, "r2")]
