"""The team that publishes: a table of departures, month by month.

It knows nothing of who reads it. Break this file, and only this location is broken: the readers go on.
"""

from dataclasses import dataclass

import polars as pl

from orchestrator import Mode, Out, pipeline, step
from teams.csv_files import FLIGHTS, csv_files


@dataclass
class Month:
    """Which month is published: 2 or 7."""

    month: int = 2


@step(outputs=Out(pl.DataFrame, metadata={"asset": "teams/departures"}))
def departures(config: Month) -> pl.DataFrame:
    flights = pl.read_csv(FLIGHTS, null_values=["NA", ""], infer_schema_length=None)
    return flights.filter(pl.col("month") == config.month, pl.col("dep_delay").is_not_null()).select(
        "month", "day", "carrier", "origin", "dest", "dep_delay"
    )


@pipeline(modes=[Mode("default", {"io_manager": csv_files})])
def teams():
    """Publish the departures of a month."""
    departures()
