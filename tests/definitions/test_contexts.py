"""Contexts made by hand, as a unit test makes them."""

import logging
from dataclasses import dataclass

import pytest

from orchestrator import (
    AssetMaterialization,
    Expectation,
    HookContext,
    InputContext,
    OutputContext,
    ResourceContext,
    StepContext,
    failure_hook,
    resource,
    step,
)


@dataclass
class Limit:
    n: int = 2


@step(resources={"db"})
def rows(context: StepContext, table: str, config: Limit) -> list:
    context.log.info("reading %s", table)
    context.log_asset(AssetMaterialization("rows", metadata={"limit": config.n}))
    context.log_expectation(Expectation(True, "there is a table"))
    return context.resources.db[table][: config.n]


def test_a_step_can_be_called_with_a_context_made_by_hand():
    context = StepContext(config=Limit(1), resources={"db": {"people": ["Ada", "Grace"]}})
    assert rows(context, "people", context.config) == ["Ada"]


def test_what_the_step_recorded_is_kept_on_the_context():
    context = StepContext(resources={"db": {"people": []}})
    rows(context, "people", Limit())
    assert [type(fact) for fact in context.recorded] == [AssetMaterialization, Expectation]
    assert context.recorded[0].metadata == {"limit": 2}


def test_a_logger_of_ones_own_can_be_given(caplog):
    logger = logging.getLogger("mine")
    with caplog.at_level(logging.INFO, "mine"):
        rows(StepContext(resources={"db": {"people": []}}, log=logger), "people", Limit())
    assert caplog.messages == ["reading people"]


def test_resources_are_found_by_attribute_or_by_key():
    resources = StepContext(resources={"db": 1}).resources
    assert resources.db == resources["db"] == 1
    assert list(resources) == ["db"]
    assert len(resources) == 1


def test_a_resource_that_is_not_there_says_what_to_add():
    with pytest.raises(AttributeError) as caught:
        StepContext(resources={"warehouse": 1}).resources.warehous
    assert str(caught.value) == (
        "this step has no resource 'warehous'; add it to resources={...}. Did you mean warehouse?"
    )


def test_without_any_resources_there_is_nothing_to_suggest():
    with pytest.raises(AttributeError, match=r"add it to resources=\{\.\.\.\}\.$"):
        StepContext().resources.db


@pytest.mark.parametrize(
    ("method", "wrong", "takes"),
    [("log_asset", "orders", "an AssetMaterialization"), ("log_expectation", True, "an Expectation")],
)
def test_recording_something_else_is_refused(method, wrong, takes):
    with pytest.raises(TypeError, match=f"{method} takes {takes}, not {wrong!r}"):
        getattr(StepContext(), method)(wrong)


def test_a_step_context_says_where_it_is():
    context = StepContext(run_id="r", step="load[a]", mapping_key="a", attempt=2, tags={"team": "sales"})
    assert (context.run_id, context.step, context.mapping_key, context.attempt) == ("r", "load[a]", "a", 2)
    assert context.tags == {"team": "sales"}


def test_an_output_is_identified_by_run_step_and_name():
    context = OutputContext(run_id="r", step="load", name="good")
    assert context.identifier() == ("r", "load", "good")
    assert context.step_key == "load"


def test_a_value_of_a_dynamic_output_is_identified_by_its_key_too():
    assert OutputContext(run_id="r", step="files", mapping_key="a").identifier() == ("r", "files", "result", "a")


def test_a_value_of_no_known_run_has_no_identifier():
    with pytest.raises(ValueError, match=r"no run is known to have produced load\.result"):
        OutputContext(run_id=None, step="load").identifier()


def test_a_value_with_a_version_is_kept_by_it():
    assert OutputContext(run_id="r", step="load", version="v1").storage_parts() == ("versions", "load", "result", "v1")
    assert OutputContext(run_id="r", step="load").storage_parts() == ("r", "load", "result")


def test_the_metadata_of_an_input_is_that_of_the_output_it_comes_from():
    assert InputContext(OutputContext(metadata={"path": "x"})).metadata == {"path": "x"}


def test_resources_and_hooks_can_be_called_with_a_context_made_by_hand():
    @resource(resources={"vault"})
    def db(context: ResourceContext, config: Limit):
        return context.resources.vault, config.n

    @failure_hook
    def alarm(context: HookContext):
        return f"{context.step} failed: {context.error}"

    assert db(ResourceContext(resources={"vault": "key"}), Limit(5)) == ("key", 5)
    assert alarm(HookContext(step="load", error=ValueError("no"))) == "load failed: no"
