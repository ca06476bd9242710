"""Bringing a run into being on disk: complete, or not at all."""

from __future__ import annotations

import os
import shutil

import msgspec

from orchestrator.crashpoints import crash_point
from orchestrator.layout import FILE_MODE, STATE_DIR_MODE, RunDir, StateDir
from orchestrator.locks import try_lock
from orchestrator.records import RunRecord
from orchestrator.state_dir import unusable


def create_run(state: StateDir, record: RunRecord) -> RunDir:
    """Writes the run's directory and marks it for ingestion. Raises StoreError; nothing is then left behind.

    The mark comes first, locked until the directory is there: whoever finds a mark without a directory and without a
    lock knows that the creator died.
    """
    marker = state.pending_marker(record.run_id)
    unfinished = state.runs / f".{record.run_id}.tmp"
    run_dir = state.run(record.run_id)
    try:
        lock = try_lock(marker)
        assert lock is not None, "a run id that somebody else is creating"
        try:
            unfinished.mkdir(mode=STATE_DIR_MODE)
            descriptor = os.open(unfinished / run_dir.run_json.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(record))
            unfinished.rename(run_dir.path)
        finally:
            lock.release()
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        marker.unlink(missing_ok=True)
        raise unusable(state.path, error) from error
    crash_point("run.created")
    return run_dir
