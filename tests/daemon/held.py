"""Pipelines whose steps wait until they are told to go on, and putting runs of them into the queue quickly."""

import os
from pathlib import Path

from orchestrator.planning.plan import PlanRequest
from orchestrator.service.enqueue import enqueue_run
from orchestrator.service.workspace import Workspace
from orchestrator.settings import load_settings

# A step notes `what:begin:attempt:pid` in the ledger, waits for the file `go` or `go-WHAT`, and notes its end.
HELD = """
    import os, time
    from dataclasses import dataclass
    from pathlib import Path
    from orchestrator import pipeline, resource, step

    @dataclass
    class What:
        what: str = "x"

    def note(*words):
        descriptor = os.open("ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, (":".join(map(str, words)) + "\\n").encode())
        os.close(descriptor)

    def wait_for(what):
        while not (Path("go").exists() or Path(f"go-{what}").exists()):
            time.sleep(0.02)

    @resource
    def torn_down():
        yield "in use"
        note("torn", "down")

    @step
    def hold(config: What) -> str:
        note(config.what, "begin", os.environ["ORCHESTRATOR_ATTEMPT"], os.getpid())
        wait_for(config.what)
        note(config.what, "end", os.environ["ORCHESTRATOR_ATTEMPT"], os.getpid())
        return config.what

    @step
    def after(what: str) -> None:
        note(what, "after")

    @pipeline
    def held():
        hold()

    @pipeline
    def chain():
        after(hold())
"""


def enqueue(bench, *whats, pipeline="held", tags=None, executor=None):
    """Puts a run for each name into the queue, in that order; their ids."""
    workspace = Workspace(load_settings(bench.path / ".orchestrator.yaml"))
    before = Path.cwd()
    os.chdir(bench.path)
    try:
        return [
            enqueue_run(
                workspace,
                PlanRequest(
                    pipeline=pipeline,
                    config={"steps": {"hold": {"config": {"what": what}}}},
                    tags=(tags or {}).get(what, {}),
                    executor=executor,
                ),
            )
            for what in whats
        ]
    finally:
        workspace.close()
        os.chdir(before)


def begun(bench):
    """What has begun, in order."""
    return [line.split(":")[0] for line in bench.ledger() if ":begin:" in line]


def ended(bench):
    return [line.split(":")[0] for line in bench.ledger() if ":end:" in line]


def go(bench, *whats):
    """Lets steps go on: those, or all."""
    for name in [f"go-{what}" for what in whats] or ["go"]:
        (bench.path / name).touch()


def pid_of(bench, what):
    """The process id of the last attempt for that name."""
    return int(next(line.split(":")[3] for line in reversed(bench.ledger()) if line.startswith(f"{what}:begin:")))


def statuses(bench):
    """The state of every run, by id."""
    return {run["run_id"]: run["status"] for run in bench.json("runs", "list", "--limit", "0")}
