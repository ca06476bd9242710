"""Modes and presets of a pipeline."""

import pytest

from orchestrator import DefinitionError, IOManager, Mode, Preset, memory_io_manager, pipeline, resource, step
from orchestrator.definitions.resource import IOManagerDefinition
from tests.definitions.short import one, refusal


@step(resources={"db"})
def rows(context):
    return context.resources.db


@pipeline(
    modes=[Mode("test", resources={"db": 1}), Mode("prod", resources={"db": 2}, executor="kubernetes")],
    presets=[Preset("small", mode="test", tags={"size": 1}, select="rows")],
)
def both():
    rows()


def test_a_pipeline_without_modes_has_one_called_default():
    @pipeline
    def plain():
        one()

    assert list(plain.modes) == ["default"]
    assert plain.mode(None).name == "default"


def test_the_only_mode_is_chosen_by_itself():
    @pipeline(modes=Mode("prod"))
    def single():
        one()

    assert single.mode(None).name == "prod"


def test_of_several_modes_one_has_to_be_chosen():
    with pytest.raises(DefinitionError, match="Pipeline 'both' has several modes: test, prod") as caught:
        both.mode(None)
    assert "--mode" in caught.value.hint


def test_an_unknown_mode_or_preset_names_what_is_near():
    assert str(refusal(both.mode, "prodd")) == "Pipeline 'both' has no mode 'prodd'.\nDid you mean prod?"
    assert str(refusal(both.preset, "large")) == "Pipeline 'both' has no preset 'large'.\nThere is: small."


def test_a_mode_binds_names_to_resources():
    assert both.execute_in_process(mode="test").output("rows") == 1
    assert both.execute_in_process(mode="prod").output("rows") == 2


def test_a_mode_may_choose_the_executor():
    assert both.mode("prod").executor == "kubernetes"


@pytest.mark.parametrize(
    "value", [3, "text", None, {"a": 1}, [1]], ids=["number", "text", "None", "dictionary", "list"]
)
def test_a_plain_object_is_the_resource_itself(value):
    @step(resources={"db"})
    def is_it(context):
        return context.resources.db is value

    @pipeline(modes=[Mode("m", resources={"db": value})])
    def plain():
        is_it()

    assert plain.execute_in_process().output("is_it") is True


def test_an_object_that_stores_and_loads_is_an_io_manager():
    class Kept(IOManager):
        def handle_output(self, context, obj): ...

        def load_input(self, context): ...

    mode = Mode("m", resources={"io_manager": Kept(), "db": 3})
    assert isinstance(mode.resources["io_manager"], IOManagerDefinition)
    assert not isinstance(mode.resources["db"], IOManagerDefinition)


def test_modes_may_hold_resources_that_no_step_needs():
    @resource
    def never():
        raise AssertionError("nobody asked for it")

    @pipeline(modes=[Mode("m", resources={"unused": never})])
    def plain():
        one()

    assert plain.execute_in_process().success


def test_a_preset_is_mode_configuration_tags_and_selection_in_one():
    small = both.preset("small")
    assert (small.mode, small.tags, small.select) == ("test", {"size": "1"}, ("rows",))


def test_one_mode_or_preset_needs_no_list():
    @pipeline(modes=Mode("m"), presets=Preset("p", mode="m"))
    def plain():
        one()

    assert list(plain.modes) == ["m"]
    assert list(plain.presets) == ["p"]


def test_definitions_are_shown_by_kind_and_name():
    assert [str(each) for each in (one, both, memory_io_manager)] == [
        "Step 'one'",
        "Pipeline 'both'",
        "IO manager 'memory_io_manager'",
    ]
    assert str(one.alias("uno")) == "Step 'uno'"
