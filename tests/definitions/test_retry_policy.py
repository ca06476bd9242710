"""Retry policies: how long to wait before the next try, and whether there is one."""

from datetime import timedelta

import pytest

from orchestrator import RetryPolicy, RetryRequested
from orchestrator.definitions.retry import may_retry
from orchestrator.model.events import RetryAsk
from tests.definitions.short import refusal


@pytest.mark.parametrize(
    ("policy", "delays"),
    [
        pytest.param(RetryPolicy(delay=2), [2, 2, 2, 2], id="constant"),
        pytest.param(RetryPolicy(delay=2, backoff="linear"), [2, 4, 6, 8], id="linear"),
        pytest.param(RetryPolicy(delay=2, backoff="exponential"), [2, 4, 8, 16], id="exponential"),
        pytest.param(RetryPolicy(delay=2, backoff="exponential", max_delay=5), [2, 4, 5, 5], id="capped"),
        pytest.param(RetryPolicy(), [0, 0, 0, 0], id="none"),
    ],
)
def test_the_delay_grows_as_the_policy_says(policy, delays):
    assert [policy.delay_before_retry(retry, 0.0) for retry in (1, 2, 3, 4)] == delays


@pytest.mark.parametrize(("random", "delay"), [(0.0, 5.0), (0.5, 7.5), (0.999999, pytest.approx(10.0, abs=1e-4))])
def test_jitter_draws_from_the_upper_half_of_the_delay(random, delay):
    assert RetryPolicy(delay=10, jitter=True).delay_before_retry(1, random) == delay


def test_a_thousand_retries_do_not_overflow():
    assert RetryPolicy(delay=1, backoff="exponential").delay_before_retry(1000, 0.0) == 3600


def test_what_a_step_asks_for_goes_before_the_policy():
    policy = RetryPolicy(delay=10, jitter=True, max_delay=20)
    assert policy.delay_before_retry(1, 0.5, asked=60) == 60
    assert policy.delay_before_retry(1, 0.5, asked=0) == 0


@pytest.mark.parametrize(
    ("most", "failures", "ask", "enabled", "allowed", "again"),
    [
        pytest.param(0, 1, None, True, True, False, id="no retries by default"),
        pytest.param(2, 1, None, True, True, True, id="the first of two"),
        pytest.param(2, 2, None, True, True, True, id="the second of two"),
        pytest.param(2, 3, None, True, True, False, id="no third of two"),
        pytest.param(0, 1, RetryAsk(1), True, True, True, id="asked for"),
        pytest.param(0, 2, RetryAsk(1), True, True, False, id="asked for once"),
        pytest.param(5, 1, RetryAsk(0), True, True, False, id="asked for none, against the policy"),
        pytest.param(5, 1, None, False, True, False, id="disabled"),
        pytest.param(5, 1, RetryAsk(5), False, True, False, id="disabled, though asked for"),
        pytest.param(5, 1, None, True, False, False, id="pointless, says the step"),
    ],
)
def test_a_step_is_tried_again_as_often_as_its_policy_or_its_request_says(most, failures, ask, enabled, allowed, again):
    policy = RetryPolicy(max_retries=most)
    assert may_retry(policy, enabled=enabled, failures=failures, ask=ask, allowed=allowed) is again


def test_a_request_asks_for_one_retry_and_leaves_the_delay_to_the_policy():
    request = RetryRequested()
    assert (request.max_retries, request.seconds_to_wait) == (1, None)


@pytest.mark.parametrize("wrong", [-1, 1.5, "3", True, None])
def test_the_number_of_retries_asked_for_is_a_whole_number(wrong):
    error = refusal(RetryRequested, max_retries=wrong)
    assert error.message == f"RetryRequested(max_retries={wrong!r}): it must be a whole number, 0 or more."


@pytest.mark.parametrize("wrong", [-1, "3 of", True, float("inf"), float("nan"), timedelta(-1)])
def test_the_seconds_to_wait_are_a_duration(wrong):
    error = refusal(RetryRequested, seconds_to_wait=wrong)
    assert error.message == f"RetryRequested(seconds_to_wait={wrong!r}): it must be a duration of 0 seconds or more."
