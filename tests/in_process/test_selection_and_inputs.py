"""Running a part of a pipeline, and giving it values from outside."""

from dataclasses import dataclass, field
from datetime import date, timedelta

import pytest

from orchestrator import ConfigError, IOManager, Preset, RetryPolicy, pipeline, step
from orchestrator.model.states import StepState
from tests.definitions.short import add, double, files, joined, load, one, states, why


@pipeline
def chain():
    double(double(one()))


@pytest.mark.parametrize(
    ("select", "ran"),
    [
        pytest.param("one", ["one"], id="one step"),
        pytest.param("*double", ["one", "double"], id="with all it needs"),
        pytest.param("one+", ["one", "double"], id="with what needs it"),
        pytest.param(["one", "*double_2"], ["one", "double", "double_2"], id="several"),
        pytest.param("one, double", ["one", "double"], id="several in one text"),
    ],
)
def test_only_the_selected_steps_run(select, ran):
    result = chain.execute_in_process(select=select)
    assert result.success
    assert [key for key, state in states(result).items() if state is StepState.SUCCESS] == ran


@pytest.mark.parametrize(
    ("select", "problem"),
    [
        pytest.param("oen", "The selection 'oen' matches no step.\nDid you mean one?", id="unknown"),
        pytest.param("", "The selection is empty.", id="empty"),
        pytest.param("one-two", "'one-two' is not a selection.", id="malformed"),
    ],
)
def test_a_selection_that_selects_nothing_is_refused(select, problem):
    with pytest.raises(ConfigError) as caught:
        chain.execute_in_process(select=select)
    assert str(caught.value).startswith(problem)


def test_a_step_without_the_values_it_needs_says_how_to_get_them():
    result = chain.execute_in_process(select="double")
    assert result.state("one") is StepState.REUSED
    assert why(result, "double").startswith(
        "Failure: Step 'one' is not part of this run, and memory_io_manager keeps no values from one run to another."
        " Select it as well: '*double'."
    )


def test_values_of_steps_that_do_not_run_come_from_where_their_io_manager_finds_them():
    class Fixed(IOManager):
        def handle_output(self, context, obj): ...

        def load_input(self, context):
            assert context.upstream_output.run_id is None
            return {"one": 20}[context.upstream_output.step]

    result = chain.execute_in_process(select="double", resources={"io_manager": Fixed()})
    assert result.success
    assert result.events_of("one") == ["step_reused"]


def test_a_mapped_step_cannot_run_without_the_step_that_has_the_keys():
    @pipeline
    def mapped():
        joined(files().map(load).collect())

    with pytest.raises(ConfigError) as caught:
        mapped.execute_in_process(select="load")
    assert str(caught.value) == (
        "Step 'load' is mapped over files.result, and 'files' is not selected.\n"
        "Select '*load', or continue an earlier run with --rerun RUN."
    )


def test_a_preset_may_select_and_the_caller_may_select_otherwise():
    @pipeline(presets=[Preset("first", select="one")])
    def preset_chain():
        double(one())

    assert "double" not in states(preset_chain.execute_in_process(preset="first"))
    assert "double" in states(preset_chain.execute_in_process(preset="first", select="*double"))


def test_steps_that_do_not_run_need_no_configuration():
    @step
    def needs(config: int) -> int:
        return config

    @pipeline
    def partly():
        double(needs())
        one()

    assert partly.execute_in_process(select="one").success


# --- inputs from the configuration ---


@step
def repeat(text: str, times: int = 2) -> str:
    return text * times


@pipeline
def says():
    repeat()


@pipeline
def sums(a, b=5):
    add(a, b)
    double(b)


def inputs(**values):
    return {"steps": {"repeat": {"inputs": values}}}


def test_an_input_that_no_step_provides_comes_from_the_configuration():
    assert says.execute_in_process(config=inputs(text="ab")).output("repeat") == "abab"
    assert says.execute_in_process(config=inputs(text="ab", times=1)).output("repeat") == "ab"


def test_a_parameter_of_the_pipeline_comes_from_the_configuration():
    result = sums.execute_in_process(config={"inputs": {"a": 1}})
    assert (result.output("add"), result.output("double")) == (6, 10)
    assert sums.execute_in_process(config={"inputs": {"a": 1, "b": 2}}).output("add") == 3


def test_null_is_a_value_for_an_input():
    @step
    def shows(value) -> str:
        return repr(value)

    @pipeline
    def wired(value):
        shows(value)
        shows()

    config = {"inputs": {"value": None}, "steps": {"shows_2": {"inputs": {"value": None}}}}
    result = wired.execute_in_process(config=config)
    assert (result.output("shows"), result.output("shows_2")) == ("None", "None")


def test_an_input_may_come_from_the_environment_and_is_then_not_shown(monkeypatch):
    monkeypatch.setenv("SECRET_TEXT", "hunter2")
    assert says.execute_in_process(config=inputs(text={"env": "SECRET_TEXT"})).output("repeat") == "hunter2hunter2"
    with pytest.raises(ConfigError) as caught:
        says.execute_in_process(config=inputs(text="a", times={"env": "SECRET_TEXT"}))
    assert "steps.repeat.inputs.times: Input should be a valid integer" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_an_input_is_converted_as_a_configuration_is(monkeypatch):
    @step
    def names(day, since: date, wait) -> str:
        return f"{day!r} {since!r} {wait!r}"

    @pipeline
    def dated(day: date, since, wait: timedelta = timedelta(0)):
        names(day, since, wait)

    monkeypatch.setenv("DAY", "2024-02-29")
    config = {"inputs": {"day": {"env": "DAY"}, "since": "2020-12-30", "wait": "PT1M"}}
    assert dated.execute_in_process(config=config).output("names") == (
        "datetime.date(2024, 2, 29) datetime.date(2020, 12, 30) datetime.timedelta(seconds=60)"
    )
    assert says.execute_in_process(config=inputs(text="a", times="3")).output("repeat") == "aaa"


def test_an_input_of_a_type_that_no_configuration_has_is_given_as_it_is():
    class Frame: ...

    @step
    def takes(frame: Frame, anything: "NotImported") -> bool:  # noqa: F821
        return isinstance(frame, Frame) and anything == "x"

    @pipeline
    def given():
        takes()

    config = {"steps": {"takes": {"inputs": {"frame": Frame(), "anything": "x"}}}}
    assert given.execute_in_process(config=config).output("takes")


@pytest.mark.parametrize(
    ("pipeline", "config", "problems"),
    [
        pytest.param(says, {}, ["steps.repeat.inputs.text: required, and missing: no step provides it"], id="missing"),
        pytest.param(
            says,
            inputs(text="a", tmies=3),
            ["steps.repeat.inputs.tmies: unknown. Did you mean times?"],
            id="unknown input of a step",
        ),
        pytest.param(sums, {}, ["inputs.a: required, and missing"], id="missing parameter"),
        pytest.param(
            sums,
            {"inputs": {"a": 1, "c": 2}, "steps": {"add": {"inputs": {"a": 1}}}},
            [
                "steps.add.inputs.a: is an input of the pipeline: configure inputs.a",
                "inputs.c: unknown. There is: a, b.",
            ],
            id="a parameter given to the step",
        ),
        pytest.param(
            chain,
            {"steps": {"double": {"inputs": {"n": 1}}}},
            ["steps.double.inputs.n: comes from one.result, and cannot be configured"],
            id="an input that is wired",
        ),
        pytest.param(
            says,
            inputs(text=3),
            ["steps.repeat.inputs.text: Input should be a valid string, got 3"],
            id="an input of another type",
        ),
        pytest.param(
            sums,
            {"inputs": {"a": "x", "b": 1}},
            [
                "inputs.a: Input should be a valid integer, unable to parse string as an integer, got 'x'",
            ],
            id="a parameter of another type than the step takes",
        ),
    ],
)
def test_wrong_inputs_are_refused_before_anything_runs(pipeline, config, problems):
    with pytest.raises(ConfigError) as caught:
        pipeline.execute_in_process(config=config)
    assert list(caught.value.details) == problems


def test_an_input_that_nothing_provides_is_looked_for_in_the_code_first():
    with pytest.raises(ConfigError) as caught:
        says.execute_in_process()
    assert "in the function of pipeline 'says'" in caught.value.hint
    assert "test_selection_and_inputs.py" in caught.value.hint
    assert "--set steps.repeat.inputs.text=VALUE" in caught.value.hint


@dataclass
class Numbers:
    values: list[int] = field(default_factory=list)


MISSING = type("Missing", (), {})()


def own_default(seen):
    @step
    def takes(values=[0]):  # noqa: B006
        seen.append(list(values))
        values.append(1)

    @pipeline
    def takes_twice():
        takes()
        takes()

    return takes_twice, {}


def default_of_the_pipeline(seen):
    @step
    def takes(values):
        seen.append(list(values))
        values.append(1)

    @pipeline
    def takes_twice(values=[0]):  # noqa: B006
        takes(values)
        takes(values)

    return takes_twice, {}


def configured_inputs(seen):
    takes_twice, _ = default_of_the_pipeline(seen)
    return takes_twice, {"inputs": {"values": [0]}}


def configured_objects(seen):
    @step
    def takes(values):
        seen.append(sorted(values["inside"]))
        values["inside"].add(1)

    @pipeline
    def takes_twice(values):
        takes(values)
        takes(values)

    return takes_twice, {"inputs": {"values": {"inside": {0}}}}


def default_configuration(seen):
    @step
    def takes(config: Numbers = Numbers([0])):  # noqa: B008
        seen.append(list(config.values))
        config.values.append(1)

    @pipeline
    def takes_twice():
        takes()
        takes()

    return takes_twice, {}


def another_attempt(seen):
    @step(retry=RetryPolicy(max_retries=1))
    def takes(values):
        seen.append(list(values))
        values.append(1)
        if len(seen) == 1:
            raise ValueError("once more")

    @pipeline
    def takes_once(values):
        takes(values)

    return takes_once, {"inputs": {"values": [0]}}


@pytest.mark.parametrize(
    "given",
    [
        own_default,
        default_of_the_pipeline,
        configured_inputs,
        configured_objects,
        default_configuration,
        another_attempt,
    ],
)
def test_what_a_step_changes_in_place_is_seen_by_no_other_attempt(given):
    seen = []
    made, config = given(seen)
    assert made.execute_in_process(config=config).success
    assert seen == [[0], [0]]


def test_a_default_that_only_marks_that_nothing_was_given_stays_the_same_object():
    @step
    def takes(own=MISSING, theirs=None):
        assert own is MISSING
        assert theirs is MISSING

    @pipeline
    def takes_once(theirs=MISSING):
        takes(theirs=theirs)

    assert takes_once.execute_in_process(raise_on_error=True).success
