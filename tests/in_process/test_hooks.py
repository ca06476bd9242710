"""Hooks: called after a step, and never of any consequence for it."""

import pytest

from orchestrator import HookContext, Mode, RetryPolicy, failure_hook, pipeline, resource, step, success_hook
from tests.definitions.short import double, one, sort_out


@step
def fails():
    raise ValueError("no")


@pytest.fixture
def calls():
    return []


@pytest.fixture
def hooks(calls):
    @success_hook
    def celebrate(context: HookContext):
        calls.append(("success", context.step, context.error))

    @failure_hook
    def alarm(context: HookContext):
        calls.append(("failure", context.step, str(context.error)))

    return {celebrate, alarm}


def hook_events(result, step):
    return [kind for kind in result.events_of(step) if kind.startswith("hook")]


def test_a_success_hook_is_called_for_each_step_that_succeeds_and_a_failure_hook_for_each_that_fails(hooks, calls):
    @pipeline(hooks=hooks)
    def both():
        one()
        fails()

    both.execute_in_process()
    assert calls == [("success", "one", None), ("failure", "fails", "no")]


def test_no_hook_is_called_for_steps_that_are_skipped_or_abandoned(hooks, calls):
    @step
    def gives() -> int:
        raise ValueError("no")

    @pipeline(hooks=hooks)
    def wired():
        double(sort_out().even)
        double(gives())

    wired.execute_in_process()
    assert [name for _, name, _ in calls] == ["sort_out", "gives"]


def test_a_failure_hook_is_not_called_as_long_as_there_will_be_another_try(hooks, calls):
    @step(retry=RetryPolicy(max_retries=2))
    def third_time_lucky(context) -> None:
        if context.attempt < 3:
            raise ValueError("not yet")

    @step(retry=RetryPolicy(max_retries=2))
    def never_lucky(context) -> None:
        raise ValueError(f"no {context.attempt}")

    @pipeline(hooks=hooks)
    def tries():
        third_time_lucky()
        never_lucky()

    result = tries.execute_in_process()
    assert calls == [("success", "third_time_lucky", None), ("failure", "never_lucky", "no 3")]
    assert hook_events(result, "never_lucky") == ["hook_skipped"] * 4 + ["hook_completed", "hook_skipped"]


def test_with_retries_disabled_the_first_failure_is_final(hooks, calls):
    @step(retry=RetryPolicy(max_retries=2))
    def unlucky():
        raise ValueError("no")

    @pipeline(hooks=hooks)
    def tries():
        unlucky()

    tries.execute_in_process(config={"execution": {"retries": "disabled"}})
    assert calls == [("failure", "unlucky", "no")]


@pytest.mark.parametrize(
    "error", [ValueError("in the hook"), SystemExit(1), KeyboardInterrupt()], ids=lambda e: type(e).__name__
)
def test_a_hook_that_raises_changes_nothing(error):
    @success_hook
    def breaks(context):
        raise error

    @pipeline(hooks={breaks})
    def hooked():
        double(one())

    result = hooked.execute_in_process()
    assert result.success
    assert hook_events(result, "double") == ["hook_failed"]


def test_a_failing_hook_leaves_the_next_one_its_turn(calls):
    @failure_hook
    def a_breaks(context):
        raise ValueError("in the hook")

    @failure_hook
    def b_works(context):
        calls.append(context.error)

    @pipeline(hooks=[b_works, a_breaks])
    def hooked():
        fails()

    result = hooked.execute_in_process()
    assert hook_events(result, "fails") == ["hook_failed", "hook_completed"]
    assert str(calls[0]) == str(result.failure("fails").message) == "no"


def test_what_went_wrong_in_a_hook_is_recorded():
    @success_hook
    def breaks(context):
        raise ValueError("in the hook")

    @pipeline(hooks={breaks})
    def hooked():
        one()

    (event,) = [event for event in hooked.execute_in_process().events if type(event).__name__ == "HookFailed"]
    assert (event.hook, event.error.headline()) == ("breaks", "ValueError: in the hook")


def test_a_hook_knows_the_run_the_try_and_the_tags(calls):
    @failure_hook
    def looks(context: HookContext):
        calls.append((context.run_id, context.pipeline, context.attempt, context.tags))
        context.log.warning("noticed")

    @step(retry=RetryPolicy(max_retries=1), tags={"team": "sales"})
    def twice():
        raise ValueError("no")

    @pipeline(hooks={looks}, tags={"cost": "low"})
    def hooked():
        twice()

    result = hooked.execute_in_process()
    assert calls == [(result.run_id, "hooked", 2, {"cost": "low", "team": "sales"})]
    assert "log_emitted" in result.events_of("twice")


# --- resources of hooks ---


def test_a_hook_has_the_resources_it_names_and_no_others(calls):
    @success_hook(resources={"slack"})
    def tells(context):
        calls.append((context.resources.slack, list(context.resources)))

    @pipeline(hooks={tells}, modes=[Mode("m", resources={"slack": "slack", "other": "other"})])
    def hooked():
        one()

    hooked.execute_in_process()
    assert calls == [("slack", ["slack"])]


def test_resources_of_a_hook_are_made_when_it_is_called_and_torn_down_with_the_others(calls):
    @resource
    def slack():
        calls.append("slack made")
        yield calls
        calls.append("slack closed")

    @resource
    def db():
        calls.append("db made")
        yield
        calls.append("db closed")

    @failure_hook(resources={"slack"})
    def tells(context):
        context.resources.slack.append("told")

    @step(resources={"db"})
    def works(context) -> None:
        calls.append("worked")

    @step(resources={"db"})
    def breaks(context) -> None:
        raise ValueError("no")

    @pipeline(hooks={tells}, modes=[Mode("m", resources={"slack": slack, "db": db})])
    def hooked():
        works()
        breaks()

    hooked.execute_in_process()
    assert calls == [
        *("db made", "worked", "db closed"),
        *("db made", "slack made", "told", "slack closed", "db closed"),
    ]


def test_a_resource_of_a_hook_that_cannot_be_made_fails_the_hook_and_not_the_step():
    @resource
    def slack():
        raise ConnectionError("slack is down")

    @success_hook(resources={"slack"})
    def tells(context): ...

    @pipeline(hooks={tells}, modes=[Mode("m", resources={"slack": slack})])
    def hooked():
        double(one())

    result = hooked.execute_in_process()
    assert result.success
    assert hook_events(result, "one") == ["hook_failed"]
    assert "resource_failed" in result.events_of("one")


def test_a_failure_hook_is_called_when_a_resource_of_the_step_could_not_be_made(hooks, calls):
    @resource
    def db():
        raise ConnectionError("db is down")

    @step(resources={"db"})
    def reads(context): ...

    @pipeline(hooks=hooks, modes=[Mode("m", resources={"db": db})])
    def hooked():
        reads()

    hooked.execute_in_process()
    assert calls == [("failure", "reads", "resource 'db' could not be made: ConnectionError: db is down")]
