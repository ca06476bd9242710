"""How often a step is tried, who decides it, and what is recorded of each try."""

from collections import Counter
from datetime import timedelta

import pytest

from orchestrator import (
    DefinitionError,
    Failure,
    IOManager,
    Mode,
    RetryPolicy,
    RetryRequested,
    pipeline,
    resource,
    step,
)
from orchestrator.model.events import StepRetryScheduled
from orchestrator.model.states import StepState
from tests.definitions.short import double, files, one, run

RETRIES_OFF = {"execution": {"retries": "disabled"}}


def counts(result, step="it"):
    """How many tries were started, how many more were scheduled, and whether the step failed for good."""
    kinds = Counter(result.events_of(step))
    return kinds["attempt_started"], kinds["step_retry_scheduled"], kinds["step_failed"]


def always(error):
    """A step that raises the same each time."""

    @step
    def it():
        raise error

    return it


@pytest.mark.parametrize(
    ("error", "policy", "expected"),
    [
        pytest.param(ValueError("no"), None, (1, 0, 1), id="an exception is not retried by itself"),
        pytest.param(RetryRequested(), None, (2, 1, 1), id="asking once"),
        pytest.param(RetryRequested(max_retries=3), None, (4, 3, 1), id="asking for three"),
        pytest.param(RetryRequested(max_retries=0), None, (1, 0, 1), id="asking for none"),
        pytest.param(ValueError("no"), RetryPolicy(max_retries=2), (3, 2, 1), id="a policy retries any exception"),
        pytest.param(Failure("no"), RetryPolicy(max_retries=2), (3, 2, 1), id="a policy retries a Failure"),
        pytest.param(SystemExit(1), RetryPolicy(max_retries=1), (2, 1, 1), id="a policy retries an exit"),
        pytest.param(
            Failure("pointless", allow_retries=False),
            RetryPolicy(max_retries=5),
            (1, 0, 1),
            id="a Failure may forbid it",
        ),
        pytest.param(
            RetryRequested(max_retries=1), RetryPolicy(max_retries=5), (2, 1, 1), id="a request counts, not the policy"
        ),
        pytest.param(
            RetryRequested(max_retries=3), RetryPolicy(max_retries=1), (4, 3, 1), id="also when it asks for more"
        ),
    ],
)
def test_tries_are_counted(error, policy, expected):
    @step(retry=policy)
    def it():
        raise error

    result = run(it)
    assert counts(result) == expected
    assert not result.success


@pytest.mark.parametrize(
    ("error", "policy"),
    [
        pytest.param(RetryRequested(max_retries=3), None, id="asked for"),
        pytest.param(ValueError("no"), RetryPolicy(max_retries=3), id="by policy"),
    ],
)
def test_the_configuration_of_a_run_can_disable_retries(error, policy):
    @step(retry=policy)
    def it():
        raise error

    assert counts(run(it, config=RETRIES_OFF)) == (1, 0, 1)


@pytest.mark.parametrize("on", [True, "enabled", None])
def test_retries_are_enabled_unless_the_configuration_says_otherwise(on):
    assert counts(run(always(RetryRequested()), config={"execution": {"retries": on} if on else {}})) == (2, 1, 1)


def test_a_step_that_works_the_second_time_succeeds():
    @step(retry=RetryPolicy(max_retries=5))
    def it(context) -> int:
        if context.attempt < 3:
            raise ValueError("not yet")
        return context.attempt

    @pipeline
    def wired():
        double(it())

    result = wired.execute_in_process()
    assert result.success
    assert counts(result) == (3, 2, 0)
    assert result.output("double") == 6
    assert result.failure("it") is None


def test_a_failure_between_requests_counts_as_one_of_them():
    """The budget is one: what failed before is not forgotten because the next try fails differently."""

    @step(retry=RetryPolicy(max_retries=1))
    def it(context):
        raise RetryRequested(max_retries=2) if context.attempt == 1 else ValueError("no")

    assert counts(run(it)) == (2, 1, 1)


@pytest.mark.parametrize(
    ("error", "policy", "seconds"),
    [
        pytest.param(RetryRequested(seconds_to_wait=0.02), None, [0.02], id="asked for"),
        pytest.param(RetryRequested(), RetryPolicy(delay=0.01), [0.01], id="asked for, with the policy's delay"),
        pytest.param(RetryRequested(seconds_to_wait=0), RetryPolicy(delay=9), [0], id="asked for none"),
        pytest.param(ValueError(), RetryPolicy(max_retries=2, delay=0.01, backoff="linear"), [0.01, 0.02], id="linear"),
        pytest.param(
            ValueError(),
            RetryPolicy(max_retries=3, delay=0.01, backoff="exponential"),
            [0.01, 0.02, 0.04],
            id="exponential",
        ),
    ],
)
def test_each_further_try_waits_as_long_as_it_should(error, policy, seconds):
    @step(retry=policy)
    def it():
        raise error

    result = run(it)
    retries = [event for event in result.events if isinstance(event, StepRetryScheduled)]
    assert [event.due_at - event.at for event in retries] == [timedelta(seconds=wait) for wait in seconds]
    starts = [event.at for event in result.events if type(event).__name__ == "AttemptStarted"]
    assert all(start >= event.due_at for event, start in zip(retries, starts[1:], strict=True))


def test_other_steps_run_while_one_waits_for_its_next_try():
    order = []

    @step(retry=RetryPolicy(max_retries=1, delay=0.05))
    def flaky(context) -> None:
        order.append(f"flaky {context.attempt}")
        if context.attempt == 1:
            raise ValueError("first")

    @step
    def steady() -> None:
        order.append("steady")

    assert run(flaky, steady).success
    assert order == ["flaky 1", "steady", "flaky 2"]


def test_a_scheduled_try_says_why():
    (event,) = [e for e in run(always(RetryRequested())).events if isinstance(e, StepRetryScheduled)]
    assert (event.attempt, event.budget, event.reason) == (1, "retries", "RetryRequested: retry requested (at most 1)")


def test_the_cause_of_a_request_is_kept():
    @step
    def it():
        try:
            raise ConnectionError("reset by peer")
        except ConnectionError as error:
            raise RetryRequested from error

    assert run(it).failure("it").cause.message == "reset by peer"


def test_a_failure_carries_its_explanation_and_metadata():
    error = run(always(Failure("3 rows are bad", {"bad": 3}))).failure("it")
    assert (error.kind, error.message, error.metadata) == ("Failure", "3 rows are bad", {"bad": 3})


def test_each_try_gets_its_own_resources():
    lives = []

    @resource
    def session():
        lives.append("open")
        yield
        lives.append("closed")

    @step(resources={"session"}, retry=RetryPolicy(max_retries=1))
    def it(context):
        lives.append(f"try {context.attempt}")
        raise ValueError("no")

    @pipeline(modes=[Mode("m", resources={"session": session})])
    def wired():
        it()

    wired.execute_in_process()
    assert lives == ["open", "try 1", "closed", "open", "try 2", "closed"]


def test_each_key_of_a_mapped_step_has_its_own_tries():
    @step(retry=RetryPolicy(max_retries=1))
    def fussy(context, file: str) -> str:
        if file == "b" and context.attempt == 1:
            raise ValueError("b at first")
        return file

    @pipeline
    def mapped():
        files().map(fussy)

    result = mapped.execute_in_process()
    assert (counts(result, "fussy[a]"), counts(result, "fussy[b]")) == ((1, 0, 0), (2, 1, 0))


# --- IO managers may ask for a retry as steps do ---


class Stubborn(IOManager):
    """Raises `error` the first `times` times that it is asked to store (or to load)."""

    def __init__(self, error, times, side):
        self.error, self.left, self.side = error, times, side

    def handle_output(self, context, obj):
        self._maybe_raise("out")

    def load_input(self, context):
        self._maybe_raise("in")
        return 1

    def _maybe_raise(self, side):
        if side == self.side and self.left:
            self.left -= 1
            raise self.error


@pipeline
def chain():
    double(one())


ALWAYS = 1000


@pytest.mark.parametrize(
    ("side", "which", "other"), [("out", "one", "double"), ("in", "double", "one")], ids=["storing", "loading"]
)
class TestAnIOManager:
    def test_that_asks_twice_is_asked_a_third_time(self, side, which, other):
        manager = Stubborn(RetryRequested(max_retries=3), 2, side)
        result = chain.execute_in_process(resources={"io_manager": manager})
        assert result.success
        assert counts(result, which) == (3, 2, 0)
        assert counts(result, other) == (1, 0, 0)

    def test_that_always_asks_for_three_fails_the_step_after_four_tries(self, side, which, other):
        manager = Stubborn(RetryRequested(max_retries=3), ALWAYS, side)
        result = chain.execute_in_process(resources={"io_manager": manager})
        assert not result.success
        assert counts(result, which) == (4, 3, 1)
        assert result.state("double") is (StepState.ABANDONED if which == "one" else StepState.FAILURE)

    def test_that_forbids_retries_fails_the_step_at_once(self, side, which, other):
        manager = Stubborn(Failure("disk full", {"free": 0}, allow_retries=False), ALWAYS, side)
        result = chain.execute_in_process(resources={"io_manager": manager})
        assert counts(result, which) == (1, 0, 1)
        assert result.failure(which).metadata == {"free": 0}
        assert result.failure(which).message.startswith("disk full\n(while ")

    def test_that_raises_anything_else_says_what_it_was_doing(self, side, which, other):
        doing = {
            "out": "while storing output 'result' of step 'one' with io_manager 'io_manager'",
            "in": "while loading input 'n' of step 'double' with io_manager 'io_manager'",
        }
        result = chain.execute_in_process(resources={"io_manager": Stubborn(OSError("disk"), ALWAYS, side)})
        assert result.failure(which).message == f"disk\n({doing[side]})"
        assert result.failure(which).frames[-1].function == "_maybe_raise"


def test_a_step_after_one_that_was_never_stored_is_never_started():
    manager = Stubborn(RetryRequested(), ALWAYS, "out")
    assert chain.execute_in_process(resources={"io_manager": manager}).events_of("double") == ["step_abandoned"]


def test_a_policy_counts_failures_of_the_io_manager_too():
    @step(retry=RetryPolicy(max_retries=2))
    def stored() -> int:
        return 1

    result = run(stored, resources={"io_manager": Stubborn(OSError("busy"), 2, "out")})
    assert result.success
    assert counts(result, "stored") == (3, 2, 0)


def test_a_request_with_impossible_numbers_fails_the_step():
    @step
    def it():
        raise RetryRequested(max_retries="three")

    assert run(it).failure("it").kind == DefinitionError.__name__


def test_a_value_of_the_wrong_type_is_not_tried_again():
    calls = []

    @step(retry=RetryPolicy(max_retries=3))
    def wrong() -> int:
        calls.append(1)
        return "x"  # type: ignore[return-value]

    @pipeline
    def plain():
        wrong()

    result = plain.execute_in_process()
    assert not result.success
    assert "expected int" in result.failure("wrong").headline()
    assert len(calls) == 1
