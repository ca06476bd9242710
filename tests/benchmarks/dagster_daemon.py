"""Dagster's daemon doing what ours is measured at: a sensor that asks for a run, and a minute of doing nothing."""

import json
import signal
import statistics
import subprocess
import textwrap
import time

from tests.benchmarks.measure import memory_of_tree
from tests.benchmarks.watched import cpu_s_of_tree

PATIENCE_S = 120
ASKING = """
    import time
    from dagster import DefaultSensorStatus, Definitions, RunRequest, job, op, sensor

    @op
    def nothing() -> None:
        pass

    @job
    def work():
        nothing()

    @sensor(job=work, minimum_interval_seconds=1, default_status=DefaultSensorStatus.RUNNING)
    def asking(context):
        yield RunRequest(run_key=None, tags={"asked_at": repr(time.time())})

    defs = Definitions(jobs=[work], sensors=[asking])
"""
RESTING = """
    from dagster import DefaultScheduleStatus, DefaultSensorStatus, Definitions, ScheduleDefinition
    from dagster import SensorDefinition, SkipReason, job, op

    @op
    def nothing() -> None:
        pass

    @job
    def work():
        nothing()

    sensors = [
        SensorDefinition(name=f"looks_{n}", job=work, evaluation_fn=lambda _: SkipReason("nothing"),
                         minimum_interval_seconds=30, default_status=DefaultSensorStatus.RUNNING)
        for n in range(100)
    ]
    schedules = [
        ScheduleDefinition(name=f"rests_{n}", job=work, cron_schedule="0 3 1 1 *",
                           default_status=DefaultScheduleStatus.RUNNING)
        for n in range(100)
    ]
    defs = Definitions(jobs=[work], sensors=sensors, schedules=schedules)
"""
STARTS = """
    import json
    from dagster import DagsterInstance
    with DagsterInstance.get() as instance:
        print(json.dumps([record.start_time - float(record.dagster_run.tags["asked_at"])
                          for record in instance.get_run_records() if record.start_time]))
"""


def sensor_latency(programs, path, environment, samples=5):
    """Seconds from a sensor's look to the start of the run it asks for; the median of a few, None if it starts none."""
    with _daemon(programs, path, environment, ASKING):
        deadline = time.monotonic() + PATIENCE_S
        found = []
        while len(found) < samples and time.monotonic() < deadline:
            time.sleep(5)
            command = [programs / "python", "-c", textwrap.dedent(STARTS)]
            done = subprocess.run(command, cwd=path, env=environment, capture_output=True, text=True, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
    return statistics.median(found) if found else None


def idle(programs, path, environment):
    """(processor seconds a minute, memory in MB) with 100 sensors and 100 schedules that have nothing to do."""
    with _daemon(programs, path, environment, RESTING) as process:
        time.sleep(40)
        before = cpu_s_of_tree(process.pid)
        time.sleep(60)
        return cpu_s_of_tree(process.pid) - before, memory_of_tree(process.pid) / 1e6


class _daemon:
    def __init__(self, programs, path, environment, source):
        path.mkdir(parents=True, exist_ok=True)
        (path / "daemon_jobs.py").write_text(textwrap.dedent(source))
        self._start = {
            "args": [programs / "dagster-daemon", "run", "-f", "daemon_jobs.py"],
            "cwd": path,
            "env": environment,
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
        }

    def __enter__(self):
        self._process = subprocess.Popen(**self._start)
        return self._process

    def __exit__(self, *_):
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
