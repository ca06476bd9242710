"""A clock that is set, forwards or backwards, by minutes or by years: what counts then, as tables."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from orchestrator.engine import automation_lifecycle, schedule_decisions
from orchestrator.engine.admission import PUT_OFF, QueueLimits, admit
from orchestrator.engine.sensor_timing import next_evaluation_at
from orchestrator.model.automation import ScheduleInfo, SensorInfo
from orchestrator.model.queued_run import QueuedRun
from tests.engine.lives import Life, fails, plan

NOW = datetime(2026, 1, 10, 12, 30, tzinfo=UTC)
HOURLY = ScheduleInfo(name="s", cron="0 * * * *", pipeline="p")
YEARS = timedelta(days=3650)


def on(since=NOW, **changes):
    one = automation_lifecycle.turn_on(automation_lifecycle.first_seen("main", HOURLY, since), since)
    return replace(one, since=since, since_inclusive=False, **changes)


def fired(remembered, *instants, declared=HOURLY):
    """What is run, as the clock shows one instant after the other; and what is remembered then."""
    ran = []
    for now in instants:
        remembered = schedule_decisions.after_clock_change(remembered, now)
        decision = schedule_decisions.decide(declared, remembered, now)
        ran += decision.evaluate
        remembered = replace(remembered, since=decision.since, since_inclusive=decision.since_inclusive)
    return ran, remembered


@pytest.mark.parametrize(
    ("back", "counts_anew"),
    [
        pytest.param(timedelta(minutes=1), False, id="a-minute"),
        pytest.param(timedelta(hours=1), False, id="an-hour"),
        pytest.param(timedelta(hours=3), False, id="three-hours"),
        pytest.param(timedelta(hours=3, seconds=1), True, id="more-than-three-hours"),
        pytest.param(YEARS, True, id="years"),
    ],
)
def test_a_clock_set_back_by_little_is_waited_for_and_by_much_counts_anew(back, counts_anew):
    before = on(since=NOW + back)
    after = schedule_decisions.after_clock_change(before, NOW)
    if not counts_anew:
        assert after is before
        return
    assert (after.since, after.since_inclusive, after.ahead) == (NOW, True, (NOW + back,))
    assert schedule_decisions.after_clock_change(after, NOW) == after, "said once"


def test_a_clock_that_ran_years_ahead_for_a_minute_stops_no_schedule():
    hours = [NOW + timedelta(hours=hour) for hour in range(4)]
    ran, _ = fired(on(), NOW + YEARS, *hours)
    assert ran[1:] == [hour.replace(minute=0) for hour in hours[1:]]


def test_a_clock_that_begins_years_behind_repeats_nothing_when_it_is_set_right():
    last = NOW.replace(minute=0)
    behind = datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC)
    ran, after = fired(on(since=last), behind, behind + timedelta(minutes=2), NOW + timedelta(minutes=1))
    assert ran == []
    assert (after.since, after.ahead) == (last, ())
    ran, _ = fired(after, NOW + timedelta(hours=1))
    assert ran == [last + timedelta(hours=1)]


def test_a_clock_that_went_wrong_in_both_directions_still_repeats_nothing():
    ran, after = fired(
        on(since=NOW.replace(minute=0)),
        NOW + YEARS,  # ahead
        NOW + timedelta(minutes=40),  # right again: 13:00 is run
        datetime(1970, 1, 1, tzinfo=UTC),
        NOW + timedelta(minutes=100),  # right again: 14:00 is run, 13:00 not once more
        NOW + timedelta(minutes=160),
    )
    told = [f"{instant:%H:%M}" for instant in ran[1:] if instant.year == 2026]
    assert told == ["14:00", "15:00"]
    assert len(after.ahead) == 1, "the years ahead are still to come"


@pytest.mark.parametrize("change", [automation_lifecycle.turn_off, automation_lifecycle.turn_on])
def test_turning_on_or_off_forgets_what_was_ahead(change):
    assert change(on(ahead=(NOW + YEARS,)), NOW).ahead == ()


def test_decades_of_minutes_are_passed_over_in_a_moment_and_the_latest_is_run():
    minutely = ScheduleInfo(name="s", cron="* * * * *", pipeline="p", catch_up_window=None)
    decision = schedule_decisions.decide(minutely, on(since=datetime(1970, 1, 1, tzinfo=UTC)), NOW)
    assert decision.evaluate == (NOW,)
    first, second = decision.missed[:2]
    assert (first.scheduled_at, "not counted" in first.reason) == (datetime(1970, 1, 1, 0, 1, tzinfo=UTC), True)
    assert second.scheduled_at == NOW - schedule_decisions.LONGEST_COUNTED
    assert sum(one.count for one in decision.missed[1:]) == schedule_decisions.LONGEST_COUNTED / timedelta(minutes=1)


def test_decades_of_a_rare_schedule_are_all_told():
    yearly = ScheduleInfo(name="s", cron="0 0 1 1 *", pipeline="p", catch_up="all", catch_up_window=None)
    assert len(schedule_decisions.decide(yearly, on(since=datetime(1970, 1, 1, tzinfo=UTC)), NOW).evaluate) == 56


@pytest.mark.parametrize("interval", [15.0, 3600.0])
@pytest.mark.parametrize("ahead", [timedelta(seconds=1), timedelta(hours=1), YEARS])
def test_a_sensor_that_was_asked_in_what_is_now_the_future_waits_one_interval(interval, ahead):
    sensor = SensorInfo(name="s", interval=interval)
    one = replace(automation_lifecycle.first_seen("main", sensor, NOW), last_tick_at=NOW + ahead)
    assert next_evaluation_at(sensor, one, NOW) == NOW + timedelta(seconds=interval)


@pytest.mark.parametrize(
    ("not_before", "let_in"),
    [
        pytest.param(NOW - YEARS, True, id="long-past"),
        pytest.param(NOW + PUT_OFF, False, id="just-put-off"),
        pytest.param(NOW + YEARS, True, id="put-off-by-a-clock-that-ran-ahead"),
    ],
)
def test_a_run_is_never_put_off_for_longer_than_runs_are(not_before, let_in):
    run = QueuedRun(run_id="r", created_at=NOW, not_before=not_before)
    assert bool(admit([run], [], QueueLimits(), NOW).run_ids) is let_in


class TestARun:
    def test_a_retry_does_not_wait_for_a_clock_that_was_set_back(self):
        life = Life(plan(a={"retry": fails(1)})).settle().fail("a").settle().wait(-86400).settle()
        assert "a" in life.run.in_flight

    def test_a_retry_waits_as_long_as_it_should_on_a_clock_that_goes_on(self):
        life = Life(plan(a={"retry": fails(1, delay=60.0)})).settle().fail("a").settle().wait(59).settle()
        assert "a" not in life.run.in_flight
        assert "a" in life.wait(1).settle().run.in_flight

    @pytest.mark.parametrize("by", [-86400, 86400])
    def test_a_step_is_not_late_because_the_clock_was_set(self, by):
        life = Life(plan(a={"timeout": 60.0})).settle().wait(30)
        life.run.clock_went(timedelta(seconds=by))
        assert life.wait(by + 29).settle().run.in_flight["a"].stop is None
        assert life.wait(1).settle().run.in_flight["a"].stop == "timed out"
