"""`status` tells the truth: with a daemon and without, and when something cannot be looked at."""

import os
import pty
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from orchestrator.catalog.automations import list_automations, save_automations
from orchestrator.catalog.session import open_store
from orchestrator.catalog.ticks import TickBatch, commit_ticks
from orchestrator.heartbeat import is_suspended
from orchestrator.model.tick import Tick
from orchestrator.state_dir import StateDir
from tests.conftest import ORCHESTRATOR
from tests.daemon.test_operating import INTRUDER

PIPELINES = """
    from pathlib import Path
    from orchestrator import RunRequest, SkipReason, pipeline, schedule, sensor, step

    @step
    def work() -> None:
        if Path("fails").exists():
            raise ValueError("no rows")

    @pipeline
    def people():
        work()

    @schedule(cron="0 3 * * *", pipeline=people)
    def nightly(context):
        return {}

    @sensor(pipeline=people, interval=0.1)
    def inbox(context):
        if Path("down").exists():
            raise ConnectionError("api.example.com refused")
        if Path("order").exists():
            yield RunRequest(run_key=Path("order").read_text())
"""


def told(problem):
    """A problem as the page has it."""
    assert set(problem) == {"kind", "subject", "sentence", "hint"}
    return f"{problem['sentence']}: {problem['hint']}" if problem["hint"] else problem["sentence"]


class StatusBench:
    """A workspace with a schedule and a sensor that are off, and its status."""

    def __init__(self, bench):
        self.bench = bench
        self.path = bench.path
        self.state = StateDir(bench.state)

    def __call__(self, *arguments):
        return self.bench.here("status", *arguments)

    def json(self):
        return self.bench.json("status")

    def problems(self):
        return [told(problem) for problem in self.json()["problems"]]

    def next_look(self):
        """When the sensor is looked at next; None while that is being done."""
        return next(one for one in self.json()["automations"] if one["name"] == "main/inbox")["next_at"]

    def start(self):
        process = self.bench.start("daemon", "start")
        self.bench.wait_until(lambda: self.bench.here("daemon", "status").code == 0, "a daemon that answers")
        self.bench.wait_until(
            lambda: all(one["state"] != "loading" for one in self.json()["locations"]), "the locations to be loaded"
        )
        return process

    def stop(self):
        self.bench.here("daemon", "stop").ok()

    def write(self, name, text=""):
        (self.path / name).write_text(text)

    def told(self, words):
        """Waits until a problem says that, and gives it back."""
        found = []

        def is_told():
            found[:] = [problem for problem in self.problems() if words in problem]
            return found

        self.bench.wait_until(is_told, words)
        return found[0]


@pytest.fixture
def status(bench):
    bench.write(PIPELINES)
    return StatusBench(bench)


class TestWithoutDaemon:
    def test_nothing_is_on_and_all_is_well(self, status):
        seen = status().ok()
        assert seen.out.startswith("✓ all is well")
        assert "· not running" in seen.out
        assert "2 off: main/inbox, main/nightly" in seen.out

    @pytest.mark.sample(1)
    @pytest.mark.parametrize("command", [("sensor", "start", "inbox"), ("run", "people", "--detach")])
    def test_something_waits_for_a_daemon(self, status, command):
        status.bench(*command).ok()
        assert status().code == 1
        assert status.told("no daemon is running").endswith("`orchestrator daemon start`")

    def test_a_daemon_that_died_is_remembered(self, status):
        status.bench.here("sensor", "start", "inbox").ok()
        daemon = status.start()
        daemon.kill()
        daemon.wait()
        assert "the last one died" in status.told("no daemon is running")
        assert "not running; the last one died" in status().out

    @pytest.mark.long
    def test_a_broken_location_a_failing_sensor_and_a_dead_daemon_are_all_told(self, status):
        status.write("bad.py", "import nowhere_to_be_found\n")
        status.bench.settings(
            "locations: [{name: main, file: pipelines.py}, {name: bad, file: bad.py}]",
        )
        status.write("down")
        status.bench.here("sensor", "start", "inbox").ok()
        daemon = status.start()
        status.told("main/inbox has failed")
        daemon.kill()
        daemon.wait()
        assert status().code == 1
        shown = status.json()
        assert shown["ok"] is False
        assert shown["daemon"]["running"] is False
        for words in ("no daemon is running", "Location 'bad' is broken", "main/inbox has failed"):
            assert any(words in told(problem) for problem in shown["problems"])

    @pytest.mark.long
    def test_a_program_that_holds_the_database_is_named(self, status):
        status.bench.here("runs", "list").ok()
        intruder = subprocess.Popen(
            [sys.executable, "-c", INTRUDER, status.state.database], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert intruder.stdout.readline() == b"open\n"
        seen = status()
        assert seen.code == 1
        assert f"process {intruder.pid}" in seen.out
        assert "✓ main  people" in seen.out
        intruder.communicate()
        status().ok()

    def test_a_state_that_cannot_be_used_is_a_problem_among_others(self, status):
        status().ok()
        status.state.format_file.write_text('{"format": 99}')
        status.write("pipelines.py", "1 / 0\n")
        seen = status()
        assert seen.code == 1
        assert "was made by a newer version of orchestrator" in seen.out
        assert "Location 'main' is broken" in seen.out

    def test_a_variable_that_is_not_set_is_named(self, status):
        status.bench.settings("locations: [{name: main, file: pipelines.py, env: {A: {env: NOT_SET_ANYWHERE}}}]")
        seen = status()
        assert seen.code == 1
        assert "NOT_SET_ANYWHERE is not set" in seen.out


class TestWithDaemon:
    def test_all_is_well(self, status):
        daemon = status.start()
        status.bench.here("sensor", "start", "inbox").ok()
        seen = status().ok()
        assert seen.out.startswith("✓ all is well")
        assert f"✓ process {daemon.pid}, up" in seen.out
        shown = status.json()
        assert shown["daemon"]["pid"] == daemon.pid
        assert {"alive": True, "erroring": False}.items() <= shown["daemon"]["concerns"][0].items()
        assert shown["locations"][0]["pipelines"] == ["people"]
        inbox = next(one for one in shown["automations"] if one["name"] == "main/inbox")
        assert (inbox["is_on"], inbox["when"]) == (True, "every 0.1s")
        status.bench.wait_until(status.next_look, "a moment between two looks")
        status.stop()

    def test_a_failing_sensor_says_since_when_how_often_and_why_and_is_forgiven_once_it_works(self, status):
        status.write("down")
        status.bench.here("sensor", "start", "inbox").ok()
        status.start()
        problem = status.told("times in a row, for ")
        assert problem.startswith("main/inbox has failed ")
        assert problem.endswith("ConnectionError: api.example.com refused")
        assert status().code == 1
        (status.path / "down").unlink()
        status.bench.wait_until(lambda: status().code == 0, "all to be well again")
        status.stop()

    def test_an_unattended_failure_stands_until_a_run_succeeds(self, status):
        status.write("fails")
        status.write("order", "1")
        status.bench.here("sensor", "start", "inbox").ok()
        status.start()
        assert "orchestrator runs show" in status.told("the last run of people failed")
        (status.path / "fails").unlink()
        status.bench("run", "people").ok()
        seen = status().ok()
        assert "failed in the last day" in seen.out
        status.stop()

    def test_a_location_that_breaks_shows_its_traceback_and_since_when(self, status):
        status.start()
        status.write("pipelines.py", "1 / 0\n")
        status.told("Location 'main' is broken")
        seen = status()
        assert "✗ main  broken" in seen.out
        assert "ZeroDivisionError" in seen.out
        assert status.json()["locations"][0]["since"] is not None
        status.stop()

    def test_a_definition_that_is_gone_and_still_on_is_told(self, status):
        status.start()
        status.bench.here("schedule", "start", "nightly").ok()
        status.write("pipelines.py", "")
        assert "`orchestrator schedule forget main/nightly`" in status.told(
            "main/nightly is on and its definition is gone"
        )
        assert "gone, still on" in status().out
        status.stop()

    def test_why_queued_runs_wait(self, status):
        status.bench.settings(
            "locations: [{name: main, file: pipelines.py}]\nrun_queue: {max_concurrent_runs: 0}",
        )
        status.bench("run", "people", "--detach").ok()
        status.start()
        run = status.bench.json("runs", "list")[0]["run_id"]
        status.bench.wait_until(lambda: run in status.json()["daemon"]["waiting"], "a reason")
        assert f"  {run}  " in status().out.partition("\nqueue\n")[2]
        status.stop()

    def test_a_suspended_daemon_does_not_answer(self, status):
        daemon = status.start()
        daemon.send_signal(signal.SIGSTOP)
        status.bench.wait_until(lambda: is_suspended(daemon.pid), "the daemon to be suspended")
        seen = status()
        assert seen.code == 1
        assert f"The daemon (process {daemon.pid}) is suspended" in seen.out
        assert f"kill -CONT {daemon.pid}" in seen.out
        assert "It last said: " in seen.out
        assert "✓ main  people" in seen.out
        daemon.send_signal(signal.SIGCONT)
        status.stop()


class TestWhatWasNotRun:
    def weekend(self, status):
        """As if the machine had been asleep for three days."""
        status.bench.here("schedule", "start", "nightly").ok()
        with open_store(status.state) as store:
            (one,) = store(list_automations)
            asleep = datetime.now(UTC) - timedelta(days=3)
            store(save_automations, [replace(one, since=asleep, changed_at=asleep)])

    def test_status_and_log_say_it_after_a_weekend_asleep(self, status):
        self.weekend(status)
        status.start()
        status.bench.wait_until(lambda: status.json()["not_run"], "a word about what was not run")
        (missed,) = status.json()["not_run"]
        assert missed["name"] == "main/nightly"
        assert missed["count"] == 2
        seen = status().ok()  # that is what its policy asks for
        assert "− main/nightly  2 occurrences, " in seen.out
        log = status.state.daemon_log.read_text()
        assert "main/nightly" in next(line for line in log.splitlines() if "warning not run" in line)
        status.stop()


class TestOnATerminal:
    def shown(self, status, columns):
        """The status as a terminal of that width gets it."""
        main, side = pty.openpty()
        environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
        process = subprocess.Popen([*ORCHESTRATOR, "status"], cwd=status.path, env=environment, stdout=side)
        os.close(side)
        chunks = []
        try:
            while chunk := os.read(main, 65536):
                chunks.append(chunk)
        except OSError:
            pass  # the other end is closed: how a terminal says that it was all
        process.wait()
        os.close(main)
        return b"".join(chunks).decode()

    def plain(self, text):
        import re

        return re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\r\n", "\n")

    @pytest.fixture
    def busy(self, status):
        """Something of everything."""
        status.bench.here("sensor", "start", "inbox").ok()
        status.bench.here("schedule", "start", "nightly").ok()
        now = datetime.now(UTC)
        missed = Tick(
            tick_id="000000000001",
            name="main/nightly",
            kind="schedule",
            status="MISSED",
            at=now,
            scheduled_at=now - timedelta(hours=5),
            skip_reason="late, and only the latest occurrence is caught up on (catch_up=latest)",
        )
        with open_store(status.state) as store:
            store(commit_ticks, TickBatch([missed], [], []))
        status.write("fails")
        status.bench("run", "people")
        return status

    @pytest.mark.parametrize("columns", [80, 140])
    @pytest.mark.sample(1)
    def test_it_fits(self, busy, columns):
        lines = self.plain(self.shown(busy, columns)).splitlines()
        assert len(lines) < 40
        assert max(map(len, lines)) <= columns
        assert ("WHEN" in "".join(lines)) is (columns == 140)

    def test_there_is_colour_on_a_terminal_and_none_in_a_pipe(self, busy):
        assert "\x1b[" in self.shown(busy, 80)
        assert "\x1b[" not in busy().out


class TestCommandLine:
    """What operators of other systems know, in our words."""

    @pytest.mark.sample(1)
    @pytest.mark.parametrize(("noun", "name"), [("schedule", "nightly"), ("sensor", "inbox")])
    def test_starting_and_stopping_twice_changes_nothing(self, status, noun, name):
        assert f"main/{name} is off already." in status.bench.here(noun, "stop", name).ok().out
        assert f"main/{name} is on." in status.bench.here(noun, "start", name).ok().out
        before = status.bench.json(noun, "list")
        assert f"main/{name} is on already." in status.bench.here(noun, "start", name).ok().out
        assert status.bench.json(noun, "list") == before
        assert f"main/{name} is off." in status.bench.here(noun, "stop", name).ok().out

    def test_a_name_and_all_cannot_be_given_together(self, status):
        status.bench.here("schedule", "start", "--all").ok()
        assert status.bench.here("schedule", "start", "nightly", "--all").code == 2

    @pytest.mark.parametrize(
        ("value", "words"),
        [("/nowhere/at/all", "$ORCHESTRATOR_WORKSPACE"), ("relative/dir", "$ORCHESTRATOR_WORKSPACE")],
    )
    def test_a_workspace_that_is_not_there_names_the_variable(self, status, value, words):
        missing = status.bench("status", ORCHESTRATOR_WORKSPACE=value)
        assert missing.code == 3
        assert words in missing.err

    def test_a_preview_writes_nothing(self, status):
        status.write("order", "key-of-an-order")
        assert "key-of-an-order" in status.bench.here("sensor", "preview", "inbox").ok().out
        assert status.bench.json("sensor", "ticks") == []
        assert status.bench.json("runs", "list") == []

    def test_assets_are_not_wiped_unless_that_is_confirmed(self, status):
        status.write(
            "pipelines.py",
            "from orchestrator import AssetMaterialization, pipeline, step\n\n"
            "@step\ndef work(context) -> None:\n    context.log_asset(AssetMaterialization('orders'))\n\n"
            "@pipeline\ndef people():\n    work()\n",
        )
        status.bench("run", "people").ok()
        wipe = [*ORCHESTRATOR, "asset", "wipe", "--all"]
        refused = subprocess.run(wipe, cwd=status.path, input=b"\n", capture_output=True)
        assert refused.returncode != 0
        assert [asset["asset"] for asset in status.bench.json("asset", "list")] == [["orders"]]
