"""What a step declares, and that it stays a function."""

import functools

import pytest

from orchestrator import DynamicOut, Out, RetryPolicy, StepContext, pipeline, step
from tests.definitions.short import one


def test_a_step_has_one_output_called_result():
    assert list(one.outputs) == ["result"]
    assert one.output_type("result") is int


def test_every_parameter_but_context_and_config_is_an_input():
    @step
    def top_people(context, people, config, limit=3): ...

    assert list(top_people.inputs) == ["people", "limit"]
    assert top_people.inputs["limit"].default == 3
    assert top_people.context_name == "context"
    assert top_people.takes_config


def test_config_may_come_before_the_inputs():
    @step
    def top_people(config, people): ...

    assert list(top_people.inputs) == ["people"]


def test_a_step_called_outside_a_pipeline_is_the_plain_function():
    @step
    def add(a: int, b: int = 2) -> int:
        return a + b

    assert add(1) == 3
    assert add(1, b=5) == 6


def test_an_alias_called_outside_a_pipeline_is_the_plain_function_too():
    assert one.alias("uno").with_tags({"a": 1})() == 1


def test_a_step_keeps_the_name_and_the_docstring_of_its_function():
    @step
    def top_people():
        """The people at the top."""

    assert top_people.name == top_people.__name__ == "top_people"
    assert top_people.description == top_people.__doc__ == "The people at the top."


def test_name_and_description_can_be_given():
    @step(name="leaders", description="Those who lead.")
    def top_people(): ...

    assert (top_people.name, top_people.description) == ("leaders", "Those who lead.")


def test_options_are_kept_as_they_were_declared():
    policy = RetryPolicy(max_retries=3)

    @step(resources={"spark", "db"}, retry=policy, timeout=600, tags={"team": 1}, version=2, isolation="spawn")
    def top_people(): ...

    assert top_people.resources == ("db", "spark")
    assert top_people.retry is policy
    assert top_people.timeout == 600
    assert top_people.tags == {"team": "1"}
    assert top_people.version == "2"
    assert top_people.isolation == "spawn"


def test_an_output_is_stored_by_its_own_io_manager_else_by_that_of_its_step_else_by_the_default():
    @step(io_manager="lake", outputs={"a": Out(), "b": Out(io_manager="warehouse")})
    def two(): ...

    assert {name: out.io_manager for name, out in two.outputs.items()} == {"a": "lake", "b": "warehouse"}
    assert one.outputs["result"].io_manager == "io_manager"


@pytest.mark.parametrize(
    ("outputs", "names"),
    [
        pytest.param(Out(int), ["result"], id="one"),
        pytest.param(DynamicOut(int), ["result"], id="dynamic"),
        pytest.param({"b": Out(), "a": DynamicOut()}, ["b", "a"], id="several, in their order"),
    ],
)
def test_outputs_are_declared_alone_or_by_name(outputs, names):
    @step(outputs=outputs)
    def it(): ...

    assert list(it.outputs) == names


def test_a_declared_type_goes_before_the_return_annotation():
    @step(outputs=Out(str))
    def it() -> int: ...

    assert it.output_type("result") is str


def test_using_a_step_under_an_alias_or_with_tags_leaves_the_step_as_it_was():
    @step(tags={"team": "sales"})
    def it(): ...

    @pipeline
    def uses_it():
        it()
        it.alias("other").with_tags({"team": "ops", "cost": "high"})()

    nodes = uses_it.graph.nodes
    assert nodes["it"].tags == it.tags == {"team": "sales"}
    assert nodes["other"].tags == {"team": "ops", "cost": "high"}


def test_a_decorated_function_can_be_a_step():
    def twice(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs) * 2

        return wrapper

    @step
    @twice
    def answer(n: int) -> int:
        return n

    assert list(answer.inputs) == ["n"]
    assert answer(21) == 42


def test_attributes_that_another_decorator_left_on_the_function_do_no_harm():
    """tenacity's `@retry`, for one, leaves an attribute called `retry`."""

    def plain():
        return 42

    plain.retry = plain.outputs = plain.name = "something else"
    answer = step(retry=RetryPolicy(max_retries=2))(plain)
    assert (answer.name, list(answer.outputs), answer.retry.max_retries) == ("plain", ["result"], 2)


def test_a_cached_function_can_be_a_step():
    @step
    @functools.cache
    def answer() -> int:
        return 42

    assert answer.name == "answer"


def test_a_context_made_by_hand_is_all_a_step_needs_to_be_called():
    @step(resources={"warehouse"})
    def rows(context: StepContext, table: str) -> int:
        return context.resources.warehouse[table]

    assert rows(StepContext(resources={"warehouse": {"people": 3}}), "people") == 3
