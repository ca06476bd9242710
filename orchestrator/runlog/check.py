"""Finds damage in the files of runs. Changes nothing."""

from __future__ import annotations

import os
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from orchestrator.layout import RunDir
from orchestrator.model.event_lines import Undecodable, decode_line
from orchestrator.model.events import AnyEvent, AttemptEvent, EventUnreadable
from orchestrator.regular import read_regular, why
from orchestrator.runlog.files import is_packed, packed_file, packed_logs, read_journal, unpacked
from orchestrator.runlog.run_log import RunLog

DAMAGED_ARCHIVE = (OSError, EOFError, tarfile.TarError, zlib.error, ValueError)


def unreadable_parts(run_log: RunLog, events: list[AnyEvent]) -> Iterator[str]:
    """What cannot be read of a run whose record and journal can, a sentence each. `events`: those of its journal."""
    directory = run_log.paths
    bad = sum(isinstance(event, EventUnreadable) and not event.step for event in events)
    if is_packed(directory):
        yield from _packed_problems(directory)
        return
    if bad:
        yield from _bad_lines(directory)
    if not directory.steps.is_dir() and any(isinstance(event, AttemptEvent) for event in events):
        yield f"the directory `steps` of run {run_log.run_id} is missing: what its steps printed is gone"


def is_event(line: bytes) -> bool:
    """Whether a line of a journal can be read."""
    try:
        decode_line(line)
    except Undecodable:
        return False
    return True


def archive_problem(path: Path) -> str | None:
    """Why an archive of logs cannot be read; None when it can."""
    try:
        with tarfile.open(path) as archive:
            archive.getnames()
    except DAMAGED_ARCHIVE as error:
        return why(error)
    return None


def _bad_lines(directory: RunDir) -> Iterator[str]:
    for number, line in enumerate(read_journal(directory).lines):
        if not is_event(line):
            yield f"line {number + 1} of the journal of run {directory.run_id} cannot be read"


def _packed_problems(directory: RunDir) -> Iterator[str]:
    problem = unpacked(read_regular(packed_file(directory)))[1]
    if problem is not None:
        yield f"the packed files of run {directory.run_id} are damaged: {problem}"
    path = packed_logs(directory)
    if os.path.lexists(path) and (problem := archive_problem(path)) is not None:
        yield f"what run {directory.run_id} printed cannot be read: {problem}"
