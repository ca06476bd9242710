"""Where the system gives no more files or processes, less is done at a time, and all of it in the end."""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.catalog.rpc_client import connect
from orchestrator.state_dir import StateDir

PIPELINES = """
    import time
    from pathlib import Path
    from orchestrator import RunRequest, pipeline, sensor, step

    @step
    def held() -> None:
        while not Path("go").exists():
            time.sleep(0.05)

    @pipeline
    def work():
        held()

    @sensor(pipeline=work, interval=3600, default_on=True)
    def many(context):
        for number in range(30):
            yield RunRequest(run_key=str(number))
"""


def test_more_runs_than_there_are_descriptors_for_wait_and_all_of_them_end(bench):
    bench.write(PIPELINES).settings(
        "locations: [{name: main, file: pipelines.py}]\nrun_queue: {max_concurrent_runs: 50}\n"
    )
    command = f"ulimit -n 64; exec {shlex.quote(sys.executable)} -m orchestrator daemon start"
    daemon = subprocess.Popen(["/bin/sh", "-c", command], cwd=bench.path, stderr=subprocess.DEVNULL)
    bench._started.append(daemon)

    def queue():
        told = bench.here("daemon", "status", "--json")
        return json.loads(told.out)["queue"] if told.code == 0 else {"running": 0, "waiting": {}}

    bench.wait_until(lambda: len(queue()["waiting"]) > 10, "runs wait")
    told = queue()
    assert 0 < told["running"] < 30
    assert all("file descriptors" in why for why in told["waiting"].values())
    silent = [connect(StateDir(bench.state)) for _ in range(40)]  # whoever holds connections keeps nobody out
    bench.here("runs", "list").ok()
    (bench.path / "go").touch()
    bench.wait_until(
        lambda: len(bench.json("runs", "list", "--status", "SUCCESS", "--limit", "100")) == 30, "all runs have ended"
    )
    assert all(concern["error"] is None for concern in bench.json("daemon", "status")["concerns"])
    for one in silent:
        if one is not None:
            one.close()
    daemon.terminate()
    assert daemon.wait(30) == 0


# A machine without room for another process, for as long as the file `full` is there: as `ulimit -u` makes it, which
# does not hold for root.
FULL = """
    import errno
    import os
    import subprocess
    from pathlib import Path
    from orchestrator import RetryPolicy, RunRequest, pipeline, sensor, step

    FULL = Path("full").absolute()

    def refusing(start):
        def refuse_or_start(*arguments):
            if FULL.exists():
                with open(FULL, "a") as file:
                    file.write("refused\\n")
                raise OSError(getattr(errno, os.environ.get("WHY", "EAGAIN")), "no room")
            return start(*arguments)
        return refuse_or_start

    os.fork = refusing(os.fork)
    subprocess._fork_exec = refusing(subprocess._fork_exec)

    @step(retry=RetryPolicy(max_retries=0, infrastructure_retries=0))
    def one() -> int:
        return 1

    @step(retry=RetryPolicy(max_retries=0, infrastructure_retries=0))
    def two(value: int) -> None:
        assert value == 1

    @pipeline
    def work():
        two(one())

    @sensor(pipeline=work, interval=0.2)
    def ask(context):
        yield RunRequest(run_key="only")
"""


def full(bench):
    (bench.path / "full").write_text("")
    return lambda: (bench.path / "full").read_text().count("refused") > 2


@pytest.mark.long
@pytest.mark.parametrize("isolation", ["fork", "spawn"])
@pytest.mark.parametrize("why", ["EAGAIN", "ENOMEM"])
def test_a_step_that_cannot_be_started_waits_for_room_and_uses_up_no_retries(bench, isolation, why):
    bench.write(FULL).settings(f"locations: [{{name: main, file: pipelines.py, isolation: {isolation}}}]")
    refused = full(bench)
    run = bench.start("run", "work", WHY=why)
    bench.wait_until(refused, "processes were refused")
    (bench.path / "full").unlink()
    assert run.wait(30) == 0, run.communicate()
    launched = [event for event in bench.events() if event["event"] == "attempt_launched"]
    assert [(event["step"], event["attempt"]) for event in launched] == [("one", 1), ("two", 1)]


def test_a_step_that_waits_for_room_can_be_canceled(bench):
    bench.write(FULL)
    refused = full(bench)
    run = bench.start("run", "work")
    bench.wait_until(refused, "processes were refused")
    bench.here("runs", "cancel", "last").ok()
    run.wait(30)
    assert bench.json("runs", "show", "last")["status"] == "CANCELED"


@pytest.mark.long
def test_a_sensor_that_cannot_be_asked_waits_for_room_and_the_daemon_answers_meanwhile(daemon):
    bench = daemon.bench
    bench.write(FULL)
    daemon.start()
    bench.wait_until(lambda: evaluators(bench, daemon), "the location is loaded")
    refused = full(bench)
    for pid in evaluators(bench, daemon):
        os.kill(pid, signal.SIGKILL)
    bench.here("sensor", "start", "ask").ok()
    bench.wait_until(refused, "processes were refused")
    bench.here("status")
    (bench.path / "full").unlink()
    bench.wait_until(lambda: bench.json("runs", "list", "--status", "SUCCESS"), "the run has ended")
    (tick,) = (tick for tick in bench.json("sensor", "ticks", "ask") if tick["status"] != "SKIPPED")
    assert tick["status"] == "SUCCESS"


def evaluators(bench, daemon):
    locations = [pid for pid in bench.processes() if parent(pid) == daemon.process.pid]
    return [pid for pid in bench.processes() if parent(pid) in locations]


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
