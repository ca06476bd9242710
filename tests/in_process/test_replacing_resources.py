"""Running a pipeline with some resources replaced: what a test does with those it cannot have."""

from dataclasses import dataclass

import pytest

from orchestrator import (
    ConfigError,
    DefinitionError,
    IOManager,
    Mode,
    Preset,
    filesystem_io_manager,
    io_manager,
    memory_io_manager,
    pipeline,
    resource,
    step,
)
from tests.definitions.short import one, refusal


@dataclass
class Connection:
    url: str


@resource
def warehouse(config: Connection):
    raise AssertionError("a test must not connect to the real one")


@step(resources={"warehouse"})
def rows(context) -> int:
    return context.resources.warehouse["rows"]


@pipeline(
    modes=[Mode("prod", resources={"warehouse": warehouse, "other": 1})],
    presets=[Preset("usual", config={"resources": {"warehouse": {"config": {"url": "db://prod"}}}})],
)
def report():
    rows()


def test_a_plain_object_takes_the_place_of_a_resource():
    assert report.execute_in_process(resources={"warehouse": {"rows": 3}}).output("rows") == 3


def test_a_resource_takes_the_place_of_a_resource_with_its_teardown():
    closed = []

    @resource
    def fake():
        yield {"rows": 4}
        closed.append(True)

    assert report.execute_in_process(resources={"warehouse": fake}).output("rows") == 4
    assert closed == [True]


def test_configuration_meant_for_what_was_replaced_is_ignored():
    assert report.execute_in_process(preset="usual", resources={"warehouse": {"rows": 3}}).success


def test_a_replacement_that_takes_configuration_gets_it():
    @resource
    def fake(config: Connection):
        return {"rows": len(config.url)}

    assert report.execute_in_process(preset="usual", resources={"warehouse": fake}).output("rows") == len("db://prod")


def test_configuration_of_resources_that_were_not_replaced_is_still_checked():
    with pytest.raises(ConfigError) as caught:
        report.execute_in_process(
            preset="usual", resources={"other": 2}, config={"resources": {"warehouse": {"config": {"ulr": "x"}}}}
        )
    assert caught.value.details == ("resources.warehouse.config.ulr: unknown. Did you mean url?",)


def test_the_mode_itself_stays_as_it_was():
    report.execute_in_process(resources={"warehouse": {"rows": 3}})
    assert report.mode("prod").resources["warehouse"] is warehouse


def test_a_replacement_for_nothing_is_refused_because_the_real_thing_would_be_used():
    with pytest.raises(DefinitionError) as caught:
        report.execute_in_process(resources={"warehuose": {}})
    assert "mode 'prod' has no resource 'warehuose' that could be replaced." in caught.value.message
    assert "test_replacing_resources.py" in caught.value.message
    assert caught.value.hint == "Did you mean warehouse?"


def test_what_a_replacement_needs_may_be_given_along_with_it():
    @resource(resources={"numbers"})
    def fake(context):
        return {"rows": context.resources.numbers[0]}

    assert report.execute_in_process(resources={"warehouse": fake, "numbers": [7]}).output("rows") == 7


def test_what_a_replacement_needs_must_be_there():
    @resource(resources={"numbers"})
    def fake(context): ...

    error = refusal(report.execute_in_process, resources={"warehouse": fake})
    assert "mode 'prod' has no resource 'numbers', which resource 'warehouse' requires." in error.message


def test_a_replacement_of_an_io_manager_must_be_one():
    error = refusal(report.execute_in_process, resources={"warehouse": {}, "io_manager": 3})
    assert "'io_manager' is used as an IO manager by output 'result' of step 'rows' and is not one." in error.message


def test_a_function_is_no_replacement():
    def fake(): ...

    assert "the resource 'warehouse' is a bare function" in str(
        refusal(report.execute_in_process, resources={"warehouse": fake})
    )


# --- where values are kept ---


def test_values_stay_in_memory_unless_the_mode_says_otherwise(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    @pipeline
    def plain():
        one()

    assert plain.execute_in_process().output("one") == 1
    assert list(tmp_path.iterdir()) == []


def test_configuration_of_the_default_io_manager_does_no_harm():
    @pipeline
    def plain():
        one()

    config = {"resources": {"io_manager": {"config": {"base_dir": "/somewhere"}}}}
    assert plain.execute_in_process(config=config).output("one") == 1


def test_an_io_manager_of_the_mode_is_used(tmp_path):
    @pipeline(modes=[Mode("m", resources={"io_manager": filesystem_io_manager})])
    def stored():
        one()

    config = {"resources": {"io_manager": {"config": {"base_dir": str(tmp_path)}}}}
    result = stored.execute_in_process(config=config)
    assert result.output("one") == 1
    assert (tmp_path / result.run_id / "one" / "result").is_file()


def test_the_io_manager_can_be_replaced_by_one_in_memory():
    class Forbidden(IOManager):
        def handle_output(self, context, obj):
            raise AssertionError("not in a test")

        def load_input(self, context): ...

    @io_manager
    def production():
        return Forbidden()

    @pipeline(modes=[Mode("m", resources={"io_manager": production})])
    def stored():
        one()

    assert stored.execute_in_process(resources={"io_manager": memory_io_manager}).output("one") == 1


# --- modes and presets ---


@pipeline(modes=[Mode("a"), Mode("b")], presets=[Preset("in_a", mode="a")])
def two_modes():
    one()


def test_a_preset_brings_its_mode():
    assert two_modes.execute_in_process(preset="in_a").success


def test_a_preset_and_another_mode_contradict_each_other():
    with pytest.raises(ConfigError, match="Preset 'in_a' runs in mode 'a', and mode 'b' was asked for"):
        two_modes.execute_in_process(preset="in_a", mode="b")
    assert two_modes.execute_in_process(preset="in_a", mode="a").success


def test_a_mode_has_to_be_chosen_when_there_are_several():
    assert "several modes: a, b" in str(refusal(two_modes.execute_in_process))
