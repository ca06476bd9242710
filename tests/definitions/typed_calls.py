"""Right and wrong calls of steps and pipelines in a pipeline's body. Type checkers must refuse the lines marked
`# error` and no other. `test_typing` has both of them check it. Nothing imports it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
import polars as pl

from orchestrator import (
    AssetMaterialization,
    DynamicOut,
    DynamicOutput,
    Out,
    Output,
    StepContext,
    failure_hook,
    pipeline,
    step,
)


@dataclass
class Settings:
    table: str = "t"


@step
def one() -> int:
    return 1


@step
def text() -> str:
    return "a"


@step
def double(value: int) -> int:
    return 2 * value


@step(timeout="5m")
def power(base: int, exponent: int = 2, *, label: str = "") -> int:
    return base * exponent


@step
def with_context(context: StepContext, value: int) -> int:
    return value


@step(resources=["db"])
def with_unused_context(_: object, value: int) -> int:
    return value


@step
def with_hidden_context(_context: StepContext, value: int) -> int:
    return value


@step
def with_config(config: Settings, value: int) -> int:
    return value


@step(retry=None)
def with_both(context: StepContext, config: Settings, value: int) -> int:
    return value


@step
def config_last(value: int, config: Settings) -> int:
    return value


@step
def config_by_name(value: int, *, config: Settings) -> int:
    return value


@step
def only_context(context: StepContext) -> None: ...


@step
def nothing(value: int) -> None: ...


@step
def anything(value: object) -> int:
    return 1


@step
def loose(value: Any) -> Any:
    return value


@step
def untyped(first, second):  # type: ignore[no-untyped-def]
    return first


@step
async def waits(value: int) -> int:
    return value


@step
def gather(values: list[int]) -> int:
    return sum(values)


@step
def pandas_frame() -> pd.DataFrame:
    return pd.DataFrame()


@step
def polars_rows(frame: pl.DataFrame) -> int:
    return len(frame)


@step
def lazy(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame


@step
def written(value: int) -> AssetMaterialization:
    return AssetMaterialization("a")


@step(outputs={"good": Out(int), "bad": Out(int, optional=True)})
def split(value: int) -> Iterator[Output]:
    yield Output(value, "good")


@step(outputs={"good": Out(int), "bad": Out(str)})
def pair(context: StepContext, value: int) -> tuple[int, str]:
    return value, ""


@step(outputs=DynamicOut(int))
def parts(config: Settings) -> list[DynamicOutput]:
    return [DynamicOutput(1, key="a")]


@step
def stream() -> Iterator[int]:
    yield 1


@failure_hook
def tell(context: object) -> None: ...


@pipeline
def inner(start: int, factor: int = 2) -> Any:
    return double(start)


@pipeline(tags={"team": "a"})
def right(start: int) -> None:
    number = one()
    double(number)
    double(value=number)
    power(number)
    power(number, exponent=number, label=text())
    with_context(number)
    with_context(value=number)
    with_unused_context(number)
    with_hidden_context(value=number)
    with_config(number)
    with_both(value=number)
    config_last(number)
    config_by_name(number)
    only_context()
    done = nothing(number)
    double(number, after=[done, only_context()])
    double.alias("again")(number, after=done)
    double.with_tags({"a": "b"}).with_hooks([tell]).alias("third")(number)
    with_context.alias("fourth")(number)
    anything(text())
    loose(text())
    double(loose(1))
    untyped(number, text())
    double(waits(number))
    double(stream())
    gather([number, double(number)])
    polars_rows(pandas_frame())
    polars_rows(lazy(pandas_frame()))
    double(number, after=written(number))
    good, _bad = split(number)
    double(good)
    double(split.alias("split_again")(number).bad)
    double(pair(number).good)
    gather(parts().map(double).collect())
    double(inner(number))
    inner.alias("other")(start, factor=number)
    double(start)


def outside(context: StepContext) -> None:
    """Called outside of a pipeline, steps are the plain functions."""
    assert double(3) + 1 == 7
    with_context(context, 3)
    with_context(context=context, value=3)
    with_both(context, Settings(), 3)
    with_both(context=context, config=Settings(), value=3)
    with_config(Settings(), 3)
    config_last(3, Settings())
    only_context(context)


@pipeline
def wrong(start: int) -> None:
    number = one()
    double()  # error
    double(text())  # error
    double("3")  # error
    double(number, number)  # error
    double(values=number)  # error
    power(number, exponent=text())  # error
    power(number, number, text())  # error
    power(label="a")  # error
    with_context()  # error
    with_context(text())  # error
    with_context(number, number)  # error
    with_unused_context(val=number)  # error
    with_hidden_context()  # error
    with_both(text())  # error
    with_both(values=number)  # error
    only_context(number)  # error
    nothing()  # error
    anything()  # error
    waits(text())  # error
    gather(number)  # error
    gather([text()])  # error
    polars_rows(number)  # error
    double.alias("again")()  # error
    double.with_tags({"a": "b"})(text())  # error
    with_context.alias("fourth")(number, number)  # error
    split()  # error
    pair(text())  # error
    pair(value=number, more=1)  # error
    inner()  # error
    inner(text())  # error
    inner(start, start, start)  # error
    inner.alias("other")(begin=start)  # error
