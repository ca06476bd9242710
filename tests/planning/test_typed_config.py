"""A configuration as it was typed: what is stored with the run, and what steps and inputs get of it."""

import json
import math
import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from orchestrator import ConfigError, Mode, Preset, RunRequest, pipeline, resource, step
from orchestrator.cli.run_config import read_config
from orchestrator.definitions.config import ConfigSchema
from orchestrator.definitions.requests import requests_of
from orchestrator.errors import UsageError
from orchestrator.planning.compile import plan_run
from orchestrator.planning.plan import PlanRequest
from orchestrator.typed import plain, typed_texts
from orchestrator.worker.loading import check_presets


@dataclass
class Shop:
    zip: str
    version: str = "1.0"
    r: Decimal = Decimal(1)
    n: int = 1


@dataclass
class Login:
    password: SecretStr
    codes: dict[str, SecretStr] | None = None


@step
def sells(config: Shop, day: date, code: str = "") -> str:
    return f"{config} {day!r} {code!r}"


@step
def loose(config, value=None): ...


@resource
def shop(config: Shop): ...


@resource
def login(config: Login): ...


@pipeline
def inner(day: date):
    sells(day)


MODE = Mode("m", resources={"shop": shop, "login": login})


@pipeline(modes=[MODE], presets=[Preset("old", config={"steps": {"sells": {"config": {"zip": "1", "n": 7}}}})])
def outer(day, anything, code: str = ""):
    sells(day, code)
    inner(day)
    loose(anything)


def planned(sets, environment=None, **options):
    """The configuration that is stored with a run of `outer` for which these values were typed."""
    config = read_config([], sets)
    request = PlanRequest(
        pipeline="outer",
        config=plain(config),
        typed=tuple(typed_texts(config)),
        selection=("sells", "inner.sells"),
        **options,
    )
    request = msgspec.json.decode(msgspec.json.encode(request), type=PlanRequest)  # as it comes to the location
    return plan_run(outer, request, environment or {}).config


NEEDED = ["steps.sells.config.zip=1", "steps.inner.sells.config.zip=1", "inputs.day=2020-12-30"]


@pytest.mark.parametrize(
    ("typed", "path", "stored"),
    [
        ("steps.sells.config.zip=01234", "steps.sells.config.zip", "01234"),
        ("steps.sells.config={zip: 01, n: 02, r: 1.10}", "steps.sells.config", {"zip": "01", "n": 2, "r": "1.10"}),
        ("steps={sells: {config: {zip: 01}}}", "steps.sells.config.zip", "01"),
        ("steps.inner.sells.config.zip=1.10", "steps.inner.sells.config.zip", "1.10"),
        ("steps.inner={steps: {sells: {config: {zip: no}}}}", "steps.inner.steps.sells.config.zip", "no"),
        ("steps.inner={steps: {sells: {config: {zip: 01}}}}", "steps.inner.steps.sells.config.zip", "01"),
        ("inputs.day=2020-12-30", "inputs.day", "2020-12-30"),
        ("inputs.code=007", "inputs.code", "007"),
        ("inputs.anything=007", "inputs.anything", 7),
        ("steps.loose.config=1.10", "steps.loose.config", 1.1),
        ("steps.loose.config=.inf", "steps.loose.config", ".inf"),
        ("steps.loose.inputs.value=0x10", "steps.loose.inputs.value", 16),
        ("steps.sells.config.zip={env: ZIP}", "steps.sells.config.zip", {"env": "ZIP"}),
        ("execution.retries=false", "execution.retries", False),
        ("resources.shop.config.zip=0x10", "resources.shop.config.zip", "0x10"),
    ],
)
def test_what_is_stored_is_settled_by_the_type_of_the_field(typed, path, stored):
    needed = [one for one in NEEDED if not (typed.startswith("steps.inner={") and one.startswith("steps.inner"))]
    config = planned([*needed, typed], {"ZIP": "x"})
    assert json.loads(msgspec.json.encode(config)) == config
    for part in path.split("."):
        config = config[part]
    assert (config, type(config)) == (stored, type(stored))


def test_values_typed_one_after_another_come_together():
    config = planned([*NEEDED, "steps.loose.config={a: 1}", "steps.loose.config.b=02", "steps.loose.config={c: no}"])
    assert config["steps"]["loose"]["config"] == {"a": 1, "b": 2, "c": "no"}


def test_a_preset_in_python_is_not_read_as_text_and_typed_values_go_over_it():
    config = planned([*NEEDED[1:], "steps.sells.config.zip=02"], preset="old")
    assert config["steps"]["sells"]["config"] == {"zip": "02", "n": 7}


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ("steps.sells.config.n=1.10", "steps.sells.config.n: Input should be a valid integer, got 1.10"),
        ("steps.sells.config.n=true", "steps.sells.config.n: Input should be a valid integer, got true"),
        ("steps.inner.sells.config.r=~", "steps.inner.sells.config.r: Input should be a valid decimal, got ~"),
        ("inputs.day=12:30", "inputs.day: Input should be a valid date or datetime, got '12:30'"),
        ("steps.sells=01", "steps.sells: must be a mapping with config and inputs, got 1"),
    ],
)
def test_a_problem_shows_what_was_typed(typed, problem):
    with pytest.raises(ConfigError) as refused:
        planned([*NEEDED, typed])
    pydantics_reason = ", (unable to parse|invalid character|input is too short)[^,]*"
    assert problem in [re.sub(pydantics_reason, "", one) for one in refused.value.details]


def test_a_secret_that_would_be_stored_is_refused_and_one_of_the_environment_is_not():
    @step(resources={"login"})
    def enters(context, config: Login, token: SecretStr = SecretStr("")): ...  # noqa: B008

    @pipeline(modes=[MODE])
    def entering(key: SecretStr):
        enters()
        loose(key)

    def plan(value, **request):
        config = {
            "inputs": {"key": value},
            "steps": {
                "enters": {"config": {"password": value, "codes": {"a": value}}, "inputs": {"token": value}},
                "loose": {"config": 1},
            },
            "resources": {"login": {"config": {"password": value}}},
        }
        return plan_run(entering, PlanRequest(pipeline="entering", config=config, **request), {"P": "hunter2"})

    with pytest.raises(ConfigError) as refused:
        plan("hunter2")
    assert [problem.partition(": ")[0] for problem in refused.value.details] == [
        "steps.enters.config.password",
        "steps.enters.config.codes.a",
        "steps.enters.inputs.token",
        "resources.login.config.password",
        "inputs.key",
    ]
    assert all("{env: NAME}" in problem for problem in refused.value.details)
    assert "hunter2" not in str(refused.value)
    assert "hunter2" not in repr(plan({"env": "P"}))
    plan("hunter2", stored=False)


def test_the_page_about_configuration_is_true_about_what_yaml_reads():
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    for text, value in [("010", 10), ("0x1F", 31), ("0o14", 12), ("1e3", 1000.0), ("~", None), ("TRUE", True)]:
        assert f"`{text}`" in page
        assert plain(read_config([], [f"a={text}"])) == {"a": value}
    for text in ("yes", "no", "on", "off", "12:30", "2020-12-30", "1_000", "a # b: c"):
        assert text in page
        assert plain(read_config([], [f"a={text}"])) == {"a": text}


@settings(max_examples=300, deadline=None)
@given(
    path=st.sampled_from(["a", "a.b", "steps.sells.config.zip", "steps.loose.config", ""]),
    text=st.text(max_size=8) | st.text("-[]{}:,&*a!<'|>%#?~0.\n \"", max_size=12),
)
@example("a", "{null: 1}")
@example("a", "!!int x")
@example("a", "&a [*a]")
@example("a", "2023-02-30")
@example("a", "\udcff")
@example("a", "0x_")
@example("a", "9" * 5000)
def test_whatever_is_typed_is_read_or_refused(path, text):
    try:
        config = read_config([], [f"{path}={text}"])
    except (UsageError, ConfigError):
        return
    request = PlanRequest(pipeline="outer", config=plain(config), typed=tuple(typed_texts(config)))
    request = msgspec.json.decode(msgspec.json.encode(request), type=PlanRequest)
    with pytest.raises(ConfigError):  # something is always missing
        plan_run(outer, request, {})


def test_a_preset_may_have_a_secret_for_tests_and_is_refused_where_it_would_be_stored():
    @step
    def enters(config: Login): ...

    secret = {"steps": {"enters": {"config": {"password": "hunter2"}}}}

    @pipeline(presets=[Preset("local", config=secret)])
    def entering():
        enters()

    check_presets(entering)
    assert entering.execute_in_process(preset="local").success
    with pytest.raises(ConfigError, match="is a secret"):
        plan_run(entering, PlanRequest(pipeline="entering", preset="local"), {})


def test_an_infinite_number_given_in_python_is_not_stored_as_nothing():
    @step
    def bounded(config: dict[str, float]): ...

    requested, _ = requests_of(RunRequest(config={"a": [math.inf]}), who="x", none_means_run=False)
    assert requested[0].config == {"a": ["inf"]}
    config = {"steps": {"bounded": {"config": {"high": math.inf, "low": -math.inf, "n": 1.5}}}}

    @pipeline(presets=[Preset("wide", config=config)])
    def bounding():
        bounded()

    request = PlanRequest(pipeline="bounding", preset="wide")
    stored = json.loads(msgspec.json.encode(plan_run(bounding, request, {}).config))["steps"]["bounded"]["config"]
    assert ConfigSchema(dict[str, float]).check(stored, {}) == ({"high": math.inf, "low": -math.inf, "n": 1.5}, ())
