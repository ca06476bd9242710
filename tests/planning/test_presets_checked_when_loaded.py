"""Presets are looked at when a location is loaded: one whose configuration can never be valid is refused there."""

from dataclasses import dataclass

import pytest

from orchestrator import Mode, Preset, pipeline, resource, step
from orchestrator.worker.loading import check_presets
from tests.definitions.short import refusal


@dataclass
class Limit:
    n: int
    unit: str = "rows"


@step(resources={"db"})
def limited(context, config: Limit): ...


@resource
def database(config: Limit): ...


def with_preset(config, mode=None, modes=("m",)):
    @pipeline(
        modes=[Mode(name, resources={"db": database}) for name in modes],
        presets=[Preset("usual", mode=mode, config=config)],
    )
    def limits():
        limited()

    return limits


def configured(**fields):
    return {"steps": {"limited": {"config": fields}}}


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        pytest.param(configured(n="many"), "steps.limited.config.n: Input should be a valid integer", id="wrong type"),
        pytest.param(configured(m=1), "steps.limited.config.m: unknown. There is: n, unit.", id="unknown field"),
        pytest.param({"steps": {"limtied": {}}}, "steps.limtied: there is no such step", id="unknown step"),
        pytest.param({"step": {}}, "step: unknown. A configuration has: steps", id="unknown part"),
        pytest.param({"resources": {"bd": {}}}, "resources.bd: mode 'm' has no such resource", id="unknown resource"),
    ],
)
def test_a_preset_that_can_never_be_valid_is_refused(config, problem):
    error = refusal(check_presets, with_preset(config))
    assert error.message.startswith("Pipeline 'limits' (")
    assert f"): preset 'usual' can never be valid: {problem}" in error.message
    assert "test_presets_checked_when_loaded.py:" in error.message


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({}, id="nothing yet"),
        pytest.param(configured(unit="bytes"), id="a required field is still missing"),
        pytest.param(configured(n={"env": "NOT_SET_HERE"}), id="a variable is not set here"),
    ],
)
def test_a_preset_that_more_configuration_can_complete_is_fine(config):
    check_presets(with_preset(config))


def test_all_problems_are_in_one_message():
    error = refusal(check_presets, with_preset(configured(n="many", m=1)))
    assert error.message.count("steps.limited.config.") == 2


def test_a_preset_without_a_mode_is_checked_once_the_mode_is_known():
    check_presets(with_preset(configured(m=1), modes=("a", "b")))
    assert "can never be valid" in refusal(check_presets, with_preset(configured(m=1), "a", ("a", "b"))).message
