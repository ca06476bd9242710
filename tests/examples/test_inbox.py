"""Each file that arrives is taken in once, a bad one is told of once, as the example's README says."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

from inbox.pipelines import File, read

from orchestrator import Failure

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SETTINGS = """
locations:
  - {{name: inbox, module: inbox.pipelines, working_dir: {examples}, env: {{INBOX_OUT: "{out}"}}}}
"""


@pytest.fixture
def inbox(bench):
    bench.settings(SETTINGS.format(examples=EXAMPLES, out=bench.path / "out"))
    return bench


@pytest.mark.long
def test_files_are_taken_in_once_and_the_bad_one_is_told_of_once(inbox):
    out = inbox.path / "out"
    for arguments in (
        ("--set", "steps.deliver.config.day=2013-02-08"),
        ("--set", "steps.deliver.config.day=2013-02-09"),
        ("--set", "steps.deliver.config.day=2013-02-10", "--set", "steps.deliver.config.damaged=true"),
    ):
        inbox("run", "delivery", *arguments).ok()
    inbox.here("sensor", "start", "new_files", "alert").ok()
    daemon = inbox.start("daemon", "start")
    inbox.wait_until(lambda: (out / "alerts.txt").exists() and (out / "alerts.txt").read_text(), "the alert")
    inbox.wait_until(lambda: (out / "book.csv").exists(), "the book")
    inbox.wait_until(lambda: len((out / "book.csv").read_text().splitlines()) == 2, "both entries")
    ticks = len(inbox.json("sensor", "ticks", "new_files"))
    inbox.wait_until(lambda: len(inbox.json("sensor", "ticks", "new_files")) > ticks, "one more look")
    inbox("run", "inbox").ok()
    assert "2013-02-08    930 flights   472 cancelled" in (out / "summary.txt").read_text()
    assert (out / "alerts.txt").read_text().count("2013-02-10.csv was not taken in") == 1
    assert len((out / "alerts.txt").read_text().splitlines()) == 1
    runs = inbox.json("runs", "list")
    assert sorted(run["trigger"]["run_key"] for run in runs if run["pipeline"] == "take_in") == [
        "2013-02-08.csv",
        "2013-02-09.csv",
        "2013-02-10.csv",
    ]
    inbox("daemon", "stop").ok()
    daemon.wait(timeout=30)


def test_a_missing_column_is_not_tried_again(tmp_path):
    (tmp_path / "bad.csv").write_text("carrier,flight\nUA,1\n")
    with pytest.raises(Failure, match="has no column dep_delay, dest, origin"):
        read(File(str(tmp_path / "bad.csv")))


def test_the_summary_keeps_to_new_yorks_evenings(inbox):
    found = inbox.json("schedule", "next", "after_work", "--from", "2026-03-06", "--count", "2")
    assert [occurrence["at"] for occurrence in found] == ["2026-03-06T23:00:00Z", "2026-03-09T22:00:00Z"]
