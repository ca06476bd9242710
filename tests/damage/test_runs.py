"""Files of runs that are damaged, missing or of a newer version: said, and in no other run's way."""

import json
import shutil

import pytest

from orchestrator.catalog.damage import FILES_GONE
from orchestrator.layout import RunsDir


def said(done):
    assert "Traceback" not in done.err, done
    assert "bug" not in done.err, done
    return done


def test_an_unreadable_line_beside_an_outcome_repeats_no_step(bench):
    bench("run", "scribbling").ok()
    assert bench.ledger() == ["scribbles"]
    (unreadable,) = [event for event in bench.events() if event["event"] == "event_unreadable"]
    assert "garbage" in unreadable["line"]
    bench.here("runs", "events", "last").ok()
    bench.here("state", "check").ok()


def test_metadata_that_no_reader_could_read_fails_the_step_with_words(bench):
    done = said(bench("run", "too_deep"))
    assert done.code == 1
    assert "nested more than 100 levels deep" in done.out
    assert bench.ledger() == ["deep"]


@pytest.mark.parametrize("bad", [b"\xff\xfe garbage\n", b'{"event": "from_the_future"}\n', b"\x00" * 9 + b"\n"])
@pytest.mark.sample(3)
def test_a_bad_line_in_the_journal_of_a_killed_run_is_said_and_the_run_goes_on(interrupted, killed, bad):
    bench = interrupted
    with killed.journal.open("ab") as file:
        file.write(bad)
    listed = said(bench.here("runs", "list").ok())
    assert "owner gone" in listed.out
    assert "cannot be read" in listed.err
    status = said(bench.here("status"))
    assert "state check --repair" in status.out + status.err
    for command in ("show", "events", "logs"):
        said(bench.here("runs", command, killed.run_id).ok())
    said(bench("runs", "resume", killed.run_id).ok())
    assert bench.ledger() == ["first", "first", "waits"]
    assert {run["status"] for run in bench.json("runs", "list")} == {"SUCCESS"}


def a_directory(path):
    path.unlink()
    path.mkdir()


def a_newer_format(path):
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99, "trigger": 7}))


RECORDS = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "zeros": lambda path: path.write_bytes(b"\0" * 500),
    "a directory": a_directory,
    "nested too deep": lambda path: path.write_bytes(b"[" * 100_000),
    "of another run": lambda path: path.write_text(path.read_text().replace(path.parent.name, "0" * 12)),
}


@pytest.mark.parametrize("damage", RECORDS.values(), ids=RECORDS)
@pytest.mark.sample(5)
def test_a_run_in_flight_whose_record_cannot_be_read_is_over_and_in_nobodys_way(interrupted, killed, damage):
    bench = interrupted
    damage(killed.run_json)
    for command in ("list", "show", "cancel", "resume"):
        said(bench.here("runs", command, *[killed.run_id] * (command != "list")))
    runs = {run["pipeline"]: run["status"] for run in bench.json("runs", "list")}
    assert runs == {"small": "SUCCESS", "long": "FAILURE"}
    assert killed.run_id in said(bench.here("status")).out
    said(bench.here("sql", "FROM runs").ok())
    said(bench("run", "small").ok())
    said(bench.here("state", "rebuild").ok())
    said(bench.here("runs", "delete", killed.run_id, "--yes").ok())
    bench.here("state", "check").ok()


def test_a_run_in_flight_of_a_newer_version_is_left_alone(interrupted, killed):
    bench = interrupted
    a_newer_format(killed.run_json)
    runs = {run["pipeline"]: run["status"] for run in bench.json("runs", "list")}
    assert runs == {"small": "SUCCESS", "long": "STARTED"}
    shown = said(bench.here("runs", "resume", killed.run_id))
    assert shown.code == 5
    assert "newer version" in shown.err
    assert "Upgrade" in shown.err


def test_a_trigger_of_a_kind_that_this_version_does_not_know_is_a_word_like_any_other(interrupted, killed):
    bench = interrupted
    record = json.loads(killed.run_json.read_text())
    record["trigger"]["kind"] = "backfill"
    killed.run_json.write_text(json.dumps(record))
    said(bench("runs", "resume", killed.run_id).ok())
    bench.here("state", "rebuild").ok()
    assert "backfill" in [run["trigger"]["kind"] for run in bench.json("runs", "list")]


@pytest.mark.parametrize("what", ["a full directory", "an empty directory", "a strange name"])
@pytest.mark.sample(2)
def test_what_does_not_belong_among_the_marks_is_in_nobodys_way(bench, what):
    bench("run", "small").ok()
    mark = bench.state / "pending" / ("strange" if what == "a strange name" else "0" * 12)
    mark.mkdir()
    if what == "a full directory":
        (mark / "x").touch()
    said(bench.here("runs", "list").ok())
    said(bench("run", "small").ok())


@pytest.mark.parametrize("marked", [True, False])
def test_a_run_whose_directory_was_removed_is_over(interrupted, killed, marked):
    bench = interrupted
    shutil.rmtree(killed.path)
    if not marked:
        RunsDir(interrupted.state).pending_marker(killed.run_id).unlink(missing_ok=True)
    listed = said(bench.here("runs", "list").ok())
    assert "were removed before it was over" in listed.err
    (run,) = [run for run in bench.json("runs", "list") if run["pipeline"] == "long"]
    assert run["status"] == "FAILURE"
    assert FILES_GONE in bench.here("sql", "SELECT reason FROM runs").out
    assert killed.run_id in said(bench.here("state", "check")).err
    for command in ("resume", "cancel"):
        done = said(bench.here("runs", command, killed.run_id))
        assert done.code == 4
    said(bench.here("runs", "delete", killed.run_id, "--yes").ok())
    said(bench.here("state", "check").ok())


def test_a_terminal_whose_run_is_removed_under_it_says_so_and_brings_nothing_back(bench):
    process = bench.start("run", "long")
    bench.wait_until(lambda: "waits" in bench.ledger())
    (run,) = (bench.state / "runs").iterdir()
    shutil.rmtree(run)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 5
    assert b"were removed while it ran" in err
    assert not run.exists()
    assert [one["status"] for one in bench.json("runs", "list")] in ([], ["FAILURE"])


def test_a_daemon_whose_run_is_removed_under_it_ends_that_run_and_goes_on(bench):
    bench.start("daemon", "start", to=bench.path / "daemon.out")
    bench.wait_until(lambda: bench("daemon", "status").code == 0)
    bench.here("run", "long", "--detach").ok()
    bench.wait_until(lambda: "waits" in bench.ledger())
    (run,) = (bench.state / "runs").iterdir()
    shutil.rmtree(run)
    bench.wait_until(lambda: bench.json("runs", "list")[0]["status"] == "FAILURE")
    assert not run.exists()
    assert run.name in said(bench.here("status")).out
    bench.here("run", "small", "--detach").ok()
    bench.wait_until(lambda: bench.json("runs", "list")[0]["status"] == "SUCCESS")
    (bench.path / "go").touch()
    bench.here("daemon", "stop").ok()
