"""Outputs of which there are as many as a step finds when it runs: map, collect, and one inside the other."""

import pytest

from orchestrator import DynamicOut, DynamicOutput, Out, Output, pipeline, step
from orchestrator.errors import NotPossible
from orchestrator.model.states import StepState
from tests.definitions.short import (
    add,
    double,
    files,
    joined,
    load,
    one,
    refusal,
    run_function,
    split,
    states,
    total,
    why,
)


@step(outputs=DynamicOut(int))
def numbers():
    for n in (0, 1, 2):
        yield DynamicOutput(n, key=str(n))


@step(outputs=DynamicOut(str))
def no_files():
    return []


# --- map and collect ---


def test_a_mapped_step_runs_once_for_each_key():
    @pipeline
    def mapped():
        files().map(load)

    result = mapped.execute_in_process()
    assert result.output("load") == {"a": "A", "b": "B"}
    assert result.output("load[a]") == "A"


def test_collect_gathers_the_values_in_the_order_of_the_keys():
    @pipeline
    def mapped():
        joined(files().map(load).collect())

    assert mapped.execute_in_process().output("joined") == "A+B"


def test_a_dynamic_output_is_a_dictionary_by_key():
    @pipeline
    def mapped():
        joined(files().collect())

    result = mapped.execute_in_process()
    assert result.output("files") == {"a": "a", "b": "b"}
    assert result.output("joined") == "a+b"


def test_map_goes_on_key_by_key():
    @pipeline
    def mapped():
        total(numbers().map(double).map(double).map(add).collect())

    assert mapped.execute_in_process().output("total") == 42


def test_map_takes_a_function_that_calls_several_steps():
    @pipeline
    def mapped():
        base = double(one())
        total(numbers().map(lambda n: add(double(n), base)).collect())

    assert mapped.execute_in_process().output("total") == 12


def test_map_takes_an_alias():
    @pipeline
    def mapped():
        joined(files().map(load.alias("read")).collect())

    assert mapped.execute_in_process().output("read") == {"a": "A", "b": "B"}


def test_a_mapped_function_may_return_several_outputs():
    @step(outputs={"upper": Out(str), "length": Out(int)})
    def measure(text: str):
        yield Output(text.upper(), "upper")
        yield Output(len(text), "length")

    @pipeline
    def mapped():
        measured = files().map(measure)
        joined(measured.upper.collect())
        upper, length = files().map(lambda file: (load(file), measure(file).length))
        joined(upper.collect())
        total(length.collect())

    result = mapped.execute_in_process()
    assert (result.output("joined"), result.output("joined_2"), result.output("total")) == ("A+B", "A+B", 2)


def test_a_mapped_function_may_return_the_value_itself_or_nothing():
    seen = []

    @step
    def look(file: str) -> None:
        seen.append(file)

    def look_at(file):
        look(file)

    @pipeline
    def mapped():
        joined(files().map(lambda file: file).collect())
        files().map(look_at)

    assert mapped.execute_in_process().output("joined") == "a+b"
    assert seen == ["a", "b"]


def test_a_mapped_step_knows_its_key():
    @step
    def whoami(context, file: str) -> tuple:
        return context.step, context.mapping_key

    @pipeline
    def mapped():
        files().map(whoami)

    assert mapped.execute_in_process().output("whoami") == {"a": ("whoami[a]", "a"), "b": ("whoami[b]", "b")}


def test_a_step_may_have_dynamic_and_plain_outputs():
    @step(outputs={"parts": DynamicOut(int), "count": Out(int)})
    def cut():
        yield DynamicOutput(5, key="x", name="parts")
        yield Output(1, "count")
        yield DynamicOutput(6, key="y", name="parts")

    @pipeline
    def mapped():
        parts, count = cut()
        total(parts.map(lambda part: add(part, count)).collect())

    result = mapped.execute_in_process()
    assert result.output("cut", "parts") == {"x": 5, "y": 6}
    assert result.output("total") == 13


# --- one inside the other ---


def test_a_map_inside_a_map_runs_for_each_pair_of_keys():
    @pipeline
    def nested():
        files().map(split).map(load)

    assert nested.execute_in_process().output("load") == {
        "a": {"0": "A0", "1": "A1"},
        "b": {"0": "B0", "1": "B1"},
    }


def test_collecting_a_map_inside_a_map_gives_one_list_for_each_outer_key_and_then_one_list():
    @pipeline
    def nested():
        for_each_file = joined(files().map(split).map(load).collect())
        joined.alias("all_of_it")(for_each_file.collect())

    result = nested.execute_in_process()
    assert result.output("joined") == {"a": "A0+A1", "b": "B0+B1"}
    assert result.output("all_of_it") == "A0+A1+B0+B1"


def test_the_inner_map_may_be_written_inside_the_outer_function():
    @pipeline
    def nested():
        texts = files().map(lambda file: joined(split(file).map(load).collect()))
        joined.alias("all_of_it")(texts.collect())

    assert nested.execute_in_process().output("all_of_it") == "A0+A1+B0+B1"


def test_a_step_inside_may_use_values_of_both_levels():
    @step
    def label(chunk: str, file: str) -> str:
        return f"{file}:{chunk}"

    @pipeline
    def nested():
        files().map(lambda file: split(file).map(lambda chunk: label(chunk, file)))

    assert nested.execute_in_process().output("label")["b"] == {"0": "b:b0", "1": "b:b1"}


# --- no keys, missing values, failures ---


def test_no_keys_is_a_valid_number_of_keys():
    @pipeline
    def mapped():
        joined(no_files().map(load).collect())

    result = mapped.execute_in_process()
    assert result.success
    assert result.state("load[?]") is StepState.SKIPPED
    assert result.output("load") == {}
    assert result.output("joined") == ""


@pytest.mark.parametrize("nothing", [pytest.param([], id="list"), pytest.param((), id="tuple")])
def test_an_empty_list_returned_is_no_keys(nothing):
    result = run_function(lambda: nothing, outputs=DynamicOut(int))
    assert result.output("it") == {}


def test_a_generator_that_yields_nothing_is_no_keys():
    def empty():
        yield from ()

    assert run_function(empty, outputs=DynamicOut(int)).output("it") == {}


def test_no_keys_on_the_inner_level_leave_an_empty_list_there():
    @step(outputs=DynamicOut(str))
    def only_b(file: str):
        return [DynamicOutput(file, key="only")] if file == "b" else []

    @pipeline
    def nested():
        joined(files().map(only_b).map(load).collect())

    result = nested.execute_in_process()
    assert result.output("load") == {"a": {}, "b": {"only": "B"}}
    assert result.output("joined") == {"a": "", "b": "B"}


def test_an_optional_dynamic_output_left_out_is_a_branch_not_taken():
    @step(outputs=DynamicOut(int, optional=True))
    def maybe():
        yield from ()

    @pipeline
    def mapped():
        total(maybe().map(double).collect())

    assert states(mapped.execute_in_process()) == {
        "maybe": StepState.SUCCESS,
        "double[?]": StepState.SKIPPED,
        "total": StepState.SKIPPED,
    }


def test_collect_leaves_out_the_keys_without_a_value():
    @step(outputs=Out(int, optional=True))
    def only_even(n: int):
        if n % 2 == 0:
            yield Output(n)

    @pipeline
    def mapped():
        total(numbers().map(only_even).map(double).collect())

    result = mapped.execute_in_process()
    assert result.output("double") == {"0": 0, "2": 4}
    assert result.output("total") == 4


def test_a_failure_for_one_key_leaves_the_others_alone_and_fails_the_run():
    @step
    def fussy(n: int) -> int:
        if n == 1:
            raise ValueError("not one")
        return n

    @pipeline
    def mapped():
        total(numbers().map(fussy).map(double).collect())

    result = mapped.execute_in_process()
    assert not result.success
    ends = states(result)
    assert [ends[f"double[{n}]"] for n in (0, 1, 2)] == [StepState.SUCCESS, StepState.ABANDONED, StepState.SUCCESS]
    assert ends["total"] is StepState.ABANDONED
    with pytest.raises(NotPossible, match=r"fussy\[1\].* \(FAILURE\) has not produced"):
        result.output("fussy")


def test_a_step_that_fails_after_some_keys_has_no_keys_at_all():
    @step(outputs=DynamicOut(int))
    def breaks():
        yield DynamicOutput(1, key="first")
        raise ValueError("no more")

    @pipeline
    def mapped():
        total(breaks().map(double).collect())

    ends = states(mapped.execute_in_process())
    assert ends == {"breaks": StepState.FAILURE, "double[?]": StepState.ABANDONED, "total": StepState.ABANDONED}


# --- keys ---


@pytest.mark.parametrize("key", ["a", "2024-01-01", "part_1.csv", "x" * 120, "_"])
def test_a_key_is_made_of_letters_digits_and_a_few_marks(key):
    assert DynamicOutput(1, key=key).key == key


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("", id="empty"),
        pytest.param("?", id="the mark of an unknown key"),
        pytest.param("a/b", id="slash"),
        pytest.param("a b", id="space"),
        pytest.param("..", id="dots"),
        pytest.param(".hidden", id="dot in front"),
        pytest.param("-x", id="dash in front"),
        pytest.param("x.", id="dot behind"),
        pytest.param("a[0]", id="brackets"),
        pytest.param("x" * 121, id="too long"),
        pytest.param("naïve", id="not ASCII"),
        pytest.param("a\n", id="newline"),
    ],
)
def test_any_other_key_is_refused_saying_what_a_key_is(key):
    error = refusal(DynamicOutput, 1, key=key)
    assert error.message == f"The key {key!r} of a dynamic output cannot be used."
    assert "letters, digits" in error.hint


def test_a_key_that_is_no_string_is_refused_saying_how_to_write_it():
    error = refusal(DynamicOutput, 1, key=7)
    assert (error.message, error.hint) == ("The key 7 of a dynamic output is not a string.", "Write key=str(7).")


def test_a_key_used_twice_fails_the_step_and_names_the_key():
    def twice():
        yield DynamicOutput(1, key="a")
        yield DynamicOutput(2, key="a")

    assert "yielded the key 'a' of its output 'result' multiple times" in why(run_function(twice, outputs=DynamicOut()))


@pytest.mark.parametrize(
    ("outputs", "returned", "problem", "hint"),
    [
        pytest.param(
            DynamicOut(), lambda: Output(1), "yielded Output for its dynamic output", "DynamicOutput", id="plain"
        ),
        pytest.param(
            Out(), lambda: DynamicOutput(1, key="a"), "yielded DynamicOutput for its output", "DynamicOut", id="dynamic"
        ),
        pytest.param(DynamicOut(), lambda: [1, 2], "returned a list for its dynamic output", "Yield", id="a list"),
        pytest.param(DynamicOut(), lambda: None, "returned None for its dynamic output", "Yield", id="nothing"),
        pytest.param(
            DynamicOut(int), lambda: DynamicOutput("x", key="a"), "expected int, got 'x' (str)", "", id="wrong type"
        ),
    ],
)
def test_the_kind_of_output_must_be_the_declared_one(outputs, returned, problem, hint):
    message = why(run_function(lambda: returned(), outputs=outputs))
    assert problem in message
    assert hint in message
