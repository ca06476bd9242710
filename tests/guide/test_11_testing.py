"""Testing a pipeline needs no daemon, no workspace and no mocks."""

from dataclasses import dataclass

import pytest

from orchestrator import AssetMaterialization, Mode, StepContext, pipeline, resource, step


@dataclass
class Limit:
    n: int = 10


@resource
def warehouse():
    raise ConnectionError("there is no warehouse on this machine")


@step(resources={"warehouse"})
def top_people(context: StepContext, config: Limit) -> list[str]:
    people = context.resources.warehouse["people"][: config.n]
    context.log_asset(AssetMaterialization("top_people", metadata={"rows": len(people)}))
    return people


@step
def greet(people: list[str]) -> list[str]:
    return [f"Hello {name}" for name in people]


@pipeline(modes=[Mode("prod", resources={"warehouse": warehouse})])
def greetings():
    greet(top_people())


PEOPLE = {"people": ["Ada", "Grace", "Alan"]}


def test_a_step_is_a_function_so_call_it():
    """What it takes apart from its inputs, you can make by hand. What it recorded stays on the context."""
    assert greet(["Ada"]) == ["Hello Ada"]
    context = StepContext(resources={"warehouse": PEOPLE})
    assert top_people(context, Limit(2)) == ["Ada", "Grace"]
    assert context.recorded[0].metadata == {"rows": 2}


def test_a_whole_pipeline_runs_in_the_test():
    """With the real thing replaced by what you give it. Nothing is written anywhere."""
    result = greetings.execute_in_process(
        resources={"warehouse": PEOPLE}, config={"steps": {"top_people": {"config": {"n": 1}}}}
    )
    assert result.output("greet") == ["Hello Ada"]


def test_only_a_part_of_it_if_you_like():
    """`*top_people` would be that step with everything it needs, `top_people*` with everything that needs it."""
    result = greetings.execute_in_process(resources={"warehouse": PEOPLE}, select="top_people")
    assert result.output("top_people") == ["Ada", "Grace", "Alan"]


def test_a_failure_is_data_unless_you_want_it_raised():
    """A run that failed gives back why. With `raise_on_error`, the exception of the step is raised in your test."""
    result = greetings.execute_in_process(resources={"warehouse": {}})
    assert result.failure("top_people").kind == "KeyError"
    with pytest.raises(KeyError, match="people"):
        greetings.execute_in_process(resources={"warehouse": {}}, raise_on_error=True)
