"""A pipeline inside a pipeline: its steps are placed under its name."""

import pytest

from orchestrator import Mode, Out, Output, failure_hook, pipeline, step, success_hook
from orchestrator.model.states import StepState
from tests.definitions.short import add, double, files, joined, load, one, refusal, sort_out, total


@pipeline
def plus_one(n):
    return add(n, one())


@pipeline
def plus_two(n):
    return plus_one(plus_one(n))


def keys(pipeline):
    return list(pipeline.graph.nodes)


def test_a_step_of_an_inner_pipeline_is_called_outer_dot_inner():
    @pipeline
    def outer():
        double(plus_one(one()))

    assert keys(outer) == ["one", "plus_one.one", "plus_one.add", "double"]
    result = outer.execute_in_process()
    assert (result.output("plus_one.add"), result.output("double")) == (2, 4)


def test_pipelines_nest_to_any_depth():
    @pipeline
    def outer():
        plus_two(one())

    assert keys(outer)[1:] == [
        "plus_two.plus_one.one",
        "plus_two.plus_one.add",
        "plus_two.plus_one_2.one",
        "plus_two.plus_one_2.add",
    ]
    assert outer.execute_in_process().output("plus_two.plus_one_2.add") == 3


def test_the_same_inner_pipeline_twice_gets_a_number_and_one_under_an_alias_its_alias():
    @pipeline
    def outer():
        total([plus_one(one()), plus_one(one()), plus_one.alias("again")(one())])

    assert [key for key in keys(outer) if key.endswith("add")] == ["plus_one.add", "plus_one_2.add", "again.add"]
    assert outer.execute_in_process().output("total") == 6


def test_steps_and_pipelines_share_one_set_of_names():
    @step(name="plus_one")
    def namesake(): ...

    @pipeline
    def outer():
        plus_one(one())
        namesake()

    assert "plus_one_2" in keys(outer)


def test_an_inner_pipeline_may_return_several_outputs():
    @pipeline
    def both(n):
        return double(n), add(n)

    @pipeline
    def outer():
        doubled, added = both(one())
        total([doubled, added])

    assert outer.execute_in_process().output("total") == 13


def test_an_inner_pipeline_hands_on_the_outputs_of_a_step_as_they_are():
    @pipeline
    def inner():
        return sort_out()

    @pipeline
    def outer():
        double(inner().odd)
        double.alias("not_taken")(inner().even)

    result = outer.execute_in_process()
    assert result.output("double") == 2
    assert result.state("not_taken") is StepState.SKIPPED


def test_an_inner_pipeline_may_return_nothing_and_take_a_list():
    seen = []

    @step
    def keep(ns: list[int]) -> None:
        seen.extend(ns)

    @pipeline
    def sink(ns):
        keep(ns)

    @pipeline
    def outer():
        assert sink([one(), double(one())]) is None

    assert outer.execute_in_process().success
    assert seen == [1, 2]


def test_an_inner_pipeline_can_be_mapped():
    @pipeline
    def twice(text):
        return load(load(text))

    @pipeline
    def outer():
        joined(files().map(twice).collect())

    result = outer.execute_in_process()
    assert result.output("joined") == "A+B"
    assert result.state("twice.load_2[b]") is StepState.SUCCESS


def test_an_inner_pipeline_may_map_and_collect_by_itself():
    @pipeline
    def all_loaded():
        return joined(files().map(load).collect())

    @pipeline
    def outer():
        load.alias("lower")(all_loaded())

    result = outer.execute_in_process()
    assert result.output("lower") == "A+B"
    assert result.output("all_loaded.load") == {"a": "A", "b": "B"}


def test_a_pipeline_that_is_used_inside_another_still_runs_by_itself():
    @pipeline
    def outer():
        plus_one(one())

    assert plus_one.execute_in_process(config={"inputs": {"n": 4}}).output("add") == 5


def test_inputs_an_inner_pipeline_is_not_given_become_inputs_of_the_outer_one():
    @pipeline
    def outer():
        plus_one()
        plus_one.alias("given")(one())

    assert list(outer.graph.inputs) == ["plus_one.n"]
    assert outer.execute_in_process(config={"inputs": {"plus_one.n": 5}}).output("plus_one.add") == 6


def test_defaults_of_parameters_hold_inside_as_well():
    @pipeline
    def with_default(n=7):
        return double(n)

    @pipeline
    def outer():
        with_default()
        with_default(one())

    result = outer.execute_in_process()
    assert (result.output("with_default.double"), result.output("with_default_2.double")) == (14, 2)


def test_parameters_pass_through_two_levels():
    @pipeline
    def outer(n):
        return plus_two(n)

    assert outer.execute_in_process(config={"inputs": {"n": 1}}).output("plus_two.plus_one_2.add") == 3


@success_hook
def outer_hook(context): ...


@failure_hook
def inner_hook(context): ...


def test_hooks_and_tags_of_the_inner_pipeline_apply_to_its_steps_only():
    @pipeline(hooks={inner_hook}, tags={"team": "sales", "level": "inner"})
    def inner():
        one()

    @pipeline(hooks={outer_hook}, tags={"level": "outer"})
    def outer():
        inner()
        one()

    nodes = outer.graph.nodes
    assert nodes["inner.one"].hooks == (outer_hook, inner_hook)
    assert nodes["inner.one"].tags == {"team": "sales", "level": "inner"}
    assert nodes["one"].hooks == (outer_hook,)
    assert nodes["one"].tags == {}


def test_inner_steps_are_checked_against_the_modes_of_the_outer_pipeline():
    @step(resources={"db"})
    def needs_db(): ...

    @pipeline(modes=[Mode("m", resources={"db": 1})])
    def inner():
        needs_db()

    def outer():
        inner()

    assert "step 'inner.needs_db' requires" in str(refusal(pipeline, outer))


@pytest.mark.parametrize(
    ("call", "problem", "hint"),
    [
        pytest.param(lambda: plus_one(one(), one()), "it takes 1 input (n) and is given 2.", None, id="too many"),
        pytest.param(lambda: plus_one(m=one()), "it has no input 'm'.", "There is: n.", id="unknown"),
        pytest.param(lambda: plus_one(one(), n=one()), "its input 'n' is given twice.", None, id="twice"),
        pytest.param(
            lambda: plus_one(one(), after=one()),
            "it has no input 'after'.",
            "Give after= to the steps inside that have to wait.",
            id="after",
        ),
    ],
)
def test_a_wrong_call_is_refused_naming_the_inner_pipeline(call, problem, hint):
    def outer():
        call()

    error = refusal(pipeline, outer)
    assert error.message.startswith("Pipeline 'plus_one' (")
    assert error.message.endswith(problem)
    assert error.hint == hint


def test_several_outputs_of_one_inner_step_keep_their_branches():
    @step(outputs={"x": Out(int), "y": Out(int, optional=True)})
    def maybe_two():
        yield Output(1, "x")

    @pipeline
    def inner():
        x, y = maybe_two()
        return double(x), double(y)

    @pipeline
    def outer():
        doubled, skipped = inner()
        total([doubled, skipped])

    assert outer.execute_in_process().output("total") == 2
