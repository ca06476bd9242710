"""The example is right about the flights of 2013, and runs as its README says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import polars as pl
import pytest

from orchestrator import InProcessResult, StepContext
from orchestrator.model.events import ExpectationChecked
from orchestrator.model.states import StepState

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

from flights.pipelines import flights
from flights.steps import clean_flights, clean_weather

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
MODES = ("parquet", "duckdb")


@pytest.fixture(scope="module")
def report_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def result(report_directory: Path) -> InProcessResult:
    config = {"resources": {"reports": {"config": {"directory": str(report_directory)}}}}
    return flights.execute_in_process(mode="test", config=config, raise_on_error=True)


# --- what the numbers say ---


def test_every_scheduled_flight_is_accounted_for(result):
    coverage = result.output("prepare.clean_flights", "coverage")
    assert coverage.select("month", "scheduled", "cancelled", "incomplete").rows() == [
        (2, 24_951, 1_261, 79),
        (7, 29_425, 940, 192),
    ]
    assert result.output("prepare.enrich").height == 24_951 - 1_261 - 79 + 29_425 - 940 - 192


def test_joining_neither_loses_nor_doubles_a_departure(result):
    departures = result.output("prepare.clean_flights", "departures")
    assert result.output("prepare.enrich").select(departures.columns).equals(departures)


def test_frontier_is_latest_and_alaska_most_punctual(result):
    by_carrier = result.output("by_carrier")
    assert by_carrier["carrier"][0] == "F9"
    assert by_carrier["mean_delay"][0] == pytest.approx(30.887, abs=0.001)
    assert by_carrier["carrier"][-1] == "AS"
    assert by_carrier["flights"].sum() == 51_904


def test_the_worst_hour_is_in_the_evening(result):
    by_hour = result.output("by_hour")
    worst = by_hour.sort("mean_delay").row(-1, named=True)
    assert (worst["month"], worst["hour"]) == (7, 19)
    assert worst["mean_delay"] == pytest.approx(45.93, abs=0.01)


def test_rain_makes_flights_later_at_every_airport(result):
    rain = result.output("rain")
    assert sorted(rain) == ["EWR", "JFK", "LGA"]
    for airport, table in rain.items():
        assert set(table["origin"]) == {airport}
        minutes = (pl.col("mean_delay") * pl.col("flights")).sum() / pl.col("flights").sum()
        dry, wet = table.group_by("wet").agg(minutes.alias("mean")).sort("wet")["mean"]
        assert wet > dry + 10


def test_the_wind_of_a_thousand_miles_an_hour_is_set_aside(result):
    quarantine = result.output("prepare.quarantine")
    assert quarantine.height == 79 + 192 + 1
    winds = quarantine.filter(pl.col("reason") == "impossible wind")["row"]
    assert [json.loads(row)["wind_speed"] for row in winds] == [1048.36058]


def test_destinations_without_a_name_are_told_and_kept(result):
    checks = {e.label: e for e in result.events if isinstance(e, ExpectationChecked)}
    assert [label for label, check in checks.items() if not check.success] == ["every destination has a name"]
    assert checks["every destination has a name"].description == "not BQN, PSE, SJU, STT"
    assert "SJU" in set(result.output("by_destination")["dest"])


def test_the_report_says_what_the_tables_say(result, report_directory):
    text = (report_directory / "report.md").read_text(encoding="utf-8")
    assert "| Frontier Airlines Inc. | 106 | 30.9 | 42% |" in text
    assert "51,904 flights, without 2,201 cancelled and 271 with no known arrival" in text
    assert is_picture(report_directory / "delays.png")


# --- what happens at the edges ---


def test_a_month_there_is_no_data_of_fails_at_once():
    config = {"steps": {"prepare.ingest": {"config": {"months": [3]}}}}
    result = flights.execute_in_process(mode="test", config=config, select="prepare.ingest")
    failure = result.failure("prepare.ingest")
    assert failure is not None
    assert "no flights of month 3" in failure.message
    assert result.events_of("prepare.ingest").count("attempt_started") == 1


def test_july_alone_has_no_bad_weather_and_still_a_quarantine():
    result = flights.execute_in_process(mode="test", preset="july", select="*prepare.quarantine", raise_on_error=True)
    assert result.output("prepare.quarantine").height == 192


def test_nothing_to_set_aside_means_no_quarantine():
    class Spotless:
        def table(self, name: str) -> pl.DataFrame:
            return FLIGHTS if name == "flights" else WEATHER if name == "weather" else pl.DataFrame()

    result = flights.execute_in_process(
        mode="test", resources={"source": Spotless()}, select="*prepare.quarantine", raise_on_error=True
    )
    assert result.state("prepare.quarantine") is StepState.SKIPPED


def test_a_clock_that_passed_midnight_agrees_with_the_delay():
    context = StepContext()
    outputs = {output.name: output.value for output in clean_flights(context, FLIGHTS)}
    assert context.recorded[0].success
    assert [f"{at:%d %H:%M}" for at in outputs["departures"]["scheduled"]] == ["01 23:50", "01 05:15"]


def test_a_delay_that_the_clock_contradicts_is_told():
    context = StepContext()
    list(clean_flights(context, FLIGHTS.with_columns(dep_delay=pl.col("dep_delay") + 1)))
    assert not context.recorded[0].success
    assert context.recorded[0].metadata == {"disagreeing": 2}


def test_a_reading_without_wind_is_a_reading():
    (readings,) = clean_weather(WEATHER.with_columns(wind_speed=pl.lit(None, dtype=pl.Float64)))
    assert readings.name == "readings"
    assert readings.value.height == WEATHER.height


FLIGHTS = pl.DataFrame(
    {
        "year": 2013, "month": [2, 2], "day": [1, 1],
        "dep_time": [2400, 512], "sched_dep_time": [2350, 515], "dep_delay": [10, -3], "arr_delay": [4, -9],
        "carrier": "B6", "origin": "JFK", "dest": "BOS", "hour": [23, 5],
        "time_hour": ["2013-02-02T04:00:00Z", "2013-02-01T10:00:00Z"],
    }
)  # fmt: skip
WEATHER = pl.DataFrame(
    {"month": [2], "origin": "JFK", "time_hour": "2013-02-01T10:00:00Z", "wind_speed": 12.5, "precip": 0.0}
)


# --- as it is run from a shell ---


@pytest.fixture(scope="module")
def shells(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A directory for each mode in which the example ran; both at the same time, because that is faster."""
    directories = {mode: tmp_path_factory.mktemp(mode) for mode in MODES}
    running = {}
    for mode, directory in directories.items():
        workspace = f"locations: [{{name: flights, module: flights.pipelines, working_dir: {EXAMPLES}}}]\n"
        (directory / "workspace.yaml").write_text(workspace)
        command = orchestrator("run", "flights", "--mode", mode, "--tag", "from=test")
        running[mode] = subprocess.Popen(
            command,
            env=environment(directory),
            cwd=directory,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    for mode, process in running.items():
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, f"{mode}: {said}"
    return directories


@pytest.mark.sample(1)
@pytest.mark.parametrize("mode", MODES)
def test_a_run_leaves_a_picture(shells, mode):
    assert is_picture(shells[mode] / "out" / "report" / "delays.png")


@pytest.mark.parametrize("mode", MODES)
def test_the_catalog_knows_how_many_rows_each_table_has(shells, mode):
    listed = {"/".join(asset["asset"]): asset["last"]["metadata"] for asset in ask(shells[mode], "asset", "list")}
    rows = {name: metadata["rows"] for name, metadata in listed.items() if "rows" in metadata}
    assert rows["prepare/enrich"] == 51_904
    assert rows["marts/quarantine"] == 272
    assert rows["marts/by_carrier"] == 15
    assert listed["flights/report"]["picture"]["value"] == str(shells[mode] / "out" / "report" / "delays.png")


def test_every_mode_makes_the_same_report(shells, result, report_directory):
    reports = [report_directory, *(directory / "out" / "report" for directory in shells.values())]
    assert len({(report / "report.md").read_text(encoding="utf-8") for report in reports}) == 1
    assert len({(report / "delays.png").read_bytes() for report in reports}) == 1


def test_the_tables_are_where_the_mode_says(shells):
    import duckdb

    by_carrier = shells["parquet"] / "out" / "tables" / "marts" / "by_carrier.parquet"
    assert pl.read_parquet(by_carrier)["flights"].sum() == 51_904
    with duckdb.connect(shells["duckdb"] / "out" / "flights.duckdb", read_only=True) as connection:
        assert connection.execute("SELECT sum(flights) FROM marts.by_carrier").fetchone() == (51_904,)


def orchestrator(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "orchestrator", *arguments]


def environment(directory: Path) -> dict[str, str]:
    return {
        **os.environ,
        "ORCHESTRATOR_WORKSPACE": str(directory / "workspace.yaml"),
        "FLIGHTS_OUT": str(directory / "out"),
    }


def ask(directory: Path, *command: str) -> list[dict]:
    answer = subprocess.run(
        orchestrator(*command, "--json"), env=environment(directory), cwd=directory, capture_output=True, check=True
    )
    return json.loads(answer.stdout)


def is_picture(path: Path) -> bool:
    height, width, _ = matplotlib.image.imread(path).shape
    return height > 1000 and width > 1000
