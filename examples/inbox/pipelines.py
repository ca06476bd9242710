"""Files arrive in a directory, one a day, some of them bad. Each is taken in exactly once; somebody hears of failures.

Three things start runs here: a sensor that looks into the directory, a schedule, and an alert that is told of every
run that failed. All are off until they are turned on.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from orchestrator import (
    AssetMaterialization,
    Expectation,
    Failure,
    Metadata,
    RetryPolicy,
    RunRequest,
    SkipReason,
    StepContext,
    pipeline,
    run_status_sensor,
    schedule,
    sensor,
    step,
)

FLIGHTS = Path(__file__).parent.parent / "flights" / "data" / "flights.csv.gz"
# Set INBOX_OUT to the full path of another directory to have everything there.
OUT = Path(os.environ.get("INBOX_OUT", Path(__file__).parent / "out"))
INBOX, BOOK, ALERTS = OUT / "inbox", OUT / "book.csv", OUT / "alerts.txt"
COLUMNS = ["day", "flights", "cancelled", "minutes_late"]


# --- delivering: in real life somebody else does that ---


@dataclass
class Day:
    """Which day is delivered; February and July of 2013 can be. With `damaged` it lacks a column."""

    day: str = "2013-02-08"
    damaged: bool = False


@step
def deliver(context: StepContext, config: Day) -> None:
    day = date.fromisoformat(config.day)
    flights = pl.read_csv(FLIGHTS, null_values=["NA", ""], infer_schema_length=None)
    flights = flights.filter(pl.col("month") == day.month, pl.col("day") == day.day)
    if flights.is_empty():
        raise Failure(f"There are no flights of {day}: only of February and July of 2013.")
    kept = ["carrier", "flight", "origin", "dest", *([] if config.damaged else ["dep_delay"])]
    INBOX.mkdir(parents=True, exist_ok=True)
    # A file appears whole: whoever looks meanwhile must not see half of one.
    unfinished = INBOX / f".{day}.csv"
    flights.select(kept).write_csv(unfinished)
    unfinished.replace(INBOX / f"{day}.csv")
    context.log.info("delivered %d flights of %s", flights.height, day)


@pipeline
def delivery():
    """Put the flights of a day into the inbox, as a supplier would."""
    deliver()


# --- taking in ---


@dataclass
class File:
    """Which file is taken in."""

    path: str


@step(retry=RetryPolicy(max_retries=2, delay=0.2))
def read(config: File) -> pl.DataFrame:
    flights = pl.read_csv(config.path)
    missing = {"carrier", "origin", "dest", "dep_delay"} - set(flights.columns)
    if missing:
        # No retry makes a column appear.
        raise Failure(f"{Path(config.path).name} has no column {', '.join(sorted(missing))}.", allow_retries=False)
    return flights.with_columns(pl.lit(Path(config.path).stem).alias("day"))


@step
def enter(context: StepContext, flights: pl.DataFrame) -> None:
    """One line in the book for each file."""
    departed = flights["dep_delay"].drop_nulls()
    entry = {
        "day": flights["day"][0],
        "flights": flights.height,
        "cancelled": flights.height - departed.len(),
        "minutes_late": round(float(departed.clip(lower_bound=0).sum())),
    }
    context.log_expectation(Expectation(entry["cancelled"] < flights.height / 2, "most flights departed"))
    # One write of one line, and no header: files that are taken in at the same time do not get in each other's way.
    with BOOK.open("a") as book:
        book.write(pl.DataFrame([entry]).write_csv(include_header=False))
    context.log_asset(AssetMaterialization("inbox/book", partition=entry["day"], metadata=entry))


@pipeline(tags={"writes": "book"})
def take_in():
    """Check a file and enter it into the book."""
    enter(read())


@sensor(pipeline=take_in, interval=2)
def new_files(context) -> Iterator[RunRequest | SkipReason]:
    """Each file once, ever: its name is the run key."""
    files = sorted(INBOX.glob("*.csv"))
    if not files:
        yield SkipReason(f"{INBOX} is empty")
    for path in files:
        config = {"steps": {"read": {"config": {"path": str(path)}}}}
        yield RunRequest(run_key=path.name, config=config, tags={"file": path.name})


# --- telling ---


@step
def summarise(context: StepContext) -> str:
    if not BOOK.exists():
        return "Nothing has been taken in yet."
    book = pl.read_csv(BOOK, has_header=False, new_columns=COLUMNS).sort("day")
    context.log_asset(AssetMaterialization("inbox/summary", metadata={"book": Metadata.table(book.to_dicts())}))
    lines = [
        f"{day}  {flights:>5} flights  {cancelled:>4} cancelled  {late:>6} minutes late  {'█' * (late // 2000)}"
        for day, flights, cancelled, late in book.iter_rows()
    ]
    return "\n".join(lines)


@step
def show(summary: str) -> None:
    print(summary)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "summary.txt").write_text(summary + "\n")


@pipeline
def inbox():
    """The book as a picture in text."""
    show(summarise())


@schedule(cron="0 18 * * mon-fri", timezone="America/New_York", pipeline=inbox)
def after_work(context) -> dict[str, Any]:
    """On working days at six in New York, in summer and in winter."""
    return {}


@run_status_sensor(status="FAILURE", pipelines=[take_in], interval=2)
def alert(context, run) -> None:
    """Where a message would be sent. Each failed run is told of once."""
    for step_key, error in run.failed_steps.items():
        message = f"{run.tags.get('file', run.run_id)} was not taken in, {step_key} failed: {error}"
        with ALERTS.open("a") as alerts:
            alerts.write(message.replace("\n", " ") + "\n")
