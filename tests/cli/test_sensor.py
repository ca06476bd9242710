"""`orchestrator sensor` as a person and as a script use it."""

import json
import os
import pty
import select
import time
from subprocess import Popen

import pytest

from tests.conftest import ORCHESTRATOR

from .test_schedule import CONTRACT

PIPELINES = """
    import os
    from pathlib import Path
    from orchestrator import RunRequest, SkipReason, asset_sensor, pipeline, run_status_sensor, schedule, sensor, step

    @step
    def work() -> None: ...

    @pipeline
    def working():
        work()

    @sensor(pipeline=working, interval=0.2)
    def new_files(context):
        for path in sorted(Path("inbox").glob("*")):
            context.update_cursor(path.name)
            yield RunRequest(path.name, tags={"file": path.name})

    @sensor(pipeline=working, interval=0.2)
    def failing(context):
        print("looking")
        raise ConnectionError("nobody answers")

    @sensor(pipeline=working)
    def silent(context): ...

    @sensor(pipeline=working)
    def dies(context):
        os._exit(4)

    @asset_sensor(asset="orders", pipeline=working)
    def on_orders(context, materialization):
        return RunRequest(materialization.id)

    @run_status_sensor(status="FAILURE")
    def alert(context, run): ...

    @schedule(cron="@daily", pipeline=working)
    def daily(context): ...
"""


@pytest.fixture
def sensors(bench):
    (bench.path / "inbox").mkdir()
    return bench.write(PIPELINES)


@pytest.fixture
def ticked(sensors):
    """After one pass: two files have been seen, one sensor has failed."""
    for name in ("a.csv", "b.csv"):
        (sensors.path / "inbox" / name).touch()
    sensors.here("sensor", "start", "new_files", "failing").ok()
    sensors("daemon", "tick").ok()
    return sensors


def test_the_list_shows_every_kind_and_where_each_stands(ticked):
    listed = {one["name"]: one for one in ticked.json("sensor", "list")}
    assert {name: (one["kind"], one["on"]) for name, one in listed.items()} == {
        "main/alert": ("run_status_sensor", False),
        "main/dies": ("sensor", False),
        "main/failing": ("sensor", True),
        "main/new_files": ("sensor", True),
        "main/on_orders": ("asset_sensor", False),
        "main/silent": ("sensor", False),
    }
    assert listed["main/failing"]["failures"] >= 1
    assert listed["main/new_files"]["cursor"] == "b.csv"
    assert tuple(listed["main/new_files"]["last_tick"]) == CONTRACT
    done = ticked("sensor", "list").ok()
    assert "every 0.2s" in done.out
    assert "No daemon is running" in done.err


@pytest.mark.long
def test_ticks_have_the_promised_shape_and_a_failure_is_told_in_full(ticked):
    ticks = ticked.json("sensor", "ticks", "new_files")
    assert tuple(ticks[-1]) == CONTRACT
    assert (ticks[-1]["status"], ticks[-1]["run_keys"], ticks[-1]["cursor"]) == ("SUCCESS", ["a.csv", "b.csv"], "b.csv")
    assert {run["trigger"]["name"] for run in ticked.json("runs", "list")} == {"main/new_files"}
    assert {run["run_id"] for run in ticked.json("runs", "list")} == set(ticks[-1]["run_ids"])
    out = ticked("sensor", "ticks", "failing").ok().out
    assert "✗" in out
    assert 'raise ConnectionError("nobody answers")' in out
    assert out.rstrip().endswith("It printed:\nlooking")
    assert ticked.json("sensor", "ticks", "--status", "missed") == []


@pytest.mark.long
def test_a_preview_shows_what_would_be_run_and_which_keys_are_used_and_writes_nothing(ticked):
    (ticked.path / "inbox" / "c.csv").touch()
    before = ticked.json("sensor", "ticks")
    out = ticked("sensor", "preview", "new_files").ok().out
    assert out.count("already used: true") == 2
    assert out.endswith("- run_key: c.csv\n  tags:\n    file: c.csv\n")
    assert [one["run_key"] for one in ticked.json("sensor", "preview", "new_files")["requests"]] == [
        "a.csv", "b.csv", "c.csv",
    ]  # fmt: skip
    nothing = ticked("sensor", "preview", "silent").ok()
    assert nothing.err == "It would run nothing. It does not say why; a SkipReason would.\n"
    died = ticked("sensor", "preview", "dies")
    assert (died.code, died.err) == (6, "error: main/dies failed:\nIts process ended with exit code 4.\n")
    failed = ticked("sensor", "preview", "failing")
    assert (failed.code, "nobody answers" in failed.err) == (6, True)
    assert ticked.json("sensor", "ticks") == before
    assert len(ticked.json("runs", "list")) == 2
    assert ticked("sensor", "cursor", "new_files").ok().out == "b.csv\n"


@pytest.mark.long
def test_a_cursor_can_be_shown_set_and_cleared(sensors):
    assert sensors.here("sensor", "cursor", "new_files").ok().out == "\n"
    assert "continues from there" in sensors.here("sensor", "cursor", "new_files", "--set", "z").ok().out
    assert sensors.here("sensor", "cursor", "new_files").ok().out == "z\n"
    assert "starts from the beginning" in sensors.here("sensor", "cursor", "new_files", "--clear").ok().out
    assert sensors.here("sensor", "cursor", "new_files").ok().out == "\n"
    assert sensors.here("sensor", "cursor", "new_files", "--set", "z", "--clear").code == 2
    wrong = sensors.here("sensor", "cursor", "on_orders", "--set", "z")
    assert (wrong.code, 'look like {"orders": 12}' in wrong.err) == (2, True)
    sensors.here("sensor", "cursor", "on_orders", "--set", '{"orders": 3}').ok()
    assert sensors.here("sensor", "cursor", "on_orders").ok().out == '{"orders": 3}\n'


@pytest.mark.long
def test_a_key_can_be_made_usable_again(ticked):
    assert "it runs" in ticked("sensor", "forget", "new_files", "a.csv").ok().out
    ticked("daemon", "tick").ok()
    assert [run["trigger"]["run_key"] for run in ticked.json("runs", "list")].count("a.csv") == 2
    never = ticked("sensor", "forget", "new_files", "z.csv")
    assert (never.code, "has never used the run key 'z.csv'" in never.err) == (4, True)
    whole = ticked("sensor", "forget", "new_files")
    assert (whole.code, "is still defined" in whole.err) == (4, True)


def test_a_name_that_is_not_there_is_nearly_found(sensors):
    for command in ("start", "ticks", "preview"):
        done = sensors.here("sensor", command, "new_flies")
        assert (done.code, "There is no sensor 'new_flies'." in done.err, "new_files" in done.err) == (4, True, True)
    assert sensors.here("sensor", "start", "daily").code == 4, "that one is a schedule"


@pytest.mark.long
def test_a_pipe_gets_one_line_a_tick_or_one_record(ticked):
    daemon = ticked.start("daemon", "start")
    ticked.wait_until(lambda: ticked("daemon", "status").code == 0, "a daemon that answers")
    tail = ticked.start("sensor", "ticks", "--tail")
    (ticked.path / "inbox" / "c.csv").touch()
    lines = read_until(tail.stdout, b"SUCCESS main/new_files  1 run")
    assert all(line[20:23] in (" · ", " ✓ ", " ✗ ") for line in lines), lines
    tail.kill()
    daemon.terminate()
    assert daemon.wait(timeout=30) == 0


def test_a_terminal_gets_a_timeline_of_each_with_a_symbol_for_each_outcome(ticked):
    ours, theirs = pty.openpty()
    environment = {"COLUMNS": "80", "LINES": "24", "TERM": "xterm"}
    process = Popen(
        [*ORCHESTRATOR, "sensor", "ticks", "--tail"], cwd=ticked.path, env={**os.environ, **environment},
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    screen = b""
    deadline = time.monotonic() + 30
    while b"Ctrl-C" not in screen and time.monotonic() < deadline:
        if select.select([ours], [], [], 1.0)[0]:
            screen += os.read(ours, 65536)
    process.kill()
    process.wait()
    os.close(ours)
    text = screen.decode()
    assert "2 on" in text
    assert "1 failing" in text
    assert "ConnectionError: nobody answers" in text
    assert "2 runs" in text
    assert "✓ success" in text


def read_until(stream, wanted):
    """The lines of a stream up to the one that holds what is wanted."""
    lines = []
    while True:
        line = stream.readline()
        assert line, "the stream ended"
        lines.append(line.decode().rstrip())
        if wanted in line:
            return lines


def test_json_of_nothing_is_json(sensors):
    assert json.loads(sensors.here("sensor", "ticks", "--json").ok().out) == []
    assert "No ticks yet." in sensors.here("sensor", "ticks").ok().err


def test_one_that_is_on_already_stays_on_and_the_others_are_started(sensors):
    sensors.here("sensor", "start", "new_files").ok()
    again = sensors.here("sensor", "start", "new_files", "failing", "alert")
    assert again.code == 0
    assert again.out == "main/new_files is on already.\nmain/failing is on.\nmain/alert is on.\n"
    assert {one["name"] for one in sensors.json("sensor", "list") if one["on"]} == {
        "main/alert", "main/failing", "main/new_files",
    }  # fmt: skip
