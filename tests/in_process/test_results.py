"""What a run in this process gives back."""

import pytest

from orchestrator import ConfigError, DefinitionError, InProcessResult, RetryPolicy, pipeline, step
from orchestrator.errors import NotFound, NotPossible
from orchestrator.io_managers import memory
from orchestrator.model.events import RunFinished, RunStarted
from orchestrator.model.states import RunState, StepState
from tests.definitions.short import double, one, run, total


@step
def fails() -> int:
    raise ValueError("no")


@pipeline
def good():
    double(one())


@pipeline
def bad():
    double(double(fails()))


def test_a_good_run_has_its_outputs_and_no_failures():
    result = good.execute_in_process()
    assert isinstance(result, InProcessResult)
    assert result.success
    assert result.output("double") == 2
    assert result.failure("double") is None
    assert result.state("double") is StepState.SUCCESS


def test_a_failed_run_says_which_step_failed_and_why():
    result = bad.execute_in_process()
    assert not result.success
    error = result.failure("fails")
    assert (error.kind, error.message) == ("ValueError", "no")
    assert error.frames[-1].function == "fails"
    assert result.failure("double") is None
    assert result.state("double") is StepState.ABANDONED


def test_the_frames_of_an_error_are_those_of_user_code():
    (frame,) = bad.execute_in_process().failure("fails").frames
    assert frame.file == __file__
    assert frame.source == 'raise ValueError("no")'


def test_an_output_that_was_not_produced_says_why():
    result = bad.execute_in_process()
    with pytest.raises(NotPossible) as caught:
        result.output("double_2")
    assert caught.value.message == "Step 'double_2' (ABANDONED) has not produced its output 'result'."
    assert caught.value.details == ("fails: ValueError: no",)


@pytest.mark.parametrize(
    ("ask", "message", "hint"),
    [
        pytest.param(lambda r: r.output("duoble"), "There is no step 'duoble'.", "Did you mean double?", id="output"),
        pytest.param(lambda r: r.failure("x"), "There is no step 'x'.", "There is: double, one.", id="failure"),
        pytest.param(lambda r: r.state("x"), "There is no step 'x'.", "There is: double, one.", id="state"),
        pytest.param(lambda r: r.events_of("x"), "There is no step 'x'.", "There is: double, one.", id="events"),
        pytest.param(
            lambda r: r.output("one", "reslt"), "Step 'one' has no output 'reslt'.", "Did you mean result?", id="name"
        ),
    ],
)
def test_an_unknown_step_or_output_names_what_is_near(ask, message, hint):
    with pytest.raises(NotFound) as caught:
        ask(good.execute_in_process())
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_a_result_is_shown_in_a_few_words():
    good_result, bad_result = good.execute_in_process(), bad.execute_in_process()
    assert repr(good_result) == f"InProcessResult(run_id={good_result.run_id!r}, success=True)"
    assert repr(bad_result) == (
        f"InProcessResult(run_id={bad_result.run_id!r}, success=False, failures={{'fails': 'ValueError: no'}})"
    )


def test_the_events_begin_with_the_start_and_end_with_the_end():
    events = good.execute_in_process().events
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunFinished)
    assert events[-1].status is RunState.SUCCESS
    assert [event.at for event in events] == sorted(event.at for event in events)


def test_a_failed_run_ends_naming_the_step():
    assert bad.execute_in_process().events[-1].reason == "step fails failed"


def test_the_exception_can_be_raised_instead():
    with pytest.raises(ValueError, match="no"):
        bad.execute_in_process(raise_on_error=True)
    assert good.execute_in_process(raise_on_error=True).success


def test_an_exception_of_a_try_that_was_repeated_is_not_raised():
    @step(retry=RetryPolicy(max_retries=1))
    def second_time_lucky(context) -> int:
        if context.attempt == 1:
            raise ValueError("first")
        return context.attempt

    assert run(second_time_lucky, raise_on_error=True).output("second_time_lucky") == 2


def test_ctrl_c_in_a_step_is_for_whoever_started_the_run():
    @step
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(interrupted)


def test_steps_run_in_the_order_of_their_needs_then_as_written():
    order = []

    @step
    def mark(context, *, after_this=None) -> int:
        order.append(context.step)
        return 1

    @pipeline
    def several():
        last = mark.alias("b")(after_this=mark.alias("c")())
        mark.alias("a")()
        mark.alias("d")(after_this=last)

    several.execute_in_process()
    assert order == ["c", "b", "a", "d"]


def test_a_higher_priority_goes_first():
    order = []

    @step
    def mark(context) -> None:
        order.append(context.step)

    @pipeline
    def several():
        mark.alias("usual")()
        mark.alias("low").with_tags({"priority": -1})()
        mark.alias("high").with_tags({"priority": 10})()
        mark.alias("free_text").with_tags({"priority": "as you like"})()

    several.execute_in_process()
    assert order == ["high", "usual", "free_text", "low"]


def test_tags_reach_the_step_those_of_the_run_and_its_own():
    seen = {}

    @step(tags={"team": "sales"})
    def looks(context) -> None:
        seen.update(context.tags)

    @pipeline(tags={"cost": "low", "size": 1})
    def tagged():
        looks()

    tagged.execute_in_process(tags={"size": 2})
    assert seen == {"cost": "low", "size": "2", "team": "sales"}


def test_values_are_kept_as_long_as_the_result_and_no_longer():
    result = good.execute_in_process()
    assert any(key[0] == result.run_id for key in memory._values)
    run_id = result.run_id
    del result
    assert not any(key[0] == run_id for key in memory._values)


def test_two_runs_do_not_see_each_others_values():
    counter = iter(range(10))

    @step
    def number() -> int:
        return next(counter)

    first, second = run(number), run(number)
    assert (first.output("number"), second.output("number")) == (0, 1)


def test_values_are_handed_on_as_the_objects_they_are():
    value = object()

    @step
    def gives():
        return value

    @step
    def takes(thing) -> bool:
        return thing is value

    @pipeline
    def wired():
        takes(gives())

    assert wired.execute_in_process().output("takes")


def test_a_pipeline_may_be_run_inside_a_step():
    @step
    def outer() -> int:
        return good.execute_in_process().output("double")

    assert run(outer).output("outer") == 2


def test_a_step_called_inside_a_step_is_the_plain_function():
    @step
    def uses_another() -> int:
        return total([double(1), one()])

    assert run(uses_another).output("uses_another") == 3


@pytest.mark.parametrize("config", [[1], "steps", 3])
def test_a_configuration_that_is_no_dictionary_is_refused(config):
    with pytest.raises(ConfigError, match=r"config=.* is not a dictionary") as caught:
        good.execute_in_process(config=config)
    assert caught.value.hint == 'Write config={"steps": {...}}.'


def test_reserved_tags_are_refused():
    with pytest.raises(DefinitionError, match="the tag 'orchestrator/run' is reserved"):
        good.execute_in_process(tags={"orchestrator/run": "x"})


def test_a_notebook_shows_what_went_wrong():
    @step
    def breaks() -> int:
        raise ValueError("a < b")

    @pipeline
    def broken():
        breaks()

    result = broken.execute_in_process()
    assert "<b>FAILURE</b>" in result._repr_html_()
    assert "<td>breaks</td><td>FAILURE</td><td>ValueError: a &lt; b</td>" in result._repr_html_()
    assert "failures={'breaks': 'ValueError: a < b'}" in repr(result)
