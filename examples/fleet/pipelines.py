"""A step for each of 2,000 aircraft, found while the pipeline runs, in a process of its own, and gathered again.

The question: an aircraft that left late, does it leave late next time, too? The pipeline itself does not know how many
aircraft there are: `aircraft` says so, and `map` and `collect` do the rest.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean

import polars as pl

from orchestrator import (
    AssetMaterialization,
    DynamicOut,
    DynamicOutput,
    Metadata,
    StepContext,
    pipeline,
    step,
)

FLIGHTS = Path(__file__).parent.parent / "flights" / "data" / "flights.csv.gz"
LATE = 30


@dataclass
class Most:
    """How many aircraft are looked at: those that left New York most often."""

    aircraft: int = 2000


@step(outputs=DynamicOut(list))
def aircraft(config: Most) -> Iterator[DynamicOutput]:
    """The delays of each aircraft, in the order of its departures."""
    flights = pl.read_csv(FLIGHTS, null_values=["NA", ""], infer_schema_length=None)
    departed = flights.filter(pl.col("tailnum").is_not_null(), pl.col("dep_delay").is_not_null())
    by_aircraft = (
        departed.sort("month", "day", "sched_dep_time")
        .group_by("tailnum", maintain_order=True)
        .agg(pl.col("dep_delay").alias("delays"))
        .sort(pl.col("delays").list.len(), pl.col("tailnum"), descending=[True, False])
    )
    for tailnum, delays in by_aircraft.head(config.aircraft).iter_rows():
        yield DynamicOutput(delays, key=tailnum)


@step
def habits(context: StepContext, delays: list) -> dict:
    """What one aircraft does after it was late, and after it was not."""
    after_late = [following for before, following in pairwise(delays) if before > LATE]
    otherwise = [following for before, following in pairwise(delays) if before <= LATE]
    return {"tailnum": context.mapping_key, "flights": len(delays), "after_late": after_late, "otherwise": otherwise}


@step
def conclude(context: StepContext, fleet: list) -> str:
    after_late = [delay for one in fleet for delay in one["after_late"]]
    otherwise = [delay for one in fleet for delay in one["otherwise"]]
    busiest = sorted(fleet, key=lambda one: (-one["flights"], one["tailnum"]))[:5]
    context.log_asset(
        AssetMaterialization(
            "fleet/habits",
            metadata={
                "aircraft": len(fleet),
                "flights": sum(one["flights"] for one in fleet),
                "busiest": Metadata.table([{"tailnum": one["tailnum"], "flights": one["flights"]} for one in busiest]),
            },
        )
    )
    words = (
        f"{len(fleet)} aircraft. After a departure more than {LATE} minutes late, the next one is"
        f" {mean(after_late):.0f} minutes late; otherwise {mean(otherwise):.0f}."
    )
    print(words)
    return words


@pipeline
def fleet():
    """Does an aircraft that left late leave late again? One step for each of 2,000."""
    conclude(aircraft().map(habits).collect())
