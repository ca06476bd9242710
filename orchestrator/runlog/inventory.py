"""Lists the runs of a state directory: those on disk, those the index lacks something of, and leftovers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from orchestrator import clock
from orchestrator.ids import RUN_ID
from orchestrator.layout import RunsDir
from orchestrator.runlog.run_log import RunLog
from orchestrator.state_dir import StateDir, in_the_way, unusable

# What was left by a run that was never created, once it is older than creation can take.
_LEFT_OVER_S = 3600


def run_ids_on_disk(state: StateDir) -> list[str]:
    """The ids of all runs that have a directory."""
    try:
        return sorted(entry.name for entry in os.scandir(RunsDir(state.path).runs) if RUN_ID.fullmatch(entry.name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def all_runs(state: StateDir) -> list[RunLog]:
    """All runs that have a directory, by id."""
    return [RunLog(state, run_id) for run_id in run_ids_on_disk(state)]


def pending_runs(state: StateDir) -> list[str]:
    """The ids of the runs whose journals may hold lines that the index lacks. Other names are ignored. Raises
    StoreError when the directory may not be read."""
    pending = RunsDir(state.path).pending
    try:
        return sorted(entry.name for entry in os.scandir(pending) if RUN_ID.fullmatch(entry.name))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError as error:
        raise unusable(pending, error) from error


def ownerless(state: StateDir, run_ids: set[str]) -> set[str]:
    """Which of these runs no process drives at this moment. Raises StoreError."""
    try:
        return {run_id for run_id in run_ids if not RunLog(state, run_id).is_owned()}
    except OSError as error:
        raise unusable(RunsDir(state.path).runs, error) from error


def require_access(state: StateDir) -> None:
    """Raises StoreError when the runs may not be looked at: a daemon could do nothing."""
    runs = RunsDir(state.path).runs
    try:
        with os.scandir(runs) as entries:
            for entry in entries:
                os.stat(entry.path)  # noqa: PTH116
                break
    except PermissionError as error:
        raise in_the_way(runs, error) from error
    except OSError:
        pass  # there are none, or a repair has something to do: that is said where it is met


def strange_marks(state: StateDir) -> Iterator[Path]:
    """What lies among the marks of pending runs and is none."""
    for entry in sorted(os.scandir(RunsDir(state.path).pending), key=lambda one: one.name):
        if not RUN_ID.fullmatch(entry.name) or not entry.is_file(follow_symlinks=False):
            yield Path(entry.path)


def leftovers(state: StateDir) -> list[Path]:
    """What was left, over an hour ago, by runs that were never created."""
    entries = (entry for entry in os.scandir(RunsDir(state.path).runs) if entry.name.startswith("."))
    now = clock.now().timestamp()
    return [Path(entry.path) for entry in entries if now - entry.stat().st_mtime > _LEFT_OVER_S]
