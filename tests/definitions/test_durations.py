"""A duration may be given in every form that people use, wherever user code gives one."""

from datetime import timedelta

import pytest

from orchestrator import RetryPolicy, RetryRequested, asset_sensor, schedule, sensor, step
from orchestrator.clock import seconds_of


def a_step(duration):
    return step(timeout=duration, name="it")(lambda: None).timeout


def a_schedule(option):
    def given(duration):
        made = schedule(cron="0 6 * * *", pipeline="work", name="it", **{option: duration})(lambda context: None)
        return getattr(made.info, option)

    return given


def a_sensor(decorator, option, **options):
    def given(duration):
        function = (lambda context: None) if decorator is sensor else (lambda context, event: None)
        return getattr(decorator(pipeline="work", name="it", **options, **{option: duration})(function).info, option)

    return given


def a_policy(option):
    return lambda duration: getattr(RetryPolicy(**{option: duration}), option)


PLACES = {
    "timeout of a step": a_step,
    "delay": a_policy("delay"),
    "max_delay": a_policy("max_delay"),
    "seconds_to_wait": lambda duration: RetryRequested(seconds_to_wait=duration).seconds_to_wait,
    **{f"{option} of a schedule": a_schedule(option) for option in ("timeout", "jitter", "catch_up_window")},
    **{f"{option} of a sensor": a_sensor(sensor, option) for option in ("interval", "timeout")},
    "interval of an asset sensor": a_sensor(asset_sensor, "interval", asset="a"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("duration", [90, 90.0, "90", "90s", "1m30s", "PT1M30S", timedelta(seconds=90)])
def test_every_form_is_taken_everywhere(place, duration):
    assert PLACES[place](duration) == 90.0


@pytest.mark.parametrize("wrong", ["soon", "", float("nan"), float("inf"), True, None, [90], b"90"])
def test_anything_else_is_none(wrong):
    with pytest.raises(ValueError, match="not a duration"):
        seconds_of(wrong)
