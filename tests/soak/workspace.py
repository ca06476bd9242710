"""The workspace of a week: fifty schedules, fifty sensors, and a ledger that none of our own records can fool.

Each line of the ledger says what a run was for, which run it was and which attempt. A step that is killed after it has
written its line is attempted again, so what must hold is: one run for each occurrence and key, and each attempt once.
"""

SCHEDULES = 50
SENSORS = 50

SETTINGS = """
locations:
  - {name: schedules, file: schedules.py}
  - {name: sensors, file: sensors.py}
  - {name: edited, file: edited.py}
executor: {default: subprocess, max_concurrent_steps: 4}
run_queue: {max_concurrent_runs: 8}
"""

STEPS = """
import os
from dataclasses import dataclass
from orchestrator import RetryPolicy, StepContext, pipeline, step

# Whoever kills at random may hit one step more often than a sensible policy allows.
PATIENT = RetryPolicy(max_retries=20, infrastructure_retries=20)

@dataclass
class What:
    what: str

@step(retry=PATIENT)
def note(context: StepContext, config: What) -> str:
    descriptor = os.open("ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{config.what},{context.run_id},{context.attempt}\\n".encode())
    os.close(descriptor)
    return config.what

@step(retry=PATIENT)
def confirm(noted: str) -> None:
    print(noted)

@pipeline
def work():
    confirm(note())

def config(what):
    return {"steps": {"note": {"config": {"what": what}}}}
"""

SCHEDULES_SOURCE = (
    STEPS
    + f"""
from orchestrator import schedule

def make(number):
    @schedule(name=f"schedule_{{number}}", cron="* * * * *", pipeline=work, catch_up="all", overlap="allow",
              default_on=True)
    def occurrence(context):
        return config(f"schedule_{{number}}@{{context.scheduled_at:%Y-%m-%dT%H:%M}}")
    return occurrence

globals().update((f"schedule_{{number}}", make(number)) for number in range({SCHEDULES}))
"""
)

SENSORS_SOURCE = (
    STEPS
    + f"""
from pathlib import Path
from orchestrator import RunRequest, sensor

def make(number):
    @sensor(name=f"sensor_{{number}}", pipeline=work, interval=0.5 + number % 10 * 0.5, default_on=True)
    def inbox(context):
        for path in sorted(Path("inbox", str(number)).glob("*")):
            yield RunRequest(run_key=path.name, config=config(f"sensor_{{number}}@{{path.name}}"))
    return inbox

globals().update((f"sensor_{{number}}", make(number)) for number in range({SENSORS}))
"""
)

EDITED_SOURCE = """
from orchestrator import pipeline, step

@step
def hello() -> None: ...

@pipeline
def greeting():
    hello()
"""
BROKEN_SOURCE = "def greeting(:\n"


def write(bench):
    """Makes the workspace."""
    bench.settings(SETTINGS)
    for file, source in (("schedules", SCHEDULES_SOURCE), ("sensors", SENSORS_SOURCE), ("edited", EDITED_SOURCE)):
        (bench.path / f"{file}.py").write_text(source)
    for number in range(SENSORS):
        (bench.path / "inbox" / str(number)).mkdir(parents=True)
