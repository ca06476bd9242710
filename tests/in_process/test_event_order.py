"""The events of a step, in the order in which they are recorded."""

import logging

import pytest

from orchestrator import (
    AssetMaterialization,
    IOManager,
    Mode,
    Out,
    failure_hook,
    pipeline,
    resource,
    step,
    success_hook,
)
from tests.definitions.short import double, one, run, sort_out


class Recorded(IOManager):
    def handle_output(self, context, obj):
        return [AssetMaterialization("first"), AssetMaterialization("second")]

    def load_input(self, context):
        return 1


@resource
def database():
    yield "db"


@success_hook
def celebrate(context): ...


@failure_hook
def alarm(context): ...


def test_an_attempt_that_succeeds():
    @step(resources={"db"}, hooks={celebrate, alarm})
    def it(context, n: int) -> int:
        context.log.info("working")
        context.log_asset(AssetMaterialization("own"))
        return n

    @pipeline(modes=[Mode("m", resources={"db": database, "io_manager": Recorded()})])
    def wired():
        it(one())

    assert wired.execute_in_process().events_of("it") == [
        "attempt_launched",
        "attempt_started",
        "resource_initialized",
        "input_loaded",
        "log_emitted",
        "asset_materialized",
        "output_produced",
        "asset_materialized",
        "asset_materialized",
        "output_stored",
        "hook_skipped",
        "hook_completed",
        "resource_torn_down",
        "attempt_succeeded",
    ]


def test_an_attempt_that_fails():
    @step(resources={"db"}, hooks={celebrate, alarm})
    def it(context):
        raise ValueError("no")

    @pipeline(modes=[Mode("m", resources={"db": database})])
    def wired():
        it()

    assert wired.execute_in_process().events_of("it") == [
        "attempt_launched",
        "attempt_started",
        "resource_initialized",
        "hook_completed",
        "hook_skipped",
        "resource_torn_down",
        "attempt_failed",
        "step_failed",
    ]


def test_steps_that_do_not_run_have_one_event():
    @step
    def fails() -> int:
        raise ValueError("no")

    @pipeline
    def wired():
        double(fails())
        double(sort_out().even)

    result = wired.execute_in_process()
    assert result.events_of("double") == ["step_abandoned"]
    assert result.events_of("double_2") == ["step_skipped"]


def test_a_skipped_step_says_which_value_it_lacks():
    @pipeline
    def wired():
        double(sort_out().even)

    (event,) = [event for event in wired.execute_in_process().events if type(event).__name__ == "StepSkipped"]
    assert event.reason == "input 'n' has no value: sort_out.even was not produced"


def test_an_abandoned_step_says_what_failed():
    @step
    def fails() -> int:
        raise ValueError("no")

    @pipeline
    def wired():
        double(fails())

    (event,) = [event for event in wired.execute_in_process().events if type(event).__name__ == "StepAbandoned"]
    assert event.upstream == "fails"


@pytest.mark.parametrize(
    ("log", "level", "message"),
    [
        pytest.param(lambda log: log.info("keeping %d", 3), "INFO", "keeping 3", id="formatted"),
        pytest.param(lambda log: log.debug("fine"), "DEBUG", "fine", id="debug is kept"),
        pytest.param(lambda log: log.warning("100%"), "WARNING", "100%", id="a lone percent sign"),
        pytest.param(lambda log: log.info("%d", "x"), "INFO", "%d ('x',)", id="wrong arguments"),
        pytest.param(lambda log: log.error("\ud800"), "ERROR", "\\ud800", id="not encodable"),
    ],
)
def test_log_lines_become_events(log, level, message, monkeypatch):
    # Reports of pytest-xdist cannot carry what is not encodable.
    monkeypatch.setattr(logging.getLogger("orchestrator"), "propagate", False)

    @step
    def it(context) -> None:
        log(context.log)

    (event,) = [event for event in run(it).events if type(event).__name__ == "LogEmitted"]
    assert (event.level, event.message) == (level, message)


def test_an_exception_in_the_log_comes_with_its_traceback():
    @step
    def it(context) -> None:
        try:
            raise ValueError("no")
        except ValueError:
            context.log.exception("it went wrong")

    (event,) = [event for event in run(it).events if type(event).__name__ == "LogEmitted"]
    assert event.message.startswith("it went wrong\nTraceback")
    assert event.message.endswith("ValueError: no")


def test_the_managers_that_stored_and_loaded_are_named():
    @step(outputs=Out(io_manager="lake"))
    def stored() -> int:
        return 1

    @pipeline(modes=[Mode("m", resources={"lake": Recorded()})])
    def wired():
        double(stored())

    events = wired.execute_in_process().events
    (loaded,) = [event for event in events if type(event).__name__ == "InputLoaded"]
    managers = [event.manager for event in events if type(event).__name__ == "OutputStored"]
    assert loaded.manager == "lake"
    assert managers == ["lake", "io_manager"]
