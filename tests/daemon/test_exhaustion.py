"""A daemon that may open few files does less at a time, says so, and does all of it."""

import json
import shlex
import subprocess
import sys

from orchestrator.layout import StateDir
from orchestrator.store.remote import connect

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
        return json.loads(told.out)["queue"] if told.out else {"running": 0, "waiting": {}}

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
