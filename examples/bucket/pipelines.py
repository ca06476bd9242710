"""Objects arrive in a bucket; pandas makes a table of each, and the table goes back into the bucket as parquet.

Set BUCKET to a place of your own, `s3://bucket/prefix` or `gs://bucket/prefix`; without it a directory plays the
bucket. Everything goes through pyarrow's file systems, which find credentials where AWS's own tools look for them.
"""

import gzip
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pyarrow import fs

from orchestrator import (
    Failure,
    Mode,
    RunRequest,
    SkipReason,
    StepContext,
    parquet_io_manager,
    pipeline,
    sensor,
    step,
)

FLIGHTS = Path(__file__).parent.parent / "flights" / "data" / "flights.csv.gz"
BUCKET = os.environ.get("BUCKET") or (Path(__file__).parent / "out").as_uri()


def below(name: str) -> str:
    """The address of something in the bucket. What follows a question mark are options of the connection."""
    place, mark, options = BUCKET.partition("?")
    return f"{place.rstrip('/')}/{name}{mark}{options}"


def connect(name: str) -> tuple[fs.FileSystem, str]:
    """The bucket, and the path of something in it. A connection is opened where it is used, in the process of a step or
    a sensor, and not while this module is imported: it would not survive the fork."""
    return fs.FileSystem.from_uri(below(name))


# --- uploading: in real life somebody else does that ---


@dataclass
class Day:
    """Which day is uploaded; February and July of 2013 can be."""

    month: int = 7
    day: int = 1


@step
def put(context: StepContext, config: Day) -> None:
    flights = pd.read_csv(FLIGHTS)
    flights = flights[(flights["month"] == config.month) & (flights["day"] == config.day)]
    if flights.empty:
        raise Failure("There are flights of February and July only.")
    bucket, raw = connect("raw")
    bucket.create_dir(raw, recursive=True)
    name = f"2013-{config.month:02}-{config.day:02}.csv.gz"
    with bucket.open_output_stream(f"{raw}/{name}", compression=None) as stream:
        stream.write(gzip.compress(flights.to_csv(index=False).encode()))
    context.log.info("put %d flights into %s", len(flights), below(f"raw/{name}").partition("?")[0])


@pipeline
def upload():
    """Put the flights of a day into the bucket."""
    put()


# --- what is done with each ---


@dataclass
class Object:
    """Which object is read."""

    name: str


@step
def read(config: Object) -> pd.DataFrame:
    bucket, path = connect(f"raw/{config.name}")
    with bucket.open_input_stream(path, compression=None) as stream:
        return pd.read_csv(io.BytesIO(gzip.decompress(stream.read())), usecols=["carrier", "dep_delay"])


@step
def by_airline(flights: pd.DataFrame) -> pd.DataFrame:
    """How many flights each airline had, how many of them did not depart, and how late the others were."""
    delays = flights.groupby("carrier")["dep_delay"]
    table = pd.DataFrame({"flights": delays.size(), "departed": delays.count(), "minutes_late": delays.median()})
    return table.sort_values("minutes_late").reset_index()


@step
def say(table: pd.DataFrame) -> None:
    print(table.to_string(index=False))


@pipeline(modes=[Mode("default", resources={"io_manager": parquet_io_manager(below("tables"))})])
def punctuality():
    """One day's airlines, the most punctual first."""
    say(by_airline(read()))


@sensor(pipeline=punctuality, interval=5)
def new_objects(context) -> Iterator[RunRequest | SkipReason]:
    """Each object once, and again when it was replaced: its name and its time are the run key."""
    bucket, raw = connect("raw")
    found = bucket.get_file_info(fs.FileSelector(raw, allow_not_found=True))
    if not found:
        yield SkipReason(f"nothing in {below('raw').partition('?')[0]}")
    for one in sorted(found, key=lambda info: info.base_name):
        config = {"steps": {"read": {"config": {"name": one.base_name}}}}
        yield RunRequest(run_key=f"{one.base_name} of {one.mtime:%Y-%m-%dT%H:%M:%SZ}", config=config)
