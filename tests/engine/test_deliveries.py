"""When a failed alert is tried again, and when it is given up."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from orchestrator.engine.deliveries import (
    MOST_ATTEMPTS,
    RETRY_FOR,
    after_failure,
    brought_forward,
    delivery_key,
    due_at,
    next_due,
    pause_after,
)
from orchestrator.model.delivery import Delivery, RunEnding
from orchestrator.model.states import DeliveryState, RunState

NOW = datetime(2026, 3, 30, 9, tzinfo=UTC)
RUN = RunEnding(
    ordinal=7,
    run_id="4zg9h2kq7m1x",
    pipeline="people",
    location="main",
    mode="default",
    status=RunState.FAILURE,
    finished_at=NOW - timedelta(seconds=1),
)


def seconds(count):
    return timedelta(seconds=count)


def a_delivery(key="k", attempts=1, failed=0.0, due=10.0, **changes):
    """One that failed last that many seconds from now, and is due that many seconds from now."""
    known = {
        "sensor": "main/alert",
        "key": key,
        "run": RUN,
        "status": DeliveryState.PENDING,
        "attempts": attempts,
        "first_failed_at": NOW - timedelta(hours=1),
        "last_failed_at": NOW + seconds(failed),
        "next_at": None if due is None else NOW + seconds(due),
        "error": "no mail",
    }
    return Delivery(**{**known, **changes})


@pytest.mark.parametrize(
    ("attempts", "pause"),
    [(1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 320), (7, 640), (8, 900), (9, 900), (100, 900)],
)
def test_pauses_grow_to_a_quarter_of_an_hour(attempts, pause):
    assert pause_after(attempts) == seconds(pause)


def test_it_is_given_up_after_three_days_and_not_earlier():
    pauses = [pause_after(attempt) for attempt in range(1, MOST_ATTEMPTS)]
    assert timedelta(days=3) == RETRY_FOR <= sum(pauses, timedelta()) < RETRY_FOR + timedelta(minutes=15)
    assert pause_after(MOST_ATTEMPTS) is None


def test_one_that_somebody_wants_tried_again_has_all_of_it_once_more():
    after = range(MOST_ATTEMPTS + 1, 2 * MOST_ATTEMPTS + 1)
    assert [pause_after(attempt) for attempt in after] == [pause_after(n) for n in range(1, MOST_ATTEMPTS + 1)]


def test_the_first_failure_is_remembered_with_its_run_and_later_ones_count():
    first = after_failure(None, "main/alert", RUN, "no mail", NOW)
    assert (first.status, first.attempts, first.next_at) == (DeliveryState.PENDING, 1, NOW + seconds(10))
    assert (first.run, first.error, first.first_failed_at) == (RUN, "no mail", NOW)
    later = NOW + seconds(12)
    second = after_failure(first, "main/alert", RUN, "still none", later)
    assert (second.attempts, second.next_at, second.error) == (2, later + seconds(20), "still none")
    assert (second.first_failed_at, second.last_failed_at, second.key) == (NOW, later, first.key)


def test_one_that_was_given_up_is_not_due():
    last = after_failure(a_delivery(attempts=MOST_ATTEMPTS - 1), "main/alert", RUN, "no mail", NOW)
    assert (last.status, last.next_at, due_at(last, NOW)) == (DeliveryState.FAILED, None, None)
    assert next_due([last], NOW) is None


def test_a_clock_that_was_set_back_by_years_makes_none_wait_for_years():
    assert due_at(a_delivery(failed=1e8, due=1e8 + 10), NOW) == NOW
    assert due_at(a_delivery(failed=-1, due=9), NOW) == NOW + seconds(9)


def test_a_clock_that_was_wrong_by_years_gives_none_up():
    old = a_delivery(attempts=2, first_failed_at=NOW - timedelta(days=2000))
    assert after_failure(old, "main/alert", RUN, "no mail", NOW).status is DeliveryState.PENDING


def test_the_one_that_is_due_first_comes_first_and_equal_ones_have_an_order():
    some = [a_delivery("c", due=5), a_delivery("b", due=-5), a_delivery("a", due=-5), a_delivery("d", due=None)]
    assert next_due(some, NOW) == (NOW - seconds(5), some[2])


class TestKey:
    def test_it_is_the_same_for_each_attempt_and_in_every_process(self):
        assert delivery_key("main/alert", RUN) == "4zg9h2kq7m1x-ab99d70e7ca9"
        assert delivery_key("main/alert", replace(RUN, ordinal=99)) == delivery_key("main/alert", RUN)

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param(("main/other", RUN), id="another alert"),
            pytest.param(("main/alert", replace(RUN, run_id="5zg9h2kq7m1x")), id="another run"),
            pytest.param(("main/alert", replace(RUN, finished_at=NOW)), id="a run that was resumed and ends again"),
        ],
    )
    def test_it_differs_for(self, other):
        assert delivery_key(*other) != delivery_key("main/alert", RUN)


class TestAfterAnOutage:
    @pytest.mark.parametrize(
        ("delivery", "is_reloaded", "comes_forward"),
        [
            pytest.param(a_delivery(failed=-300, due=600), False, True, id="one that waits"),
            pytest.param(a_delivery(failed=-10, due=600), False, False, id="one that was tried a moment ago"),
            pytest.param(a_delivery(failed=-10, due=600), True, True, id="and now has other code"),
            pytest.param(a_delivery(failed=-300, due=-1), False, False, id="one that is due anyway"),
            pytest.param(a_delivery(failed=-300, due=None), False, False, id="one that was given up"),
            pytest.param(a_delivery(failed=300, due=600), False, True, id="one of a clock that was set back"),
        ],
    )
    def test_which_are_tried_at_once(self, delivery, is_reloaded, comes_forward):
        expected = [replace(delivery, next_at=NOW)] if comes_forward else []
        assert brought_forward([delivery], NOW, is_reloaded=is_reloaded) == expected
