"""Trying again: the step's own budget, the one for lost attempts, and when neither applies."""

import pytest

from orchestrator.definitions.retry import RetryPolicy
from orchestrator.engine.next_action import next_instant
from orchestrator.model.events import RetryAsk, StepRetryScheduled
from tests.engine.lives import Life, fails, plan


def kinds(life, kind):
    return sum(type(event).__name__ == kind for event in life.journal)


def live_through(retries, attempt):
    life = Life(plan(a={"retry": retries})).settle()
    while life.run.in_flight:
        attempt(life)
        life.settle().wait(3600).settle()
    return life


@pytest.mark.parametrize("most", [0, 1, 3])
def test_a_failing_step_is_tried_as_often_as_its_policy_says(most):
    life = live_through(fails(most), lambda life: life.fail("a"))
    assert kinds(life, "AttemptStarted") == most + 1
    assert kinds(life, "StepRetryScheduled") == most
    assert kinds(life, "StepFailed") == 1


@pytest.mark.parametrize(
    ("asked", "policy", "attempts"),
    [
        pytest.param(1, 0, 2, id="what the step asks for counts without a policy"),
        pytest.param(3, 0, 4, id="up to the number it names"),
        pytest.param(1, 5, 2, id="and instead of the policy, not in addition"),
        pytest.param(0, 5, 1, id="asking for none is possible"),
    ],
)
def test_retry_requested_decides_by_itself(asked, policy, attempts):
    life = live_through(fails(policy), lambda life: life.fail("a", ask=RetryAsk(asked)))
    assert kinds(life, "AttemptStarted") == attempts


def test_a_failure_that_allows_no_retries_is_final():
    life = live_through(fails(5), lambda life: life.fail("a", allow_retries=False))
    assert kinds(life, "AttemptStarted") == 1


def test_a_process_that_died_counts_as_the_steps_own_failure():
    life = live_through(fails(2), lambda life: life.die("a"))
    assert kinds(life, "AttemptStarted") == 3


def test_a_lost_attempt_is_retried_before_the_run_fails():
    life = live_through(fails(0, infrastructure_retries=2), lambda life: life.lose("a"))
    assert kinds(life, "AttemptStarted") == 3
    assert [e.budget for e in life.journal if isinstance(e, StepRetryScheduled)] == ["infrastructure"] * 2


def test_what_is_lost_again_is_made_again_ever_later():
    life = Life(plan(a={"retry": fails(0, infrastructure_retries=9)})).settle()
    delays = []
    for _ in range(9):
        life.lose("a").settle()
        delays.append((next_instant(life.run) - life.now).total_seconds())
        life.wait(delays[-1]).settle()
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_losses_never_use_up_the_steps_own_retries():
    life = Life(plan(a={"retry": fails(1, infrastructure_retries=3)})).settle()
    for event in (life.lose, life.lose, life.fail, life.lose):
        event("a")
        life.settle().wait(60).settle()
    assert life.states()["a"] == "RUNNING"
    assert life.fail("a").settle().states()["a"] == "FAILURE"


def test_disabled_retries_do_not_concern_lost_attempts():
    import msgspec

    without = msgspec.structs.replace(plan(a={"retry": fails(5)}), retries_enabled=False)
    life = Life(without).settle().lose("a").settle().wait(60).settle()
    assert life.states()["a"] == "RUNNING"
    assert life.fail("a").settle().states()["a"] == "FAILURE"


def test_a_retry_waits_for_its_instant():
    life = Life(plan(a={"retry": RetryPolicy(max_retries=1, delay=30)})).settle().fail("a").settle()
    assert life.states()["a"] == "RETRYING"
    assert (next_instant(life.run) - life.now).total_seconds() == 30
    assert life.wait(29).settle().told[-1] == "step_retry_scheduled a"
    assert life.wait(1).settle().told[-1] == "launch a/2"


def test_what_a_step_asked_for_is_the_delay():
    life = Life(plan(a={"retry": RetryPolicy(max_retries=1, delay=30)})).settle()
    life.fail("a", ask=RetryAsk(1, 5.0)).settle()
    assert (next_instant(life.run) - life.now).total_seconds() == 5


def test_waiting_for_a_retry_leaves_its_place_to_others():
    life = Life(plan(a={"retry": RetryPolicy(max_retries=1, delay=30)}, b={}), room=1)
    life.settle().fail("a").settle()
    assert life.told[-1] == "launch b/1"


@pytest.mark.parametrize(
    ("policy", "delays"),
    [
        pytest.param(RetryPolicy(delay=2), [2, 2, 2, 2], id="constant"),
        pytest.param(RetryPolicy(delay=2, backoff="linear"), [2, 4, 6, 8], id="linear"),
        pytest.param(RetryPolicy(delay=2, backoff="exponential"), [2, 4, 8, 16], id="exponential"),
        pytest.param(RetryPolicy(delay=2, backoff="exponential", max_delay=5), [2, 4, 5, 5], id="bounded"),
    ],
)
def test_the_delay_grows_as_the_policy_says(policy, delays):
    assert [policy.delay_before_retry(n, 0.0) for n in (1, 2, 3, 4)] == delays


@pytest.mark.parametrize(("random", "delay"), [(0.0, 5.0), (0.5, 7.5), (0.999, 9.995)])
def test_jitter_draws_between_half_of_the_delay_and_all_of_it(random, delay):
    assert RetryPolicy(delay=10, jitter=True).delay_before_retry(1, random) == pytest.approx(delay)


def test_a_delay_never_overflows():
    assert RetryPolicy(delay=1, backoff="exponential").delay_before_retry(10_000, 0.0) == 3600


@pytest.mark.parametrize(
    ("ready", "retried", "first"),
    [
        pytest.param(0, 0, "a/2", id="the retry, when they are equal"),
        pytest.param(1, 0, "b/1", id="what has the higher priority"),
        pytest.param(0, 1, "a/2", id="the retry, when it has the higher priority"),
    ],
)
def test_a_retry_that_is_due_and_a_step_that_is_ready_start_by_priority(ready, retried, first):
    written = {"a": {"retry": fails(1, delay=10.0), "priority": retried}, "c": {}}
    life = Life(plan(**written, b={"priority": ready, "after": ("c",)}))
    life.room = 2
    life.settle()
    life.fail("a")
    life.room = 1
    life.settle().wait(10)
    life.succeed("c")
    life.settle()
    assert next(told for told in life.told if told in ("launch a/2", "launch b/1")) == f"launch {first}"


def test_a_retry_that_is_not_due_does_not_keep_a_ready_step_waiting():
    life = Life(plan(a={"retry": fails(1, delay=10.0), "priority": 9}, b={}), 1).settle()
    life.fail("a").settle()
    assert life.told[-1] == "launch b/1"
    assert "launch a/2" not in life.told


@pytest.mark.parametrize(
    ("end", "budget"),
    [("lose", "infrastructure"), ("fail", "retries"), ("die", "retries")],
)
def test_which_budget_a_retry_is_taken_from(end, budget):
    life = Life(plan(a={"retry": fails(1, infrastructure_retries=1)})).settle()
    getattr(life, end)("a")
    life.settle()
    assert [one.budget for one in life.journal if isinstance(one, StepRetryScheduled)] == [budget]


def test_neither_budget_pays_for_the_other():
    life = Life(plan(a={"retry": fails(1, infrastructure_retries=1)})).settle()
    for end in ("lose", "fail", "lose"):
        getattr(life, end)("a")
        life.settle().wait(3600).settle()
    assert [one.budget for one in life.journal if isinstance(one, StepRetryScheduled)] == ["infrastructure", "retries"]
    assert life.states() == {"a": "FAILURE"}
