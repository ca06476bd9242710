"""The steps: functions from tables to tables. Only `ingest` reads files and only `report` writes any."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from orchestrator import (
    AssetMaterialization,
    DynamicOut,
    DynamicOutput,
    Expectation,
    Failure,
    Metadata,
    Out,
    Output,
    RetryPolicy,
    StepContext,
    step,
)

Table = pl.DataFrame


class RawFiles:
    """The raw tables as they were published. A test gives the pipeline something else with a `table` method."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def table(self, name: str) -> Table:
        # Types are inferred from all rows: a column may begin with whole numbers and go on with others.
        return pl.read_csv(self._directory / f"{name}.csv.gz", null_values=["", "NA"], infer_schema_length=None)


@dataclass
class Period:
    """Which months of 2013 to look at; there are raw files of February and July."""

    months: tuple[int, ...] = (2, 7)


@dataclass
class Lateness:
    """A flight is late when it leaves this many minutes after its time, or more. 15 is the usual measure."""

    late_after: int = 15


def mart(name: str) -> Out:
    """A table that people look at: unlike the others it has one fixed place, which every run overwrites."""
    return Out(Table, metadata={"asset": f"marts/{name}", "path": f"marts/{name}.parquet", "table": f"marts.{name}"})


# --- preparing ---


@step(
    outputs={name: Out(Table) for name in ("flights", "weather", "airlines", "airports")},
    resources={"source"},
    retry=RetryPolicy(max_retries=2, delay=1.0, backoff="exponential"),  # raw files tend to be on network drives
)
def ingest(context: StepContext, config: Period) -> Iterator[Output]:
    """Reads the raw tables and keeps the months that were asked for."""
    source = context.resources.source
    for name in ("flights", "weather"):
        rows = source.table(name).filter(pl.col("month").is_in(config.months))
        if rows.is_empty():
            # Trying again would not help: the file is there, the months are not in it.
            raise Failure(f"There are no {name} of month {' or '.join(map(str, config.months))}.", allow_retries=False)
        yield Output(rows, name)
    yield Output(source.table("airlines"), "airlines")
    yield Output(source.table("airports"), "airports")


def minute_of_day(column: str) -> pl.Expr:
    """A clock time written as a number (517 is 5:17, and 2400 is midnight) in minutes."""
    return pl.col(column) // 100 * 60 + pl.col(column) % 100


def set_aside(rows: Table, reason: str) -> Table:
    """Rows that cannot be used, all in the same shape wherever they come from."""
    return rows.select(reason=pl.lit(reason), row=pl.struct(pl.all()).struct.json_encode())


@step(outputs={"departures": Out(Table), "coverage": Out(Table), "rejected": Out(Table, optional=True)})
def clean_flights(context: StepContext, flights: Table) -> Iterator[Output]:
    """The flights that left and arrived, with real times. Cancelled ones are counted, incomplete ones set aside."""
    cancelled = pl.col("dep_time").is_null()
    incomplete = ~cancelled & pl.col("arr_delay").is_null()
    flown = flights.filter(~cancelled & ~incomplete)

    # Modulo a day, because a clock does not tell whether it is already tomorrow.
    clock_delay = minute_of_day("dep_time") - minute_of_day("sched_dep_time")
    disagreeing = flown.filter((clock_delay - pl.col("dep_delay")) % (24 * 60) != 0).height
    context.log_expectation(
        Expectation(disagreeing == 0, "clock times agree with delays", metadata={"disagreeing": disagreeing})
    )
    coverage = (
        flights.group_by("month")
        .agg(scheduled=pl.len(), cancelled=cancelled.sum(), incomplete=incomplete.sum())
        .sort("month")
    )
    departures = flown.select(
        "month", "hour", "carrier", "origin", "dest",
        scheduled=pl.datetime("year", "month", "day") + pl.duration(minutes=minute_of_day("sched_dep_time")),
        utc_hour=pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC"),
        delay=pl.col("dep_delay"),
    )  # fmt: skip
    for (month,), rows in departures.group_by("month", maintain_order=True):
        context.log_asset(
            AssetMaterialization(
                "flights/departures",
                description="Flights that left New York and arrived.",
                partition=f"2013-{month:02}",
                metadata={
                    "rows": rows.height,
                    "first": rows["scheduled"].min(),
                    "last": rows["scheduled"].max(),
                    "by airport": Metadata.table(rows.group_by("origin").len("flights").sort("origin").to_dicts()),
                },
            )
        )
    yield Output(departures, "departures")
    yield Output(coverage, "coverage")
    if coverage["incomplete"].sum():
        yield Output(set_aside(flights.filter(incomplete), "left, and no arrival is known"), "rejected")


@step(outputs={"readings": Out(Table), "rejected": Out(Table, optional=True)})
def clean_weather(weather: Table) -> Iterator[Output]:
    """The hourly weather at each airport, without readings that cannot be true."""
    impossible = pl.col("wind_speed") > 250  # miles per hour: more than any hurricane has had
    readings = weather.filter(~impossible.fill_null(False)).select(
        "origin",
        utc_hour=pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC"),
        wet=pl.col("precip") > 0,
    )
    yield Output(readings, "readings")
    rejected = weather.filter(impossible)
    if not rejected.is_empty():
        yield Output(set_aside(rejected, "impossible wind"), "rejected")


@step(outputs=mart("quarantine"))
def quarantine(rejected: list[Table]) -> Table:
    """All rows that were set aside, for somebody to look at. Skipped when there are none."""
    return pl.concat(rejected)


@step
def enrich(
    context: StepContext, departures: Table, readings: Table, airlines: Table, airports: Table, config: Lateness
) -> Table:
    """Every departure with its weather, its airline's name and its destination's name."""
    places = airports.select(dest="faa", destination="name")
    enriched = (
        departures.join(readings, on=["origin", "utc_hour"], how="left", validate="m:1")
        .join(airlines.rename({"name": "airline"}), on="carrier", how="left", validate="m:1")
        .join(places, on="dest", how="left", validate="m:1")
        .with_columns(late=pl.col("delay") >= config.late_after)
    )
    share = 1 - enriched["wet"].null_count() / enriched.height
    context.log_expectation(Expectation(share > 0.99, "99% of departures have weather", metadata={"share": share}))
    unknown = ", ".join(sorted(enriched.filter(pl.col("destination").is_null())["dest"].unique()))
    # One that does not hold is shown in the report of the run, and stops nothing: these flights keep their code.
    context.log_expectation(Expectation(not unknown, "every destination has a name", unknown and f"not {unknown}"))
    return enriched


# --- aggregating ---


def lateness(flights: Table, *by: str) -> Table:
    """How many flights of each group there were, and how late they left."""
    measures = {"flights": pl.len(), "mean_delay": pl.col("delay").mean(), "late_share": pl.col("late").mean()}
    return flights.group_by(by).agg(**measures).sort(by)


@step(outputs=mart("by_hour"))
def by_hour(flights: Table) -> Table:
    """Delays in each month, by the hour at which flights should have left."""
    return lateness(flights, "month", "hour")


@step(outputs=mart("by_carrier"))
def by_carrier(flights: Table) -> Table:
    """Delays of each airline, the one with the longest first."""
    return lateness(flights, "carrier", "airline").sort("mean_delay", descending=True)


@step(outputs=mart("by_carrier_and_hour"))
def by_carrier_and_hour(flights: Table) -> Table:
    """Delays of each airline, by the hour at which flights should have left."""
    return lateness(flights, "carrier", "hour")


@step(outputs=mart("by_destination"))
def by_destination(flights: Table) -> Table:
    """Delays of flights to each airport, the one with the longest first."""
    return lateness(flights, "dest", "destination").sort("mean_delay", descending=True)


@step(outputs=DynamicOut(Table))
def split_by_airport(flights: Table) -> Iterator[DynamicOutput]:
    """One table an airport. Which airports there are is known only now: the step after this runs once for each."""
    for (origin,), departures in flights.sort("origin").group_by("origin", maintain_order=True):
        yield DynamicOutput(departures, key=origin)


@step(outputs=mart("rain"))
def rain(flights: Table) -> Table:
    """Of one airport: delays in dry and in wet hours, in blocks of three hours, because wet hours are few."""
    blocks = flights.drop_nulls("wet").with_columns(block=pl.col("hour") // 3 * 3)
    return lateness(blocks, "origin", "wet", "block")


# --- reporting ---


@step(resources={"reports"})
def report(
    context: StepContext,
    coverage: Table,
    by_hour: Table,
    by_carrier: Table,
    by_carrier_and_hour: Table,
    by_destination: Table,
    rain: list[Table],
) -> None:
    """A picture and a text about all of it, for people."""
    from flights.report import answer, draw, summary  # here: matplotlib takes half a second, and no other step needs it

    tables = {
        "coverage": coverage,
        "by_hour": by_hour,
        "by_carrier": by_carrier,
        "by_carrier_and_hour": by_carrier_and_hour,
        "by_destination": by_destination,
        "rain": pl.concat(rain),
    }
    picture, text = context.resources.reports / "delays.png", context.resources.reports / "report.md"
    picture.write_bytes(draw(tables))
    words = summary(tables, picture.name)
    text.write_text(words, encoding="utf-8")
    context.log_asset(
        AssetMaterialization(
            "flights/report",
            description=answer(tables),
            metadata={
                "picture": Metadata.path(picture),
                "text": Metadata.path(text),
                "latest airlines": Metadata.table(by_carrier.head(5).to_dicts()),
            },
        )
    )
    print(words)
