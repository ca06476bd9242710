"""Runs as they lie on disk, written without running anything."""

from datetime import UTC, datetime, timedelta

from orchestrator.ids import new_run_id
from orchestrator.journal import JournalWriter
from orchestrator.layout import RunsDir
from orchestrator.model import events as ev
from orchestrator.model.events import encode_line
from orchestrator.model.run import RunRecord, Trigger
from orchestrator.model.states import RunState
from orchestrator.runlog.creation import create_run

START = datetime(2026, 1, 1, tzinfo=UTC)
OWNER = ev.Owner("foreground", 1, "here")


def at(seconds):
    return START + timedelta(seconds=seconds)


def a_run(state, *, seconds=0, **more):
    """A run that was created and has no events yet."""
    fields = {
        "run_id": new_run_id(),
        "pipeline": "people",
        "location": "main",
        "mode": "default",
        "created_at": at(seconds),
        "trigger": Trigger(),
        **more,
    }
    return RunsDir(state.path).run(create_run(state, RunRecord(**fields)).run_id)


def append(run_dir, *events):
    writer = JournalWriter(run_dir.journal)
    writer.append([encode_line(event) for event in events])
    writer.close()
    return run_dir


def started(seconds=1):
    return ev.RunStarted(at=at(seconds), owner=OWNER)


def finished(status=RunState.SUCCESS, seconds=9):
    return ev.RunFinished(at=at(seconds), status=status)


def a_step(step="load", seconds=2, attempt=1):
    """The events of a step that went well."""
    common = {"step": step, "attempt": attempt}
    return (
        ev.AttemptLaunched(at=at(seconds), executor="subprocess", **common),
        ev.AttemptStarted(at=at(seconds), n=0, pid=1, host="here", **common),
        ev.AttemptSucceeded(at=at(seconds + 1), n=1, seconds=1.0, outputs={"result": None}, **common),
    )


def an_asset(*key, seconds=3, partition=None, **metadata):
    return ev.AssetMaterialized(
        at=at(seconds), step="load", attempt=1, n=1, asset=key, partition=partition, metadata=metadata
    )


def a_finished_run(state, *events, status=RunState.SUCCESS, **more):
    return append(a_run(state, **more), started(), *a_step(), *events, finished(status))
