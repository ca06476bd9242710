"""The pipelines of the kept state directory: every kind of thing that a state directory remembers."""

from orchestrator import (
    AssetMaterialization,
    DynamicOut,
    DynamicOutput,
    RetryPolicy,
    RunRequest,
    asset_sensor,
    pipeline,
    run_status_sensor,
    schedule,
    sensor,
    step,
)


@step
def numbers() -> list[int]:
    return [1, 2, 3]


@step(outputs=DynamicOut(int))
def parts(values: list[int]):
    for value in values:
        yield DynamicOutput(value, key=f"n{value}")


@step
def double(context, value: int) -> int:
    context.log.info(f"doubling {value}")
    print(f"printed {value}")
    return 2 * value


@step
def total(values: list[int]) -> int:
    return sum(values)


@step
def store(context, value: int) -> None:
    context.log.warning("storing")
    raise_if_asked(value)


def raise_if_asked(value):
    from pathlib import Path

    if Path("fail").exists():
        raise ValueError(f"no room for {value}")


@step(retry=RetryPolicy(max_retries=1))
def publish(value: int):
    yield AssetMaterialization("sales/total", metadata={"rows": value})
    from orchestrator import Output

    yield Output(value)


@pipeline
def sales():
    result = total(parts(numbers()).map(double).collect())
    store(result)
    publish(result)


@step
def waits() -> None:
    import time
    from pathlib import Path

    while Path("wait").exists():
        time.sleep(0.05)


@pipeline
def slow():
    first = numbers()
    waits(after=first)


@schedule(cron="0 6 * * *", timezone="Europe/Berlin", pipeline=sales, default_on=True)
def nightly(context):
    return RunRequest()


@sensor(pipeline=sales, interval="30s", default_on=True)
def files(context):
    context.cursor = "2"
    yield RunRequest(run_key="file-1", tags={"file": "1"})


@asset_sensor(asset="sales/total", pipeline=slow, default_on=False)
def on_total(context, materialization):
    return RunRequest()


@run_status_sensor(status="FAILURE", default_on=True)
def alert(context, run):
    return None
