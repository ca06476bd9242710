"""What fails may be tried again."""

from orchestrator import Failure, RetryPolicy, RetryRequested, StepContext, pipeline, step


def run(one_step):
    @pipeline
    def just_that():
        one_step()

    return just_that.execute_in_process()


def test_a_policy_tries_a_failing_step_again():
    """Whatever made it fail: an exception, a crash of its process, its timeout. `delay` and `backoff` say how long to
    wait in between."""

    @step(retry=RetryPolicy(max_retries=3, delay=0.01, backoff="exponential"))
    def flaky(context: StepContext) -> int:
        if context.attempt < 3:
            raise ConnectionError("not yet")
        return context.attempt

    result = run(flaky)
    assert result.success
    assert result.output("flaky") == 3


def test_a_step_can_ask_to_be_tried_again():
    """Where only the step knows whether it is worth it: raise `RetryRequested`. It counts instead of the policy."""

    @step
    def polite(context: StepContext) -> str:
        try:
            raise TimeoutError("the server is busy")
        except TimeoutError as error:
            if context.attempt == 1:
                raise RetryRequested(max_retries=2, seconds_to_wait=0.01) from error
        return "served"

    assert run(polite).output("polite") == "served"


def test_a_failure_explains_itself():
    """Raise `Failure` to give a reason and metadata instead of a bare traceback. `allow_retries=False` says that trying
    again is pointless, whatever the policy."""

    @step(retry=RetryPolicy(max_retries=5))
    def strict() -> None:
        raise Failure("the file has no header", metadata={"file": "people.csv"}, allow_retries=False)

    result = run(strict)
    error = result.failure("strict")
    assert (error.message, error.metadata) == ("the file has no header", {"file": "people.csv"})
    assert result.events_of("strict").count("attempt_started") == 1
