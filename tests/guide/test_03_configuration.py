"""What may differ from run to run is configuration, and is checked before anything runs."""

from dataclasses import dataclass

import pytest

from orchestrator import ConfigError, Preset, pipeline, step


@dataclass
class Greeting:
    name: str
    times: int = 1


@step
def greet(config: Greeting) -> str:
    return " ".join([f"Hello {config.name}!"] * config.times)


@pipeline(presets=[Preset("everybody", config={"steps": {"greet": {"config": {"name": "everybody", "times": 2}}}})])
def hello():
    greet()


def test_a_parameter_called_config_is_configured():
    """Annotate it with a dataclass, a TypedDict or a pydantic model: that is the schema, with its defaults. On the
    command line the same is `--set steps.greet.config.name=Ada`, or a YAML file given with `--config`."""
    result = hello.execute_in_process(config={"steps": {"greet": {"config": {"name": "Ada"}}}})
    assert result.output("greet") == "Hello Ada!"


def test_everything_wrong_with_a_configuration_is_said_at_once():
    """Unknown fields, wrong types and missing values are all found before the first step starts, each with its path."""
    with pytest.raises(ConfigError) as caught:
        hello.execute_in_process(config={"steps": {"greet": {"config": {"nmae": "Ada", "times": "often"}}}})
    assert list(caught.value.details) == [
        "steps.greet.config.nmae: unknown. Did you mean name?",
        "steps.greet.config.name: required, and missing",
        "steps.greet.config.times: Input should be a valid integer, unable to parse string as an integer, got 'often'",
    ]


def test_secrets_come_from_the_environment(monkeypatch):
    """Any value may be `{env: NAME}`. The variable is read by the process that needs it: its value is not in the run's
    record, and in no message."""
    monkeypatch.setenv("GREETED", "Grace")
    result = hello.execute_in_process(config={"steps": {"greet": {"config": {"name": {"env": "GREETED"}}}}})
    assert result.output("greet") == "Hello Grace!"


def test_a_preset_is_configuration_with_a_name():
    """A preset bundles configuration with a mode, tags and a selection of steps. What is configured on top of it
    replaces its values one by one."""
    assert hello.execute_in_process(preset="everybody").output("greet") == "Hello everybody! Hello everybody!"
    fewer = {"steps": {"greet": {"config": {"times": 1}}}}
    assert hello.execute_in_process(preset="everybody", config=fewer).output("greet") == "Hello everybody!"


def test_a_pipeline_may_have_parameters_of_its_own():
    """A parameter of the pipeline's function is an input from outside: from the `inputs` of the configuration, or,
    when the pipeline is part of another, from there."""

    @step
    def double(n: int) -> int:
        return n * 2

    @pipeline
    def doubled(n=4):
        double(n)

    assert doubled.execute_in_process().output("double") == 8
    assert doubled.execute_in_process(config={"inputs": {"n": 5}}).output("double") == 10


def test_what_a_location_takes_from_the_environment_is_secret_too(bench):
    """`env: {URL: {env: NAME}}` on a location hands a variable to its steps and sensors. In errors, log lines and
    metadata its value is `***`, like that of any other `{env: NAME}`; what a step prints is its own business."""
    bench.settings("locations: [{name: main, file: pipelines.py, env: {URL: {env: WAREHOUSE_URL}, STAGE: test}}]")
    bench.write("""
        import os
        from orchestrator import AssetMaterialization, StepContext, pipeline, sensor, step

        @step
        def load(context: StepContext) -> None:
            context.log.warning("connecting to %s on %s", os.environ["URL"], os.environ["STAGE"])
            context.log_asset(AssetMaterialization("orders", metadata={"from": os.environ["URL"]}))
            raise ConnectionError(f"cannot reach {os.environ['URL']}")

        @pipeline
        def loading():
            load()

        @sensor(pipeline=loading, default_on=True)
        def looks(context):
            print("looking at", os.environ["URL"])
            raise ConnectionError(f"cannot reach {os.environ['URL']}")
    """)
    secret = {"WAREHOUSE_URL": "pg://ada:enchantress@db"}
    done = bench("run", "loading", **secret)
    assert done.code == 1
    assert "ConnectionError: cannot reach ***" in done.out
    assert "connecting to *** on test" in done.err
    bench("daemon", "tick", **secret)
    tick = bench("sensor", "ticks", "looks", **secret)
    assert "ConnectionError: cannot reach ***" in tick.out, tick
    assert "looking at ***" in tick.out
    written = [path for path in bench.state.rglob("*") if path.is_file() and b"enchantress" in path.read_bytes()]
    assert written == []
    bench.write("import os\nraise ConnectionError(os.environ['URL'])")
    assert bench("config", "check", **secret).err.count("***") >= 1
    lacking = bench("run", "loading")
    assert "locations.main.env.URL: the environment variable WAREHOUSE_URL is not set" in lacking.err
    assert "orchestrator daemon install --save-environment" in lacking.err
