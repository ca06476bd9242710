"""Pipeline functions that use what a step returns in a way that cannot work."""

import pytest

from orchestrator import DefinitionError, pipeline, step
from tests.definitions.refusals import Refusals, check_refusal
from tests.definitions.short import add, double, files, joined, load, one, sort_out, split, total

BRANCH = "To branch, give a step an optional output and leave it out at run time."
CONSTANT = "Inputs come from other steps; give constants as configuration."
ELSEWHERE = "Call that step in this pipeline as well."

case = Refusals()


@case("Step 'add' of pipeline 'p'", "it has no input 'aa'.", "Did you mean a?")
def unknown_input():
    @pipeline
    def p():
        add(aa=one())  # here


@case("Step 'one' of pipeline 'p'", "it has no input 'x'.")
def input_of_a_step_without_inputs():
    @pipeline
    def p():
        one(x=1)  # here


@case("Step 'double_2' of pipeline 'p'", "it takes 1 input (n) and is given 2.")
def too_many_inputs():
    @pipeline
    def p():
        n = double(one())
        double(n, n)  # here


@case("Step 'one_2' of pipeline 'p'", "it takes no inputs and is given 1.")
def an_input_too_many():
    @pipeline
    def p():
        first = one()
        one(first)  # here


@case("Step 'double' of pipeline 'p'", "its input 'n' is given twice.")
def an_input_twice():
    @pipeline
    def p():
        double(one(), n=one())  # here


@case(
    "Step 'double' of pipeline 'p'",
    "it has no input 'config'.",
    "`config` is not wired; it is provided when the step runs.",
)
def configuration_as_an_input():
    @pipeline
    def p():
        double(one(), config=3)  # here


@case("Step 'double' of pipeline 'p'", "its input 'n' is given 3.", CONSTANT)
def a_constant_as_an_input():
    @pipeline
    def p():
        double(3)  # here


@case("Step 'total' of pipeline 'p'", "its input 'ns' is given 3.", CONSTANT)
def a_constant_in_a_list():
    @pipeline
    def p():
        total([one(), 3])  # here


@case("Step 'double' of pipeline 'p'", "its input 'n' is given a dict.", CONSTANT)
def a_large_constant():
    @pipeline
    def p():
        double({"something": "that would make the message far too long to be read by anybody"})  # here


@case("Step 'add' of pipeline 'p'", "its input 'b' is given None.", "Leave the input out to use its default.")
def none_as_an_input():
    @pipeline
    def p():
        add(one(), None)  # here


@case("Step 'double' of pipeline 'p'", "its input 'n' is given the step 'one' itself.", "Call it, with () behind it.")
def a_step_not_called():
    @pipeline
    def p():
        double(one)  # here


@case("Step 'double' of pipeline 'p'", "its input 'n' is given the step 'uno' itself.", "Call it, with () behind it.")
def an_alias_not_called():
    @pipeline
    def p():
        double(one.alias("uno"))  # here


@case("Step 'double' of pipeline 'p'", "its input 'n' is given the pipeline 'q' itself.", "Call it, with () behind it.")
def a_pipeline_not_called():
    @pipeline
    def q():
        return one()

    @pipeline
    def p():
        double(q)  # here


@case(
    "Step 'double' of pipeline 'p'",
    "its input 'n' is given all outputs of sort_out.",
    "Choose one of its outputs: even, odd.",
)
def several_outputs_for_one_input():
    @pipeline
    def p():
        double(sort_out())  # here


@case(
    "Step 'after_it' of pipeline 'p'",
    "its input 'value' is given the output says_nothing.result, which has no value.",
    "To run after says_nothing, write after=.",
)
def the_value_of_a_step_without_one():
    @step
    def says_nothing() -> None: ...

    @step
    def after_it(value): ...

    @pipeline
    def p():
        after_it(says_nothing())  # here


@case(
    "Step 'double' of pipeline 'p'",
    "its input 'n' is given the output one.result, which belongs to another pipeline.",
    ELSEWHERE,
)
def an_output_of_another_pipeline():
    kept = []

    @pipeline
    def q():
        kept.append(one())

    @pipeline
    def p():
        one()
        double(kept[0])  # here


@case(
    "Step 'double' of pipeline 'p'", "its input 'n' is given the input n, which belongs to another pipeline.", ELSEWHERE
)
def an_input_of_another_pipeline():
    kept = []

    @pipeline
    def q(n):
        kept.append(n)
        double(n)

    @pipeline
    def p(n):
        double(kept[0])  # here


@case(
    "Step 'one_2' of pipeline 'p'",
    "after= is given the output one.result, which belongs to another pipeline.",
    ELSEWHERE,
)
def after_a_step_of_another_pipeline():
    kept = []

    @pipeline
    def q():
        kept.append(one())

    @pipeline
    def p():
        one()
        one(after=kept)  # here


@case("Step 'one' of pipeline 'p'", "after= is given 3.", "Give it what calling a step returned.")
def after_a_constant():
    @pipeline
    def p():
        one(after=3)  # here


@case(
    "Step 'one' of pipeline 'p'", "after= is given the step 'double' itself.", "Give it what calling a step returned."
)
def after_a_step_not_called():
    @pipeline
    def p():
        one(after=[double])  # here


@case(
    "Step 'total' of pipeline 'p'",
    "its input 'ns' is given the input n inside a list.",
    "A parameter of the pipeline can only be an input by itself.",
)
def a_parameter_in_a_list():
    @pipeline
    def p(n):
        total([n])  # here


# --- using an output as if it were its value ---


@case("Step 'one' of pipeline 'p'", "the output one.result has no value while the pipeline is composed.", BRANCH)
def an_if_on_an_output():
    @pipeline
    def p():
        if one():  # here
            double(one())


@case("Step 'one' of pipeline 'p'", "the output one.result cannot be compared while the pipeline is composed.", BRANCH)
def a_comparison_of_an_output():
    @pipeline
    def p():
        if one() == 1:  # here
            double(one())


@case("Step 'one' of pipeline 'p'", "the output one.result cannot be compared while the pipeline is composed.", BRANCH)
def an_output_looked_for_in_a_list():
    @pipeline
    def p():
        if one() in [1, 2]:  # here
            double(one())


@case("Input 'flag' of pipeline 'p'", "the input flag has no value while the pipeline is composed.", BRANCH)
def an_if_on_a_parameter():
    @pipeline
    def p(flag):
        if flag:  # here
            one()


@case("Step 'files' of pipeline 'p'", "the output files.result has no value while the pipeline is composed.", BRANCH)
def an_if_on_a_dynamic_output():
    @pipeline
    def p():
        if files():  # here
            one()


@case(
    "Step 'one' of pipeline 'p'",
    "the output one.result cannot be unpacked or looped over.",
    "To return several values, declare several outputs or a DynamicOut.",
)
def unpacking_one_output():
    @pipeline
    def p():
        _first, _second = one()  # here


@case(
    "Step 'files' of pipeline 'p'",
    "the output files.result cannot be unpacked or looped over.",
    "Apply a step to each of its values with .map(step), or gather them in a list with .collect().",
)
def a_loop_over_a_dynamic_output():
    @pipeline
    def p():
        for file in files():  # here
            load(file)


@case(
    "Step 'one' of pipeline 'p'",
    "the output one.result is one value, and cannot be mapped.",
    "A step that gives many values declares outputs=DynamicOut(...).",
)
def a_map_over_one_value():
    @pipeline
    def p():
        one().map(double)  # here


@case(
    "Input 'paths' of pipeline 'p'",
    "the input paths is one value, and cannot be collected.",
    "A step that gives many values declares outputs=DynamicOut(...).",
)
def collecting_a_parameter():
    @pipeline
    def p(paths):
        joined(paths.collect())  # here


# --- dynamic outputs ---


@case(
    "Step 'load' of pipeline 'p'",
    "its input 'chunk' is given the output files.result, which is dynamic: many values, not one.",
    "Write files(...).map(load), or .collect() for one list.",
)
def a_dynamic_output_not_mapped():
    @pipeline
    def p():
        load(files())  # here


@case(
    "Step 'joined' of pipeline 'p'",
    "its input 'texts' is given the output load.result, which was mapped.",
    "Go on with .map(...), or gather it with .collect().",
)
def a_mapped_output_not_collected():
    @pipeline
    def p():
        joined(files().map(load))  # here


@case(
    "Step 'joined' of pipeline 'p'",
    "its input 'texts' is given the output load.result.collect() inside a list.",
    "collect() is a list already; pass it alone.",
)
def collect_inside_a_list():
    @pipeline
    def p():
        joined([files().map(load).collect()])  # here


@case(
    "Step 'load' of pipeline 'p'",
    "the output load.result.collect() is a list already, and has no collect().",
    "Give it to a step; after a nested map, what that step returns has collect() again.",
)
def collect_after_collect():
    @pipeline
    def p():
        loaded = files().map(split).map(load)
        loaded.collect().collect()  # here


@case(
    "Step 'both' of pipeline 'p'",
    "it depends on files.result and on files_2.result, two dynamic outputs mapped independently.",
    "Gather one of them with .collect() first.",
)
def two_independent_maps():
    @step
    def both(x, y): ...

    @pipeline
    def p():
        second = files.alias("files_2")
        files().map(lambda x: second().map(lambda y: both(x, y)))  # here


@case("Step 'files' of pipeline 'p'", "map() was given a function that returns 3.", "Return what a step returned.")
def a_map_to_a_constant():
    @pipeline
    def p():
        files().map(lambda file: 3)  # here


@case(
    "Step 'files' of pipeline 'p'",
    "map() was given a function that returns the output one.result, which does not depend on the value it is given.",
    "Give that value to the step.",
)
def a_map_that_ignores_its_value():
    @pipeline
    def p():
        files().map(lambda file: one())  # here


@case(
    "Step 'files' of pipeline 'p'",
    "map() is given the output one.result.",
    "Give it the step itself, not called: .map(step).",
)
def a_map_with_a_step_that_is_called():
    @pipeline
    def p():
        files().map(one())  # here


@case("Step 'files'", "map() is called outside a pipeline function.")
def a_map_outside_a_pipeline():
    kept = []

    @pipeline
    def p():
        kept.append(files())

    kept[0].map(load)  # here


@pytest.mark.parametrize(("define", "what", "problem", "hint"), case.cases)
def test_wiring_that_cannot_work_is_refused_where_it_is_written(define, what, problem, hint):
    check_refusal(define, what, problem, hint)


def test_the_error_of_a_pipeline_function_itself_comes_out_as_it_is():
    with pytest.raises(ZeroDivisionError):

        @pipeline
        def p():
            one(1 / 0)


def test_after_a_refused_pipeline_steps_are_plain_functions_again():
    with pytest.raises(DefinitionError):

        @pipeline
        def p():
            double(3)

    assert double(3) == 6


def test_an_attribute_of_a_value_that_does_not_exist_yet_is_not_there():
    with pytest.raises(AttributeError, match=r"the output one.result has no 'columns': it stands for a value"):

        @pipeline
        def p():
            double(one().columns)
