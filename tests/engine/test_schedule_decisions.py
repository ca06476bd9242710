"""Which occurrences of a schedule are run, and that every one of them is accounted for exactly once."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.cron import instants_between, load_zone
from orchestrator.cron_expression import parse_cron
from orchestrator.engine import automation_lifecycle, schedule_decisions
from orchestrator.model.automation import ScheduleInfo, SensorInfo

START = datetime(2019, 2, 27, 23, 59, 59, tzinfo=UTC)


def schedule(**changes):
    return ScheduleInfo(**{"name": "s", "cron": "0 0 * * *", "pipeline": "p", "catch_up_window": None, **changes})


def turned_on(declared, at=START):
    return automation_lifecycle.turn_on(automation_lifecycle.first_seen("main", declared, at), at)


def days(decision):
    return [instant.strftime("%m-%d") for instant in decision.evaluate]


def missed(decision):
    return [passed.scheduled_at.strftime("%m-%d") for passed in decision.missed]


@pytest.mark.parametrize(
    ("catch_up", "run", "not_run"),
    [
        pytest.param("latest", ["03-04"], ["02-28", "03-01", "03-02", "03-03"], id="latest"),
        pytest.param("all", ["02-28", "03-01", "03-02", "03-03", "03-04"], [], id="all"),
        pytest.param(2, ["03-03", "03-04"], ["02-28", "03-01", "03-02"], id="at-most-2"),
        pytest.param("none", [], ["02-28", "03-01", "03-02", "03-03", "03-04"], id="none"),
    ],
)
def test_what_is_caught_up_on_after_five_days_asleep(catch_up, run, not_run):
    declared = schedule(catch_up=catch_up)
    decision = schedule_decisions.decide(declared, turned_on(declared), datetime(2019, 3, 4, 23, 59, 59, tzinfo=UTC))
    assert (days(decision), missed(decision)) == (run, not_run)


def test_nothing_is_due_at_the_moment_of_turning_on_unless_it_is_the_instant_itself():
    declared = schedule()
    assert not schedule_decisions.decide(declared, turned_on(declared), START).evaluate
    boundary = datetime(2019, 2, 27, tzinfo=UTC)
    assert schedule_decisions.decide(declared, turned_on(declared, boundary), boundary).evaluate == (boundary,)


def test_what_is_older_than_the_window_is_missed_with_that_reason():
    declared = schedule(catch_up="all", catch_up_window=86400.0 * 2)
    decision = schedule_decisions.decide(declared, turned_on(declared), datetime(2019, 3, 4, 12, tzinfo=UTC))
    assert days(decision) == ["03-03", "03-04"]
    assert {passed.reason for passed in decision.missed} == {"late by more than the catch-up window of 2d 0h"}


def test_a_machine_that_wakes_outside_the_window_runs_nothing_and_says_so():
    declared = schedule(cron="0 0 1 * *", catch_up_window=3600.0)
    decision = schedule_decisions.decide(declared, turned_on(declared), datetime(2019, 3, 1, 2, tzinfo=UTC))
    assert not decision.evaluate
    assert missed(decision) == ["03-01"]


def test_a_year_of_minutes_missed_is_told_in_a_bounded_number_of_lines():
    declared = schedule(cron="* * * * *", catch_up_window=86400.0)
    decision = schedule_decisions.decide(declared, turned_on(declared), START + timedelta(days=60))
    assert len(decision.missed) < 250
    assert sum(passed.count for passed in decision.missed) + len(decision.evaluate) == 60 * 24 * 60


@pytest.mark.parametrize(
    ("overlap", "active", "run", "skipped"),
    [
        pytest.param("skip", (), 2, 0, id="late-ones-run-one-after-another"),
        pytest.param("allow", ("r1",), 2, 0, id="allow"),
        pytest.param("buffer_one", ("r1",), 1, 1, id="one-waits"),
        pytest.param("buffer_one", ("r1", "r2"), 0, 2, id="one-waits-already"),
        pytest.param("buffer_all", ("r1", "r2"), 2, 0, id="all-wait"),
        pytest.param("cancel_other", ("r1",), 1, 1, id="cancel-other"),
    ],
)
def test_what_runs_that_are_still_going_leave(overlap, active, run, skipped):
    declared = schedule(catch_up="all", overlap=overlap)
    decision = schedule_decisions.decide(
        declared, turned_on(declared), datetime(2019, 3, 1, 1, tzinfo=UTC), active=active
    )
    assert (len(decision.evaluate), len(decision.skipped)) == (run, skipped)
    assert decision.cancel_active == (overlap == "cancel_other")
    assert decision.serialize == (overlap != "allow")


@pytest.mark.parametrize(("active", "run", "skipped"), [((), 1, 0), (("r1",), 0, 1)])
def test_an_occurrence_on_time_is_skipped_while_the_run_before_it_goes(active, run, skipped):
    declared = schedule()
    decision = schedule_decisions.decide(
        declared, turned_on(declared), datetime(2019, 2, 28, 0, 0, 1, tzinfo=UTC), active=active
    )
    assert (len(decision.evaluate), len(decision.skipped)) == (run, skipped)
    assert not decision.serialize


def test_the_time_off_is_never_made_up():
    declared = schedule(catch_up="all")
    one = automation_lifecycle.turn_off(turned_on(declared), START + timedelta(days=1))
    later = START + timedelta(days=4)
    assert schedule_decisions.decide(declared, one, later).evaluate == ()
    assert schedule_decisions.decide(declared, automation_lifecycle.turn_on(one, later), later).evaluate == ()


def test_another_cron_counts_from_the_edit_and_any_other_edit_changes_nothing():
    one = turned_on(schedule(catch_up="all"))
    edited_at = START + timedelta(days=3)
    other_cron = schedule(catch_up="all", cron="30 0 * * *")
    assert automation_lifecycle.on_change(one, other_cron, edited_at).since == edited_at
    assert automation_lifecycle.on_change(one, schedule(catch_up="latest"), edited_at).since == one.since


def test_a_definition_that_returns_starts_from_now():
    declared = schedule(catch_up="all")
    back = automation_lifecycle.returned(
        automation_lifecycle.gone(turned_on(declared), START + timedelta(days=1)), declared, START + timedelta(days=9)
    )
    assert back.gone_at is None
    assert not schedule_decisions.decide(declared, back, START + timedelta(days=9)).evaluate


def test_a_clock_set_back_makes_nothing_run_again():
    declared = schedule()
    after = replace(turned_on(declared), since=datetime(2019, 3, 2, tzinfo=UTC), since_inclusive=False)
    assert not schedule_decisions.decide(declared, after, datetime(2019, 3, 1, 5, tzinfo=UTC)).evaluate


def test_jitter_is_the_same_whenever_one_asks_and_less_than_declared():
    declared = schedule(jitter=600.0)
    instants = [datetime(2019, 3, day, tzinfo=UTC) for day in range(1, 29)]
    jitters = [schedule_decisions.jitter_of(declared, "main/s", instant) for instant in instants]
    assert jitters == [schedule_decisions.jitter_of(declared, "main/s", instant) for instant in instants]
    assert all(timedelta(0) <= jitter < timedelta(minutes=10) for jitter in jitters)
    assert len(set(jitters)) == len(jitters)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["latest", "all", "none", 1, 3]),
    st.sampled_from([None, 1800.0, 7200.0]),
    st.lists(st.integers(1, 600), min_size=1, max_size=12),
)
def test_every_occurrence_is_accounted_for_exactly_once_however_often_one_looks(catch_up, window, sleeps):
    declared = schedule(cron="*/7 * * * *", catch_up=catch_up, catch_up_window=window, overlap="allow")
    one = turned_on(declared)
    now, told = START, []
    for minutes in sleeps:
        now += timedelta(minutes=minutes)
        decision = schedule_decisions.decide(declared, one, now)
        told += [*decision.evaluate, *(passed.scheduled_at for passed in decision.missed)]
        assert sum(passed.count for passed in decision.missed) == len(decision.missed), "nothing is collapsed here"
        one = replace(one, since=decision.since, since_inclusive=decision.since_inclusive)
        assert not schedule_decisions.decide(declared, one, now).evaluate
    assert sorted(told) == list(instants_between(parse_cron(declared.cron), load_zone("UTC"), START, now))


def test_an_occurrence_on_time_joins_the_late_ones_that_are_being_made_up():
    declared = schedule(catch_up="all")
    one, now = turned_on(declared), datetime(2019, 3, 2, 0, 0, 3, tzinfo=UTC)
    decision = schedule_decisions.decide(declared, one, now)
    assert (days(decision), decision.serialize) == (["02-28", "03-01", "03-02"], True)
    last = replace(one, since=datetime(2019, 3, 1, tzinfo=UTC), since_inclusive=False)
    again = schedule_decisions.decide(declared, last, now, active=("r1", "r2"), making_up=decision.evaluate[-1])
    assert (days(again), again.skipped, again.serialize) == (["03-02"], (), True)


def test_after_what_is_made_up_the_policy_counts_again():
    declared = schedule(catch_up="all")
    one = replace(turned_on(declared), since=datetime(2019, 3, 2, tzinfo=UTC), since_inclusive=False)
    now, made_up = datetime(2019, 3, 3, 0, 0, 1, tzinfo=UTC), datetime(2019, 3, 2, tzinfo=UTC)
    decision = schedule_decisions.decide(declared, one, now, active=("r1",), making_up=made_up)
    assert (days(decision), len(decision.skipped)) == ([], 1)


def test_jitter_makes_nothing_late():
    declared = schedule(catch_up="all", jitter=7200.0)
    one = turned_on(declared)
    instant = datetime(2019, 2, 28, tzinfo=UTC)
    at = instant + schedule_decisions.jitter_of(declared, one.id, instant)
    assert at > instant + schedule_decisions.ON_TIME
    assert len(schedule_decisions.decide(declared, one, at, active=("r1",)).skipped) == 1
    assert not schedule_decisions.decide(declared, one, at - timedelta(microseconds=1)).evaluate


def test_what_is_remembered_of_a_definition_of_another_kind_begins_anew():
    sensor = SensorInfo(name="s")
    one = replace(automation_lifecycle.first_seen("main", sensor, START), is_on=True, cursor="c")
    edited = automation_lifecycle.on_change(one, SensorInfo(name="s", kind="asset_sensor", assets=(("a",),)), START)
    assert (edited.kind, edited.cursor) == ("asset_sensor", None)
    assert automation_lifecycle.on_change(one, SensorInfo(name="s", interval=1.0), START).cursor == "c"
