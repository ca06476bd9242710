"""Right and wrong uses of the decorators. A type checker must refuse the lines marked `# error` and no other.
`test_typing` has it checked. Nothing imports it.
"""

from collections.abc import Iterator
from datetime import timedelta

from orchestrator import (
    DynamicOut,
    Mode,
    Out,
    Preset,
    RetryPolicy,
    RunEnding,
    RunRequest,
    ScheduleContext,
    SensorContext,
    StepContext,
    asset_sensor,
    pipeline,
    resource,
    run_status_sensor,
    schedule,
    sensor,
    step,
)


@step(retry=RetryPolicy(max_retries=2, backoff="linear"), isolation="spawn", timeout=3, tags={"a": 1})
def numbers(context: StepContext, n: int = 3) -> list[int]:
    return list(range(n))


@step(outputs={"a": Out(int), "b": Out(int, optional=True)}, resources={"db"}, version="1")
def two(values: list[int]) -> tuple[int, int]:
    return 1, 2


@step(outputs=DynamicOut(int))
def many() -> Iterator[int]:
    yield 1


@resource(resources={"x"})
def db(_: object) -> int:
    return 1


@pipeline(modes=[Mode("m", resources={"db": db, "x": 1}, executor="in_process")], presets=[Preset("p", mode="m")])
def good() -> None:
    two(numbers())


@schedule(cron="0 0 * * *", pipeline=good, timezone="Europe/Berlin", catch_up="all", overlap="skip", jitter="5m")
def nightly(context: ScheduleContext) -> RunRequest:
    return RunRequest(config={}, tags={"a": "b"})


@schedule(cron="0 0 * * *", pipeline="good", catch_up=3, catch_up_window=None)
def limited(context: ScheduleContext) -> None: ...


@sensor(pipeline=good, interval="5s", timeout=3.5)
def files(context: SensorContext) -> Iterator[RunRequest]:
    yield RunRequest("a")


@asset_sensor(asset=["a", "b"], pipeline=good, read="every", start="beginning", require="all")
def stock(context: SensorContext, materialization: object) -> None: ...


@run_status_sensor(status=["FAILURE", "CANCELED"], pipelines=[good, "other"])
def alert(context: SensorContext, run: RunEnding) -> None: ...


result = good.execute_in_process(mode="m", raise_on_error=True)
print(result.success, nightly.name, files.info.interval)

RetryPolicy(backoff="quadratic")  # error
step(isolation="thread")  # error
step(timeout=[3])  # error
step(timeout="3m", retry=RetryPolicy(delay="90s", max_delay=timedelta(hours=1)))
RetryPolicy(delay=[3])  # error
step(retires=3)  # error
step(outputs=int)  # error
pipeline(modes=["m"])  # error
schedule(pipeline=good)  # error
schedule(cron="0 0 * * *", pipeline=good, timezone=3)  # error
schedule(cron="0 0 * * *", pipeline=good, overlap="never")  # error
schedule(cron="0 0 * * *", pipeline=good, catch_up="some")  # error
schedule(cron="0 0 * * *", pipeline=numbers)  # error
schedule(crn="0 0 * * *", pipeline=good)  # error
sensor(interval=[3])  # error
sensor(pipelines=good)  # error
asset_sensor(asset="a", read="all")  # error
asset_sensor(asset="a", start="never")  # error
asset_sensor(pipeline=good)  # error
run_status_sensor(status="FAILED")  # error
run_status_sensor(status=["SUCCESS", "DONE"])  # error
good.execute_in_process(raise_on_error="yes")  # error
