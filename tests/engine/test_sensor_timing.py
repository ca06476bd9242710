"""When sensors are looked at, and which of their requests are new."""

from datetime import UTC, datetime, timedelta

from orchestrator.engine.automation_lifecycle import first_seen
from orchestrator.engine.sensor_timing import LONGEST_BACK_OFF, decide_requests, next_evaluation_at, spread
from orchestrator.model.automation import Automation, SensorInfo
from orchestrator.model.tick import Requested

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EVERY_MINUTE = SensorInfo(name="s", interval=60.0)


def ticked(seconds_ago=0.0, failures=0) -> Automation:
    from msgspec.structs import replace

    one = first_seen("main", EVERY_MINUTE, NOW)
    return replace(one, last_tick_at=NOW - timedelta(seconds=seconds_ago), failures=failures)


def test_a_sensor_is_looked_at_an_interval_after_the_last_time_whatever_came_of_it():
    assert next_evaluation_at(EVERY_MINUTE, ticked(15), NOW) == NOW + timedelta(seconds=45)
    assert next_evaluation_at(EVERY_MINUTE, first_seen("main", EVERY_MINUTE, NOW), NOW) == NOW


def test_one_that_fails_is_looked_at_ever_less_often_up_to_a_limit():
    pauses = [next_evaluation_at(EVERY_MINUTE, ticked(0, failures), NOW) - NOW for failures in range(12)]
    assert pauses[:3] == [timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=4)]
    assert pauses[-1] == LONGEST_BACK_OFF


def test_a_clock_that_was_set_back_makes_nobody_wait_longer_than_an_interval():
    assert next_evaluation_at(EVERY_MINUTE, ticked(-86400), NOW) == NOW + timedelta(minutes=1)


def test_a_thousand_sensors_do_not_come_all_at_once():
    phases = {spread(f"main/s{number}", 30.0) for number in range(1000)}
    assert len(phases) > 990
    assert max(phases) < timedelta(seconds=1)


def test_used_keys_and_repetitions_within_a_tick_are_dropped_and_keyless_requests_are_always_new():
    requests = [Requested(key) for key in ("a", "b", "b", None, "c", None)]
    decision = decide_requests(requests, {"a"})
    assert [one.run_key for one in decision.fresh] == ["b", None, "c", None]
    assert [one.run_key for one in decision.dropped] == ["a", "b"]


def test_of_a_schedule_each_key_counts_for_one_occurrence_and_an_occurrence_without_a_key_counts_once():
    requests = [Requested("a"), Requested()]
    decision = decide_requests(requests, {"monday a", "monday"}, lambda one: f"monday {one.run_key or ''}".strip())
    assert decision.fresh == ()
    decision = decide_requests(requests, {"monday a", "monday"}, lambda one: f"tuesday {one.run_key or ''}".strip())
    assert [one.run_key for one in decision.fresh] == ["a", None]
