"""Operating a daemon: starting, stopping, asking; and whatever can be in the way of that."""

import json
import os
import signal
import stat
import subprocess
import sys

import pytest

from orchestrator.daemon.log import DaemonLog
from orchestrator.heartbeat import is_suspended
from orchestrator.state_dir import StateDir, prepare

SILENT = 7

# Somebody who looks into the database with a program that is not ours.
INTRUDER = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""

# A daemon that speaks another protocol.
OTHER_VERSION = """
import sys
import orchestrator.catalog.rpc_server as serving
from orchestrator.cli.app import run_command_line
serving.PROTOCOL += 1
run_command_line(sys.argv[1:])
"""


@pytest.fixture
def running(daemon):
    """A daemon that answers."""
    daemon.start()
    daemon.until(lambda: daemon.bench.here("daemon", "status").code == 0, "a daemon that answers")
    return daemon


def log_of(daemon):
    path = StateDir(daemon.bench.state).daemon_log
    return path.read_text() if path.exists() else ""


@pytest.mark.parametrize(
    "command", [("runs", "list"), ("status",), ("schedule", "list"), ("daemon", "status"), ("daemon", "stop")]
)
@pytest.mark.sample(2)
def test_a_command_that_only_asks_the_daemon_starts_without_what_a_daemon_is_made_of(running, command):
    said = running.bench(*command, PYTHONPROFILEIMPORTTIME=1).ok().err
    imported = {line.rpartition("|")[2].strip() for line in said.splitlines()}
    assert "orchestrator.catalog.rpc_client" in imported
    assert not {"duckdb", "pyarrow", "watchdog", "orchestrator.daemon.core"} & imported


class TestStarting:
    def test_a_second_daemon_is_refused_and_the_first_is_named(self, running):
        for arguments in (["daemon", "start"], ["daemon", "start", "--detach"]):
            refused = running.bench(*arguments)
            assert refused.code == 7
            assert f"process {running.process.pid}" in refused.err
        running.stop()

    def test_a_detached_daemon_outlives_the_command_and_says_where_its_log_is(self, daemon):
        started = daemon.bench("daemon", "start", "--detach").ok()
        told = daemon.bench.json("daemon", "status")
        assert f"process {told['pid']}" in started.err
        assert str(StateDir(daemon.bench.state).daemon_log) in started.err
        assert "daemon started" in daemon.bench("daemon", "logs").ok().out
        daemon.bench("daemon", "stop").ok()
        assert "No daemon is running" in daemon.bench("daemon", "stop").ok().err

    def test_a_detached_daemon_that_cannot_start_says_why(self, daemon):
        daemon.bench.here("runs", "list").ok()
        database = StateDir(daemon.bench.state).database
        database.write_bytes(b"this is no database" * 1000)
        failed = daemon.bench("daemon", "start", "--detach")
        assert failed.code == 7
        assert "ended at once, with exit code 5" in failed.err
        assert str(database) in failed.err

    def test_what_a_dead_daemon_left_is_in_nobodys_way(self, running):
        running.kill()
        state = StateDir(running.bench.state)
        assert state.daemon_sock.exists()
        assert state.daemon_json.exists()
        assert running.bench("daemon", "status").code == 7
        running.bench.here("runs", "list").ok()
        running.start()
        running.until(lambda: running.bench.here("daemon", "status").code == 0, "the next daemon")
        running.stop()

    def test_a_program_that_has_the_database_open_is_named_and_waited_for(self, daemon):
        daemon.bench.here("runs", "list").ok()
        database = StateDir(daemon.bench.state).database
        intruder = subprocess.Popen(
            [sys.executable, "-c", INTRUDER, database], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert intruder.stdout.readline() == b"open\n"
        daemon.start()
        daemon.until(lambda: f"process {intruder.pid}" in log_of(daemon), "a word about who has the database")
        intruder.communicate()
        daemon.until(lambda: daemon.bench.here("daemon", "status").code == 0, "a daemon that answers")
        daemon.stop()


class TestSilence:
    def suspended(self, daemon):
        daemon.process.send_signal(signal.SIGSTOP)
        daemon.until(lambda: is_suspended(daemon.process.pid), "the daemon to be suspended")
        return daemon

    @pytest.mark.parametrize(
        "command", [("daemon", "status"), ("daemon", "stop"), ("runs", "list"), ("schedule", "start", "minutely")]
    )
    @pytest.mark.sample(2)
    def test_a_suspended_daemon_is_told_of_at_once_and_keeps_nobody_waiting(self, running, command):
        silent = self.suspended(running).bench(*command)
        assert silent.code == SILENT
        assert f"The daemon (process {running.process.pid}) is suspended" in silent.err
        assert f"kill -CONT {running.process.pid}" in silent.err
        running.process.send_signal(signal.SIGCONT)
        running.stop()

    def test_a_deleted_socket_comes_back(self, running):
        socket = StateDir(running.bench.state).daemon_sock
        socket.unlink()
        running.bench("daemon", "status").ok()
        assert socket.exists()
        assert "the socket was gone" in log_of(running)
        running.stop()

    def test_a_daemon_that_cannot_be_asked_is_stopped_by_a_signal(self, running):
        """Its socket leads to somebody else: as good as a daemon whose protocol is another."""
        socket = StateDir(running.bench.state).daemon_sock
        socket.unlink()
        socket.mkdir()
        running.bench("daemon", "stop").ok()
        assert running.process.wait(timeout=30) == 0

    def test_a_daemon_of_another_version_says_so_and_can_be_stopped(self, bench):
        bench.write("")
        command = [sys.executable, "-c", OTHER_VERSION, "--workspace", bench.path, "daemon", "start"]
        other = subprocess.Popen(command, stderr=subprocess.PIPE)
        bench.wait_until(lambda: StateDir(bench.state).daemon_sock.exists(), "a socket")
        for command in (["daemon", "status"], ["runs", "list"], ["daemon", "stop", "--drain"]):
            refused = bench(*command)
            assert refused.code == 5
            assert "The daemon is of another version" in refused.err
        assert "The daemon is of another version" in bench.here("status").out
        bench("daemon", "stop").ok()
        assert other.wait(timeout=30) == 0
        other.stderr.close()

    def test_a_daemon_whose_state_was_removed_ends(self, running):
        running.bench.state.rename(running.path / "moved")
        _, err = running.process.communicate(timeout=30)
        assert running.process.returncode == 7
        assert "was removed or replaced while the daemon ran" in err.decode()

    def test_its_loop_is_seen_to_turn_from_outside(self, running):
        note = StateDir(running.bench.state).daemon_json
        before = note.stat().st_mtime_ns
        running.until(lambda: note.stat().st_mtime_ns > before, "a sign of life")
        running.stop()

    def test_it_says_where_it_hangs(self, running):
        running.process.send_signal(signal.SIGUSR1)
        running.stop()
        _, err = running.process.communicate()
        assert "orchestrator/daemon/loop.py" in err.decode()


class TestLocations:
    def test_a_broken_location_is_told_of_once_and_heals_when_it_gets_what_it_lacks(self, daemon):
        elsewhere = daemon.path / "elsewhere"
        elsewhere.mkdir()
        source = "import sys\nsys.path.append('elsewhere')\nimport lacking\n"
        (daemon.path / "pipelines.py").write_text(source)
        daemon.start()
        daemon.until(lambda: "location broken" in log_of(daemon), "a word about the broken location")
        broken = daemon.bench.json("daemon", "status")["locations"][0]
        assert broken["state"] == "broken"
        assert "No module named 'lacking'" in broken["traceback"]
        (elsewhere / "lacking.py").write_text("")
        daemon.until(lambda: "location loaded" in log_of(daemon), "the location to heal")
        assert log_of(daemon).count("location broken") == 1
        daemon.stop()


class TestLog:
    def test_lines_are_json_when_asked_for(self, daemon):
        daemon.process = daemon.bench.start("daemon", "start", "--log-format", "json")
        daemon.until(lambda: "location loaded" in log_of(daemon), "a loaded location")
        daemon.stop()
        lines = [json.loads(line) for line in log_of(daemon).splitlines()]
        assert [line["message"] for line in lines if line["message"].startswith("daemon")] == [
            "daemon started",
            "daemon stopped",
        ]
        assert all({"at", "level", "message"} <= line.keys() for line in lines)

    def test_following_it_goes_on_through_a_rotation_and_is_silent_when_nothing_happens(self, bench):
        bench.write("")
        log = prepare(bench.state).daemon_log
        log.write_text("one\ntwo\n")
        following = bench.start("daemon", "logs", "--follow", "-n", "1")
        assert following.stdout.readline() == b"two\n"
        with log.open("a") as file:
            file.write("three\nfo")
            file.flush()
            assert following.stdout.readline() == b"three\n"
            log.rename(log.with_name("daemon.log.1"))
            file.write("ur\n")
        log.write_text("five\n")
        assert following.stdout.readline() == b"four\n"
        assert following.stdout.readline() == b"five\n"
        following.send_signal(signal.SIGINT)
        out, err = following.communicate(timeout=30)
        assert (following.returncode, out, err) == (130, b"", b"")
        assert bench("daemon", "logs", "-n", "2").ok().out == "four\nfive\n"

    def test_it_rotates_and_stays_private(self, tmp_path):
        state = prepare(tmp_path / "state")
        log = DaemonLog(state, echo=False)
        for number in range(25):
            log.info("much", number=number, text="x" * (1 << 20))
        log.close()
        files = sorted(state.path.glob("daemon.log*"))
        assert [file.name for file in files] == ["daemon.log", "daemon.log.1", "daemon.log.2"]
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        assert max(file.stat().st_size for file in files) < 11 << 20

    def test_an_error_has_its_traceback_below_it_the_first_time(self, tmp_path):
        state = prepare(tmp_path / "state")
        log = DaemonLog(state, echo=False)
        for sensor in ("a", "a", "b", "a"):
            log.error("tick failed", sensor=sensor, error='Traceback:\n  File "x"\nValueError: no rows')
        log.close()
        lines = [line.partition("Z ")[2] or line for line in state.daemon_log.read_text().splitlines()]
        block = ["    Traceback:", '      File "x"', "    ValueError: no rows"]
        said = 'error   tick failed sensor={} error="ValueError: no rows"'
        assert lines == [said.format("a"), *block, said.format("a"), said.format("b"), *block, said.format("a")]

    def test_a_log_that_cannot_be_written_stops_nothing(self, tmp_path):
        state = prepare(tmp_path / "state")
        state.daemon_log.mkdir()
        log = DaemonLog(state, echo=False)
        log.info("lost")
        log.close()
        assert list(state.daemon_log.iterdir()) == []

    def test_the_last_lines_are_shown(self, running):
        assert len(running.bench("daemon", "logs", "-n", "1").ok().out.splitlines()) == 1
        assert running.bench("daemon", "logs", "-n", "0").ok().out == ""
        running.stop()


def test_interrupting_it_in_the_terminal_stops_it_gracefully(running):
    running.process.send_signal(signal.SIGINT)
    _, err = running.process.communicate(timeout=30)
    assert running.process.returncode == 0
    assert "daemon stopped" in err.decode()
    assert "Traceback" not in err.decode()
    assert not StateDir(running.bench.state).daemon_sock.exists()


def test_a_state_directory_deep_down_has_a_socket_all_the_same(bench):
    deep = bench.path / ("d" * 90) / ("e" * 90)
    deep.mkdir(parents=True)
    bench.write("")
    bench.settings(f"state_dir: {deep.relative_to(bench.path)}/state\nlocations: [{{name: main, file: pipelines.py}}]")
    bench("daemon", "start", "--detach").ok()
    assert len(os.fsencode(deep / "state" / "daemon.sock")) > 108
    bench("daemon", "status").ok()
    bench("daemon", "stop").ok()


def test_a_run_that_failed_is_an_error_in_the_log_and_any_other_end_is_none(bench, daemon):
    bench.write("""
        import time
        from orchestrator import pipeline, step

        @step
        def work() -> None: ...

        @step
        def fail() -> None:
            raise ValueError("no data")

        @step
        def hang() -> None:
            time.sleep(60)

        @pipeline
        def good():
            work()

        @pipeline
        def bad():
            fail()

        @pipeline
        def hangs():
            hang()
    """)
    for name in ("good", "bad", "hangs"):
        bench.here("run", name, "--detach").ok()
    daemon.start()
    started = lambda: [run["run_id"] for run in bench.json("runs", "list", "--status", "STARTED")]  # noqa: E731
    daemon.until(lambda: len(started()) == 1 and log_of(daemon).count("run=") >= 2, "the end of two runs")
    bench.here("runs", "cancel", started()[0]).ok()
    daemon.until(lambda: "pipeline=hangs" in log_of(daemon), "the end of the third")
    ends = [line.split(maxsplit=2) for line in log_of(daemon).splitlines() if " pipeline=" in line]
    assert {line.split("pipeline=")[1].split()[0]: (level, line.split(" run=")[0]) for _, level, line in ends} == {
        "good": ("info", "run ended"),
        "bad": ("error", "run failed"),
        "hangs": ("info", "run ended"),
    }
