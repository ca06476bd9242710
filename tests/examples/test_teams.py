"""What one location publishes, the other reacts to, also when the publisher breaks meanwhile."""

import csv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SETTINGS = """
locations:
  - {{name: publisher, module: teams.publisher, working_dir: {examples}, env: {{TEAMS_OUT: "{out}"}}}}
  - {{name: reader, module: teams.reader, working_dir: {examples}, env: {{TEAMS_OUT: "{out}"}}}}
"""


@pytest.fixture
def teams(bench):
    bench.settings(SETTINGS.format(examples=ROOT / "examples", out=bench.path / "out"))
    return bench


@pytest.mark.long
def test_each_publication_is_ranked_once(teams):
    teams.here("sensor", "start", "on_departures").ok()
    daemon = teams.start("daemon", "start")
    teams.wait_until(lambda: teams.json("sensor", "ticks", "on_departures"), "the first look")
    for month in (2, 7):
        teams("run", "teams", "--set", f"steps.departures.config.month={month}").ok()

    def rankings():
        runs = teams.json("runs", "list")
        return [run for run in runs if run["pipeline"] == "ranking" and run["status"] == "SUCCESS"]

    teams.wait_until(lambda: len(rankings()) == 2, "a ranking for each month")
    files = (teams.path / "out").glob("rank-*.csv")
    first = {rows[0]["month"]: rows[0]["carrier"] for rows in (list(csv.DictReader(file.open())) for file in files)}
    assert first == {"2": "US", "7": "HA"}
    published = teams.json("asset", "history", "teams/departures")
    assert {run["trigger"]["run_key"] for run in rankings()} == {one["id"] for one in published}
    teams("daemon", "stop").ok()
    daemon.wait(timeout=30)


@pytest.mark.long
def test_the_io_manager_names_only_what_is_an_asset(teams):
    teams("run", "teams").ok()
    path = teams.json("asset", "show", "teams/departures")["last"]["metadata"]["path"]
    teams("run", "ranking", "--set", f"steps.read.config.path={path}").ok()
    assert sorted(one["asset"][1] for one in teams.json("asset", "list")) == ["departures", "ranking"]
