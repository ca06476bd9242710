"""The team that reads: whenever departures were published, it ranks the airlines.

All it knows of the other team is the name of an asset. The asset sensor hands it each publication, in order, also those
made while it was turned off or broken.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from orchestrator import Mode, Out, RunRequest, StepContext, asset_sensor, pipeline, step
from teams.csv_files import csv_files


@dataclass
class Published:
    """Where the table is, as its publication says."""

    path: str


@step
def read(config: Published) -> pl.DataFrame:
    return pl.read_csv(config.path)


@step(outputs=Out(pl.DataFrame, metadata={"asset": "teams/ranking"}))
def rank(context: StepContext, departures: pl.DataFrame) -> pl.DataFrame:
    ranking = (
        departures.group_by("month", "carrier")
        .agg(pl.len().alias("flights"), (pl.col("dep_delay") <= 15).mean().round(3).alias("on_time"))
        .sort("on_time", "carrier", descending=[True, False])
    )
    context.log.info("the most punctual of month %d: %s", ranking["month"][0], ranking["carrier"][0])
    return ranking


@pipeline(modes=[Mode("default", {"io_manager": csv_files})])
def ranking():
    """Rank the airlines by how often they leave within a quarter of an hour."""
    rank(read())


@asset_sensor(asset="teams/departures", pipeline=ranking, read="every", interval=2)
def on_departures(context, materialization) -> Iterator[RunRequest]:
    path = materialization.metadata["path"]
    yield RunRequest(run_key=materialization.id, config={"steps": {"read": {"config": {"path": path}}}})
