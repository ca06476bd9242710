"""Creates a run on disk: complete, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec

from orchestrator.crashpoints import crash_point
from orchestrator.layout import RunsDir
from orchestrator.locks import try_lock
from orchestrator.model.run import RunRecord
from orchestrator.private_file import DIR_MODE, FILE_MODE
from orchestrator.runlog.run_log import RunLog
from orchestrator.state_dir import StateDir, unusable


def create_run(state: StateDir, record: RunRecord) -> RunLog:
    """Writes the run's directory and marks it for ingestion. Raises StoreError; nothing is then left behind.

    The mark comes first, locked until the directory is there: a mark without a directory and without a
    lock knows that the creator died.
    """
    runs = RunsDir(state.path)
    marker = runs.pending_marker(record.run_id)
    unfinished = runs.unfinished(record.run_id)
    run_dir = runs.run(record.run_id)
    try:
        lock = try_lock(marker)
        assert lock is not None, "a run id that another process is creating"
        try:
            if unfinished.exists():  # a daemon that was killed in the middle of this left it, and the run waits still
                shutil.rmtree(unfinished)
            unfinished.mkdir(mode=DIR_MODE)
            descriptor = os.open(unfinished / run_dir.run_json.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(record))
            crash_point("run.written")
            unfinished.rename(run_dir.path)
        finally:
            lock.release()
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        marker.unlink(missing_ok=True)
        raise unusable(state.path, error) from error
    crash_point("run.created")
    return RunLog(state, record.run_id)


def make_durable(state: StateDir, run_ids: Iterable[str]) -> None:
    """Returns once these runs, as far as they have come, would survive a power cut. Raises StoreError.

    Call it before deleting what a run could be created from again. A process that is killed loses nothing
    anyhow: only what the kernel has not written yet goes with the power.
    """
    runs = RunsDir(state.path)
    directories = [runs.run(run_id) for run_id in run_ids]
    try:
        for run_dir in directories:
            for path in (run_dir.run_json, run_dir.journal, run_dir.path):
                _sync(path)
        if directories:
            _sync(runs.runs)
    except OSError as error:
        raise unusable(state.path, error) from error


def _sync(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return  # it was packed or deleted meanwhile: it is over, and there is nothing to lose
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
