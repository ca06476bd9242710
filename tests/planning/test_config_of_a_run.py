"""The configuration of a whole run: its shape, how two are merged, and everything wrong with one at once."""

from dataclasses import dataclass

import pytest

from orchestrator import ConfigError, Mode, Preset, failure_hook, pipeline, resource, step
from orchestrator.planning.compile import plan_run
from orchestrator.planning.plan import PlanRequest
from orchestrator.planning.run_config import merged, retries_enabled, step_entries, without_resources
from tests.definitions.short import double, one, total


@dataclass
class Limit:
    n: int = 3


@dataclass
class Connection:
    url: str


@step
def limited(config: Limit) -> int:
    return config.n


@step(resources={"db"})
def reads(context, config: Limit) -> int:
    return config.n


@resource
def database(config: Connection): ...


@resource
def unused(config: Connection): ...


@pipeline
def inner():
    return limited()


@pipeline
def middle():
    return inner()


@pipeline(modes=[Mode("m", resources={"db": database, "unused": unused, "constant": 3})])
def outer():
    total([middle(), limited(), reads()])


def problems(pipeline, config, environment=None, **request):
    """The problems that planning a run with this configuration reports."""
    with pytest.raises(ConfigError) as caught:
        plan_run(pipeline, PlanRequest(pipeline=pipeline.name, config=config, **request), environment or {})
    assert caught.value.hint == f"`orchestrator pipeline config {pipeline.name}` prints a template with every field."
    return list(caught.value.details)


def planned(pipeline, config, **request):
    return plan_run(pipeline, PlanRequest(pipeline=pipeline.name, config=config, **request), {})


DB = {"db": {"config": {"url": "x"}}}


def test_everything_wrong_is_reported_at_once_each_with_its_path():
    config = {
        "step": {},
        "steps": {
            "limtied": {},
            "limited": {"config": {"n": "many", "m": 1}, "conf": {}},
            "middle": {"inner": {"limited": {"config": {"n": 1.5}}, "other": {}}},
            "total": {"config": {"n": 1}},
            "reads": 3,
        },
        "resources": {"db": {"config": {"ulr": "x"}}, "constant": {"config": 4}, "dbb": {}, "unused": {"configs": {}}},
        "inputs": {"n": 1},
        "execution": {"retires": 1, "retries": "sometimes"},
    }
    assert problems(outer, config) == [
        "step: unknown. A configuration has: steps, resources, inputs, execution.",
        "steps.limtied: there is no such step. Did you mean limited?",
        "steps.limited.conf: unknown. Here belongs: config, inputs.",
        "steps.middle.inner.other: there is no such step. Did you mean middle.inner.limited?",
        "steps.reads: must be a mapping with config and inputs, got 3",
        "steps.middle.inner.limited.config.n: Input should be a valid integer, got a number with a fractional part,"
        " got 1.5",
        "steps.limited.config.m: unknown. There is: n.",
        "steps.limited.config.n: Input should be a valid integer, unable to parse string as an integer, got 'many'",
        "steps.total.config: it takes no configuration",
        "resources.dbb: mode 'm' has no such resource. Did you mean db?",
        "resources.unused.configs: unknown. Here belongs: config.",
        "resources.db.config.ulr: unknown. Did you mean url?",
        "resources.db.config.url: required, and missing",
        "inputs.n: unknown. The pipeline takes none.",
        "execution.retires: unknown. There is: retries.",
        "execution.retries: must be enabled or disabled",
    ]


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"middle.inner.limited": {"config": {"n": 9}}}, id="by its full name"),
        pytest.param({"middle": {"inner": {"limited": {"config": {"n": 9}}}}}, id="nested"),
        pytest.param({"middle": {"inner.limited": {"config": {"n": 9}}}}, id="partly nested"),
        pytest.param({"middle": {"steps": {"inner": {"steps": {"limited": {"config": {"n": 9}}}}}}}, id="with steps"),
    ],
)
def test_a_step_of_a_nested_pipeline_is_configured_in_any_of_these_forms(entry):
    @pipeline
    def plain():
        total([middle(), limited()])

    assert plain.execute_in_process(config={"steps": entry}).output("total") == 12


def test_a_step_configured_in_two_forms_is_refused():
    config = {"steps": {"middle.inner.limited": {"config": {}}, "middle": {"inner": {"limited": {"config": {}}}}}}
    assert "steps.middle.inner.limited: step middle.inner.limited is configured twice" in problems(outer, config)


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"steps": None, "resources": None, "inputs": None, "execution": None}, id="empty parts"),
        pytest.param({"steps": {"limited": None}}, id="an empty step"),
        pytest.param({"steps": {"limited": {"config": None, "inputs": None}}}, id="an empty configuration"),
        pytest.param({"steps": {"inner": None}}, id="an empty pipeline"),
    ],
)
def test_empty_parts_say_nothing(config):
    @pipeline
    def plain():
        double(limited())
        inner()

    assert plain.execute_in_process(config=config).output("double") == 6


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"steps": []}, "steps: must be a mapping from step to its configuration"),
        ({"steps": {"middle": 3}}, "steps.middle: must be a mapping from step to its configuration"),
        ({"resources": "db"}, "resources: must be a mapping from resource to its configuration"),
        ({"resources": {"db": 3}}, "resources.db: must be a mapping with config, got 3"),
        ({"inputs": [1]}, "inputs: must be a mapping from input to value"),
        ({"steps": {"limited": {"inputs": 3}}}, "steps.limited.inputs: must be a mapping from input to value"),
        ({"execution": "fast"}, "execution: must be a mapping"),
    ],
)
def test_a_part_of_another_form_is_refused(config, problem):
    assert problem in problems(outer, config)


def test_a_secret_is_neither_in_the_messages_nor_in_the_plan():
    config = {
        "steps": {"limited": {"config": {"n": {"env": "N"}}}},
        "resources": {"db": {"config": {"url": {"env": "URL"}}}},
    }
    (problem,) = problems(outer, config, {"N": "hunter2", "URL": "db://hunter2"})
    assert problem.startswith("steps.limited.config.n: Input should be a valid integer")
    assert "hunter2" not in problem
    run = plan_run(outer, PlanRequest(pipeline="outer", config=config), {"N": "3", "URL": "db://hunter2"})
    assert "hunter2" not in repr(run)
    assert run.config == config


def test_unset_variables_are_reported_with_all_the_rest():
    config = {"steps": {"limited": {"config": {"n": {"env": "N"}}}}, "resources": {"db": {"config": {"url": 3}}}}
    assert problems(outer, config) == [
        "steps.limited.config.n: the environment variable N is not set",
        "resources.db.config.url: Input should be a valid string, got 3",
    ]


def test_when_only_variables_are_missing_it_says_where_to_set_them():
    config = {"steps": {"limited": {"config": {"n": {"env": "N"}}}}, "resources": {"db": {"config": {"url": "u"}}}}
    with pytest.raises(ConfigError) as caught:
        plan_run(outer, PlanRequest(pipeline="outer", config=config), {})
    assert "N is not set" in str(caught.value)
    assert "orchestrator daemon install --save-environment" in caught.value.hint


def test_only_steps_and_resources_that_take_part_are_checked():
    assert planned(outer, {}, selection=("limited",)).selection == ("limited",)
    assert problems(outer, {}) == ["resources.db.config.url: required, and missing"]


def test_what_takes_no_part_must_still_exist():
    assert problems(outer, {"steps": {"x": {}}, "resources": {"y": {}}}, selection=("limited",)) == [
        "steps.x: there is no such step. There is: middle.inner.limited, limited, reads, total.",
        "resources.y: mode 'm' has no such resource. There is: io_manager, db, unused, constant.",
    ]


def test_resources_of_hooks_of_resources_and_of_io_managers_take_part():
    @failure_hook(resources={"slack"})
    def tell(context): ...

    @resource
    def vault(config: Connection): ...

    @resource(resources={"vault"})
    def slack(context): ...

    @pipeline(hooks={tell}, modes=[Mode("m", resources={"slack": slack, "vault": vault})])
    def hooked():
        one()

    assert problems(hooked, {}) == ["resources.vault.config.url: required, and missing"]


def test_a_plan_can_be_made_without_looking_at_the_configuration():
    assert planned(outer, {"steps": {"x": {}}}, check=False).plan.pipeline == "outer"


# --- merging ---


@pytest.mark.parametrize(
    ("base", "over", "result"),
    [
        pytest.param({"a": 1}, {"b": 2}, {"a": 1, "b": 2}, id="side by side"),
        pytest.param({"a": 1}, {"a": 2}, {"a": 2}, id="the later wins"),
        pytest.param({"a": {"b": 1, "c": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}, id="deeply"),
        pytest.param({"a": [1, 2]}, {"a": [3]}, {"a": [3]}, id="lists are replaced"),
        pytest.param({"a": {"b": 1}}, {"a": 2}, {"a": 2}, id="a mapping by a scalar"),
        pytest.param({"a": 1}, {"a": {"b": 2}}, {"a": {"b": 2}}, id="a scalar by a mapping"),
        pytest.param({"a": {"b": 1}}, {"a": None}, {"a": None}, id="by null"),
    ],
)
def test_two_configurations_are_merged(base, over, result):
    before = repr(base)
    assert merged(base, over) == result
    assert repr(base) == before


def test_what_a_caller_configures_is_laid_over_the_preset():
    @dataclass
    class Two:
        x: int = 1
        y: int = 1

    @step
    def it(config: Two) -> tuple:
        return config.x, config.y

    @pipeline(presets=[Preset("p", config={"steps": {"it": {"config": {"x": 5, "y": 5}}}}, tags={"size": "small"})])
    def preset_pipeline():
        it()

    run = planned(preset_pipeline, {"steps": {"it": {"config": {"y": 9}}}}, preset="p", tags={"by": "me"})
    assert run.config == {"steps": {"it": {"config": {"x": 5, "y": 9}}}}
    assert run.tags == {"size": "small", "by": "me"}


def test_tags_of_the_caller_win_over_the_preset_and_those_over_the_pipeline():
    @pipeline(
        tags={"a": "pipeline", "b": "pipeline", "c": "pipeline"}, presets=[Preset("p", tags={"b": "p", "c": "p"})]
    )
    def tagged():
        one()

    assert planned(tagged, {}, preset="p", tags={"c": "caller"}).tags == {"a": "pipeline", "b": "p", "c": "caller"}


def test_the_configuration_of_some_resources_can_be_left_out():
    config = {"steps": {"a": {}}, "resources": {"x": {"config": 1}, "y": {"config": 2}}}
    assert without_resources(config, {"x", "z"}) == {"steps": {"a": {}}, "resources": {"y": {"config": 2}}}
    assert without_resources({"resources": "wrong"}, {"x"}) == {"resources": "wrong"}


@pytest.mark.parametrize(
    ("config", "enabled"),
    [
        ({}, True),
        ({"execution": None}, True),
        ({"execution": {"retries": "enabled"}}, True),
        ({"execution": {"retries": True}}, True),
        ({"execution": {"retries": "disabled"}}, False),
        ({"execution": {"retries": False}}, False),
    ],
)
def test_retries_are_enabled_or_disabled_for_a_run(config, enabled):
    assert retries_enabled(config) is enabled


def test_entries_are_found_by_the_place_of_their_step():
    entries = step_entries({"steps": {"a": {"config": 1}, "b": {"c": {"config": 2}}}}, ["a", "b.c"])
    assert entries.by_node == {"a": {"config": 1}, "b.c": {"config": 2}}
    assert entries.problems == ()
