"""State directories that earlier versions have written, as they were left: opened, read, migrated and gone on with.

`state-<version>.tar.gz` was written by that version, with the workspace beside it. In it: a run that succeeded, one
that failed, one that a sensor asked for, one whose owner and step were killed, and one that waits in the queue; a
schedule and a sensor with a cursor; an asset; logs.
"""

import tarfile
from pathlib import Path

import pytest

KEPT = sorted(Path(__file__).parent.glob("state-*.tar.gz"))


@pytest.fixture(params=KEPT, ids=lambda path: path.name.removesuffix(".tar.gz"))
def kept(bench, request):
    with tarfile.open(request.param) as archive:
        archive.extractall(bench.path, filter="data")
    return bench


def runs(kept):
    return {
        (run["pipeline"], run["status"], run["trigger"]["kind"]): run["run_id"] for run in kept.json("runs", "list")
    }


def ledger(kept, run_id):
    """How many attempts each step of a run has had."""
    steps = kept.json("runs", "show", run_id)["steps"]
    return {step["key"]: (step["status"], step["attempts"]) for step in steps}


def test_all_runs_are_there_and_can_be_looked_at(kept):
    found = runs(kept)
    assert {(pipeline, trigger) for pipeline, _, trigger in found} == {
        ("sales", "manual"), ("sales", "sensor"), ("slow", "manual")
    }  # fmt: skip
    succeeded = found["sales", "SUCCESS", "manual"]
    assert ledger(kept, succeeded)["double[n2]"] == ("SUCCESS", 1)
    assert "printed 2" in kept.here("runs", "logs", succeeded).out
    assert "doubling 2" in kept.here("runs", "logs", succeeded).out
    events = [event["event"] for event in kept.events(succeeded)]
    assert (events[0], events[-1]) == ("run_started", "run_finished")
    failed = found["sales", "FAILURE", "manual"]
    assert ledger(kept, failed)["store"] == ("FAILURE", 1)
    assert "no room for 12" in kept.here("runs", "show", failed).out


def test_what_the_daemon_remembers_is_there(kept):
    sensors = {one["name"]: one for one in kept.json("sensor", "list")}
    assert {name: one["on"] for name, one in sensors.items()} == {
        "main/alert": True, "main/files": True, "main/on_total": False
    }  # fmt: skip
    (tick,) = kept.json("sensor", "ticks", "files")
    assert (tick["status"], tick["run_keys"], tick["cursor"]) == ("SUCCESS", ["file-1"], "2")
    (asset,) = kept.json("asset", "list")
    assert (asset["name"], asset["materializations"]) == ("sales/total", 3)
    assert kept.json("sql", "SELECT count(*) AS n FROM steps WHERE status = 'SUCCESS'")[0]["n"] > 20


def test_nothing_about_it_is_damaged(kept):
    checked = kept.here("state", "check")
    assert checked.code == 0, checked


def test_a_run_whose_owner_was_killed_is_resumed(kept):
    run_id = next(run_id for (pipeline, _, _), run_id in runs(kept).items() if pipeline == "slow")
    resumed = kept("runs", "resume", run_id)
    assert resumed.code == 0, resumed
    assert ledger(kept, run_id) == {"numbers": ("SUCCESS", 1), "waits": ("SUCCESS", 2)}


def test_a_run_that_failed_goes_on_from_the_values_that_it_stored(kept):
    failed = runs(kept)["sales", "FAILURE", "manual"]
    rerun = kept.json("run", "--from-failure", failed)
    assert rerun["status"] == "SUCCESS"
    assert ledger(kept, rerun["run_id"])["total"] == ("REUSED", 0)


def test_the_queue_goes_on_and_no_key_is_requested_twice(kept):
    ticked = kept("daemon", "tick")
    assert ticked.code == 0, ticked
    found = kept.json("runs", "list")
    assert not [run for run in found if run["status"] == "QUEUED"]
    assert len([run for run in found if run["trigger"]["kind"] == "sensor"]) == 1
    assert kept.here("state", "check").code == 0
