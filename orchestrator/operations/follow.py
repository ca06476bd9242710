"""Following a run that somebody else drives: its events and log lines as they come. Has no part in the run, and shows
nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.event_lines import LONG_AGO, decode_lines
from orchestrator.events import AnyEvent, LogEmitted, RunFinished, RunInterrupted
from orchestrator.layout import RunDir
from orchestrator.operations.history import is_driven
from orchestrator.operations.logs import LogReader, log_files
from orchestrator.run_files import is_packed, read_journal

_PAUSE_S = 0.1


def events_of(run_dir: RunDir) -> list[AnyEvent]:
    """All events of a run so far."""
    return decode_lines(read_journal(run_dir).lines)


def follow_events(run_dir: RunDir) -> Iterator[AnyEvent]:
    """The events of a run from the first on, and new ones as they come, until it is over or nobody drives it."""
    offset, at = 0, LONG_AGO
    if is_packed(run_dir):
        yield from events_of(run_dir)
        return
    while True:
        driven = is_driven(run_dir)  # before reading: an owner that ends in between has left its last lines
        read = read_journal(run_dir, offset)
        offset = read.offset
        for event in decode_lines(read.lines, at):
            at = event.at
            yield event
            if isinstance(event, (RunFinished, RunInterrupted)):
                return
        if not driven and not _is_unborn(run_dir, offset):
            return
        time.sleep(_PAUSE_S)


@dataclass(frozen=True)
class LogLine:
    """A line that a step wrote: to `stdout` or `stderr`, or, with a level, through its logger (`log`)."""

    step: str
    stream: str
    text: str
    level: str = ""


def log_lines(run_dir: RunDir, step: str | None, *, follow: bool) -> Iterator[LogLine]:
    """What attempts logged and printed. Without `follow`, all of it by step; with it, as it comes, until the run is
    over or nobody drives it."""
    readers: dict[str, LogReader] = {}
    offset = 0
    while True:
        driven = follow and is_driven(run_dir)
        read = read_journal(run_dir, offset)
        offset = read.offset
        for event in decode_lines(read.lines):
            if isinstance(event, LogEmitted) and step in (None, event.step):
                yield LogLine(event.step, "log", event.message, event.level)
        for source in log_files(run_dir, step):
            reader = readers.setdefault(str(source.path), LogReader(source))
            for line in reader.new_lines(final=not driven):
                yield LogLine(source.step, source.stream, line)
        if not driven:
            return
        time.sleep(_PAUSE_S)


def _is_unborn(run_dir: RunDir, offset: int) -> bool:
    return offset == 0 and run_dir.path.exists() and not run_dir.journal.exists()
