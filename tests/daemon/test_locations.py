"""Locations come, go, crash, leak and lack things, each by itself, and the daemon says so."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

TICKING = """
    import os
    from orchestrator import RunRequest, SkipReason, pipeline, sensor, step
    kept = []

    @step
    def leak() -> None:
        kept.append(b"x" * (100 << 20))

    @pipeline
    def leaking():
        leak()

    @sensor(pipeline=leaking, interval=0.2, default_on=True)
    def look(context):
        if os.path.exists("leak"):
            os.unlink("leak")
            kept.append(b"x" * (100 << 20))
        return SkipReason(os.environ.get("SAYS", "nothing"))
"""


def workspace(bench, *locations):
    bench.settings("locations:\n" + "".join(f"  - {one}\n" for one in locations))


def one(name, more=""):
    return f"{{name: {name}, file: ticking.py{more}}}"


@pytest.fixture
def ticking(bench, daemon):
    (bench.path / "ticking.py").write_text(textwrap.dedent(TICKING))
    workspace(bench, one("main"))
    return daemon


def locations(bench):
    return {location["name"]: location for location in bench.json("daemon", "status")["locations"]}


def until_ticking(daemon, name, says="nothing"):
    def newest():
        told = daemon.bench.here("sensor", "ticks", f"{name}/look", "--limit", "1", "--json")
        return [tick["skip_reason"] for tick in json.loads(told.out)] if told.code == 0 else []

    daemon.until(lambda: newest() == [says], f"a tick of {name}")


def pid_of_location(bench, name):
    """The location process: of those in the workspace that were told that name, the only one that is not the child of
    another, as evaluators are."""
    told = {}
    for pid in bench.processes():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended meanwhile
        if b"orchestrator.worker" in words and f'"name": "{name}"'.encode() in b" ".join(words):
            told[pid] = parent
    return next((pid for pid, parent in told.items() if parent not in told), None)


def log(bench):
    return (bench.state / "daemon.log").read_text()


@pytest.mark.long
def test_locations_are_added_removed_and_renamed_and_a_wrong_workspace_file_changes_nothing(bench, ticking):
    ticking.start()
    until_ticking(ticking, "main")
    workspace(bench, one("main"), one("second", ", env: {SAYS: hello}"))
    until_ticking(ticking, "second", "hello")
    workspace(bench, one("main"), one("second", ", env: {SAYS: goodbye}"))
    until_ticking(ticking, "second", "goodbye")

    before = pid_of_location(bench, "second")
    for number, wrong in enumerate(
        ("locations: [", "locations: [{name: main, nonsense: 1}]", "state_dir: elsewhere"), 1
    ):
        bench.settings(wrong)
        said = "the workspace file is wrong; going on with what it said before"
        ticking.until(lambda number=number, said=said: log(bench).count(said) == number, f"the complaint of {wrong}")
    assert pid_of_location(bench, "second") == before
    assert "location removed" not in log(bench)
    workspace(bench, one("main"), one("third"))
    until_ticking(ticking, "third")
    assert set(locations(bench)) == {"main", "third"}
    assert bench.json("daemon", "status")["workspace_error"] is None
    status = bench.here("status")
    assert status.code == 1
    assert "second/look is on and its definition is gone" in " ".join(status.out.split())
    ticking.stop()


def test_a_workspace_file_that_is_being_written_is_not_read_half(bench, ticking):
    ticking.start()
    until_ticking(ticking, "main")
    path = bench.path / ".orchestrator.yaml"
    text = path.read_text()
    for _ in range(30):
        path.write_text("")  # as an editor does it, before it writes what is new
        path.write_text(text)
    ticking.until(lambda: "workspace file read again" in log(bench), "the new reading")
    assert "location removed" not in log(bench)
    ticking.stop()


@pytest.mark.long
def test_a_location_process_that_is_killed_is_started_again_ever_later_and_status_says_so(bench, ticking):
    ticking.start()
    until_ticking(ticking, "main")
    for times in (1, 2):
        os.kill(pid_of_location(bench, "main"), signal.SIGKILL)
        ticking.until(lambda times=times: locations(bench)["main"]["restarts"] == times, "the restart")
        ticking.until(lambda: locations(bench)["main"]["state"] == "loaded", "the next process")
    until_ticking(ticking, "main")
    assert "restarted: The process of location 'main' was killed by SIGKILL (by itself)." in bench.here("status").out
    assert log(bench).count("location process ended") == 2
    ticking.stop()


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no system that tells of memory")
def test_what_grows_is_replaced_and_status_says_so(bench, ticking):
    workspace(bench, one("main", ", max_growth_mb: 50"))
    ticking.start()
    until_ticking(ticking, "main")
    (bench.path / "leak").touch()
    ticking.until(lambda: "evaluator replaced" in log(bench), "the replacement of the evaluator")
    assert "restarted: a process that evaluates its sensors and schedules had grown by 1" in bench.here("status").out
    before = pid_of_location(bench, "main")
    run = bench("run", "leaking", "--executor", "in_process", "--detach").ok().out.strip()
    assert bench("runs", "wait", run).code == 0
    ticking.until(lambda: "location process replaced" in log(bench), "the replacement of the location process")
    ticking.until(lambda: locations(bench)["main"]["state"] == "loaded", "the next process")
    assert "restarted: its process had grown by 1" in bench.here("status").out
    assert pid_of_location(bench, "main") != before
    until_ticking(ticking, "main")
    ticking.stop()


def test_a_location_that_lacks_a_variable_or_an_interpreter_is_broken_alone(bench, ticking):
    workspace(
        bench,
        one("main"),
        one("lacking", ", env: {A: {env: NOT_SET_ANYWHERE}}"),
        one("astray", ", python: ./no/python"),
    )
    ticking.start()
    until_ticking(ticking, "main")
    found = locations(bench)
    assert "the environment variable NOT_SET_ANYWHERE is not set" in found["lacking"]["error"]
    assert "Correct `python:` or `working_dir:`" in found["astray"]["error"]
    status = bench.here("status")
    assert status.code == 1
    assert "NOT_SET_ANYWHERE" in status.out
    assert bench("run", "main/leaking").code == 0
    refused = bench("run", "lacking/leaking")
    assert (refused.code, "NOT_SET_ANYWHERE is not set" in refused.err) == (3, True)
    ticking.stop()
    said = [line for line in log(bench).splitlines() if line.startswith("20") and "NOT_SET_ANYWHERE" in line]
    assert len(said) == 1, "it is said once"


@pytest.mark.long
def test_a_location_runs_in_its_own_interpreter(bench, ticking):
    python = bench.path / "env" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bench.path / "env"], check=True)
    workspace(bench, one("main"), one("other", ", python: env/bin/python"))
    ticking.start()
    until_ticking(ticking, "main")
    ticking.until(lambda: locations(bench)["other"]["error"] is not None, "the verdict")
    error = locations(bench)["other"]["error"]
    assert f"orchestrator is not installed in the environment of {python}" in error
    assert f"{python} -m pip install" in error
    paths = "\n".join(path for path in sys.path if path)
    (site,) = (bench.path / "env").glob("lib/python*/site-packages")
    (site / "borrowed.pth").write_text(paths)
    (bench.path / "ticking.py").write_text(
        textwrap.dedent(TICKING).replace('os.environ.get("SAYS", "nothing")', "__import__('sys').prefix")
    )
    until_ticking(ticking, "other", str(bench.path / "env"))
    ticking.stop()


def children_of(pid):
    """(pid, state) of the processes that a process has started and not reaped."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append((int(entry.name), fields[0]))
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc")
@pytest.mark.long
def test_many_reloads_evaluations_and_runs_leave_no_zombie_and_no_descriptor(bench, daemon):
    bench.write("""
        from orchestrator import RunRequest, pipeline, sensor, step

        @step
        def nothing() -> None: ...

        @pipeline
        def work():
            nothing()

        @sensor(pipeline=work, interval=0.1, default_on=True)
        def often(context):
            number = int(context.cursor or 0) + 1
            context.update_cursor(str(number))
            if number <= 25:
                return [RunRequest(run_key=f"{number}-{half}") for half in "ab"]
    """)
    daemon.start()
    done = "SELECT count(*) AS n FROM runs WHERE status = 'SUCCESS'"
    daemon.until(lambda: bench.here("daemon", "status").code == 0, "a daemon that answers")
    daemon.until(lambda: bench.json("sql", done)[0]["n"] >= 4, "the first runs")
    pid = daemon.process.pid
    before = len(os.listdir(f"/proc/{pid}/fd"))
    for number in range(10):
        loaded = log(bench).count("location loaded")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.until(lambda loaded=loaded: log(bench).count("location loaded") > loaded, f"reload {number}")
    daemon.until(lambda: bench.json("sql", done)[0]["n"] == 50, "all runs")
    daemon.until(lambda: not bench.json("daemon", "status")["queue"]["running"], "the end of all runs")
    daemon.until(lambda: len(children_of(pid)) == 1, f"one location process, and no other child: {children_of(pid)}")
    assert [state for _, state in children_of(pid) if state == "Z"] == []
    daemon.until(lambda: len(os.listdir(f"/proc/{pid}/fd")) <= before + 2, "as many descriptors as before")
    daemon.stop()


def test_a_broken_definition_stays_in_sight_while_its_location_loads_again(bench, daemon):
    slow = "import time, pathlib\nwhile pathlib.Path('hold').exists(): time.sleep(0.05)\n"
    broken = '@schedule(cron="61 0 * * *", pipeline=leaking)\ndef never(context): ...\n'
    source = slow + textwrap.dedent(TICKING).replace("pipeline, sensor", "pipeline, schedule, sensor") + broken
    bench.write(source)
    daemon.start()

    def problems():
        return str(bench.json("status")["problems"])

    daemon.until(lambda: locations(bench).get("main", {}).get("broken"), "the broken schedule in what the daemon says")
    (bench.path / "hold").touch()
    bench.write(source + "\n")
    daemon.until(lambda: locations(bench)["main"]["state"] == "loading", "the new version to load")
    assert "not a valid minute" in problems()
    bench.write(source.replace("61 0", "1 0"))
    (bench.path / "hold").unlink()
    daemon.until(lambda: bench.json("status")["ok"], "all is well")
