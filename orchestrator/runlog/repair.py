"""Repairs the files of runs. Deletes nothing: damaged files move below the backups. Each change is reported in a
sentence.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from orchestrator.ids import RUN_ID
from orchestrator.journal import read_lines
from orchestrator.layout import RunDir, RunsDir
from orchestrator.locks import is_locked
from orchestrator.model.event_lines import LONG_AGO, decode_line, decode_lines
from orchestrator.model.events import AttemptEvent, encode_line
from orchestrator.private_file import DIR_MODE, write_atomically
from orchestrator.regular import read_regular
from orchestrator.runlog.check import archive_problem, is_event
from orchestrator.runlog.files import is_packed, packed_file, packed_logs, unpacked
from orchestrator.runlog.inventory import leftovers, strange_marks
from orchestrator.runlog.run_log import RunLog
from orchestrator.state_dir import StateDir, unused


class Aside:
    """Where damaged files are moved to: a directory below the backups, created with the first of them."""

    def __init__(self, state: StateDir, now: datetime) -> None:
        self._state = state
        self._directory = state.backups / f"{now:%Y%m%dT%H%M%S}-damaged"

    def take(self, path: Path) -> Path:
        """Moves a file or directory there; where it is now."""
        place = unused(self._directory / path.relative_to(self._state.path))
        place.parent.mkdir(mode=DIR_MODE, parents=True, exist_ok=True)
        return path.rename(place)


def repair_names(state: StateDir, aside: Aside) -> Iterator[str]:
    """Moves away what has the name of a file of the state directory and is something else."""
    runs = RunsDir(state.path)
    for path in (state.lock, state.daemon_lock, state.daemon_sock, state.daemon_json, runs.deleted):
        if os.path.lexists(path) and (path.is_symlink() or not (path.is_file() or path.is_socket())):
            yield f"{path} was no file of ours. It is in {aside.take(path)} now."
    for path in (runs.admission_lock, state.daemon_log, state.daemon_err):
        if os.path.lexists(path) and not path.is_file():  # a link to a file may be intended
            yield f"{path} was no file. It is in {aside.take(path)} now."
    for path in list(strange_marks(state)):
        yield f"{path} was no mark of a run. It is in {aside.take(path)} now."


def named_runs(state: StateDir) -> list[RunLog]:
    """Everything that has the name of a run, by id, whether it is a run or not."""
    names = sorted(os.listdir(RunsDir(state.path).runs))  # noqa: PTH208
    return [RunLog(state, name) for name in names if RUN_ID.fullmatch(name)]


def repair_place(run_log: RunLog, aside: Aside) -> Iterator[str]:
    """Moves away what is in the place of a run, or of its lock, and cannot be one."""
    directory = run_log.paths
    if directory.path.is_symlink() or not directory.path.is_dir():
        yield f"{directory.path} was no directory of a run. It is in {aside.take(directory.path)} now."
        return
    lock = directory.owner_lock
    if os.path.lexists(lock) and (lock.is_symlink() or not lock.is_file()):
        yield f"{lock} was no file of ours. It is in {aside.take(lock)} now."


def repair_journal(run_log: RunLog, indexed: Callable[[], list[bytes]], aside: Aside) -> Iterator[str]:
    """Puts a journal together from what is on disk and from what the index has of it (`indexed`). For its owner."""
    directory = run_log.paths
    found, is_whole = _lines_on_disk(directory)
    wanted, replaced = repaired_lines(found, indexed())
    if is_whole and wanted == found:
        return
    original = packed_file(directory) if is_packed(directory) else directory.journal
    if original == packed_file(directory):
        write_atomically(directory.run_json, unpacked(read_regular(original))[0][0] + b"\n", sync=True)
    where = aside.take(original) if os.path.lexists(original) else None
    write_atomically(directory.journal, b"".join(line + b"\n" for line in wanted), sync=True)
    lost = f" {replaced} of its lines could not be read and are marked as such." if replaced else ""
    restored = len(wanted) - len(found)
    back = f" {restored} lines came back from the index." if restored > 0 else ""
    kept = f" The original is in {where}." if where else ""
    yield f"The journal of run {run_log.run_id} was repaired.{lost}{back}{kept}"


def repaired_lines(found: list[bytes], indexed: list[bytes]) -> tuple[list[bytes], int]:
    """The lines of a journal with each one that cannot be read replaced: by what the index has in its place, or by an
    event that says so; and how many of the latter there are. Lines that the index has beyond the end come back."""
    wanted, replaced, at = [], 0, LONG_AGO
    for number, line in enumerate(found):
        good = next((one for one in (line, *indexed[number : number + 1]) if is_event(one)), None)
        if good is None:
            good = encode_line(decode_lines([line], at)[0])[:-1]
            replaced += 1
        at = decode_line(good).at
        wanted.append(good)
    if wanted == indexed[: len(wanted)]:
        wanted += [line for line in indexed[len(wanted) :] if is_event(line)]
    return wanted, replaced


def repair_output(run_log: RunLog, aside: Aside) -> Iterator[str]:
    """Moves away logs that cannot be read, and creates the directory of attempts when it is missing."""
    directory = run_log.paths
    if is_packed(directory):
        path = packed_logs(directory)
        if os.path.lexists(path) and archive_problem(path) is not None:
            yield f"What run {run_log.run_id} printed could not be read. It is in {aside.take(path)} now."
    elif not directory.steps.is_dir() and _has_attempts(directory):
        if os.path.lexists(directory.steps):
            aside.take(directory.steps)
        directory.steps.mkdir(mode=DIR_MODE)
        yield f"What the steps of run {run_log.run_id} printed is gone: its directory `steps` was missing."


def remove_leftovers(state: StateDir, aside: Aside) -> Iterator[str]:
    """Moves away what was left by runs that were never created."""
    for path in leftovers(state):
        if not is_locked(path):
            yield f"{path} was left by a run that never came into being. It is in {aside.take(path)} now."


def _lines_on_disk(directory: RunDir) -> tuple[list[bytes], bool]:
    """The lines that can be read, and whether that is all of the file."""
    try:
        if is_packed(directory):
            lines, problem = unpacked(read_regular(packed_file(directory)))
            return lines[1:], problem is None
        return read_lines(directory.journal).lines, True
    except OSError:
        return [], False


def _has_attempts(directory: RunDir) -> bool:
    return any(isinstance(event, AttemptEvent) for event in decode_lines(read_lines(directory.journal).lines))
