"""Follows a run that another process drives: its events and log lines as they come."""

from __future__ import annotations

import time
from collections.abc import Iterator

from orchestrator.clock import monotonic
from orchestrator.model.event_lines import LONG_AGO, decode_lines
from orchestrator.model.events import AnyEvent, AttemptEvent, LogEmitted, RunFinished, RunInterrupted
from orchestrator.model.log_lines import Lines, Logged, last_of
from orchestrator.runlog.logs import LogFile, LogReader, as_lines, attempt_lines
from orchestrator.runlog.run_log import RunLog

_PAUSE_S = 0.1
# How often the owner of a run is reminded that it is watched. It believes so for longer.
_MARK_S = 10.0


def follow_events(run_log: RunLog) -> Iterator[AnyEvent]:
    """The events of a run from the first on, and new ones as they come, until it is over or has no owner."""
    offset, at = 0, LONG_AGO
    if run_log.is_packed():
        yield from run_log.events()
        return
    while True:
        going = _is_going(run_log)
        read = run_log.lines(offset)
        offset = read.offset
        for event in decode_lines(read.lines, at):
            at = event.at
            yield event
            if isinstance(event, (RunFinished, RunInterrupted)):
                return
        if not going:
            return
        time.sleep(_PAUSE_S)


def log_lines(run_log: RunLog, step: str | None) -> Iterator[Lines]:
    """Everything that the attempts of a run, or of one step, have printed and logged so far: one attempt after another
    as they began, each in the order of writing."""
    logged: dict[tuple[str, int], list[Logged]] = {}
    for event in run_log.events():
        if isinstance(event, AttemptEvent) and step in (None, event.step):
            lines = logged.setdefault((event.step, event.attempt), [])
            if isinstance(event, LogEmitted):
                lines.append(_logged(event))
    files: dict[tuple[str, int], list[LogFile]] = {}
    for source in run_log.log_files(step):
        files.setdefault((source.step, source.attempt), []).append(source)
    for key in dict.fromkeys([*logged, *files]):
        yield from attempt_lines(key[0], files.get(key, []), logged.get(key, []))


def follow_log_lines(run_log: RunLog, step: str | None, tail: int | None = None) -> Iterator[Lines]:
    """The same as it comes, until the run is over or has no owner; of what is there already, the last `tail` lines.
    Lines of different streams that are written in the same tenth of a second may change places."""
    readers: dict[str, LogReader] = {}
    offset, marked = 0, -_MARK_S
    while True:
        going = _is_going(run_log)
        if going and monotonic() - marked >= _MARK_S:
            run_log.mark_followed()
            marked = monotonic()
        read = run_log.lines(offset)
        offset = read.offset
        logged = [event for event in decode_lines(read.lines) if isinstance(event, LogEmitted)]
        new = [as_lines(event.step, _logged(event)) for event in logged if step in (None, event.step)]
        for source in run_log.log_files(step):
            reader = readers.setdefault(str(source.path), LogReader(source))
            new += [Lines(source.step, source.stream, lines) for lines in reader.new_lines(final=not going)]
        yield from new if tail is None else last_of(new, tail)
        tail = None
        if not going:
            return
        time.sleep(_PAUSE_S)


def _logged(event: LogEmitted) -> Logged:
    return Logged(event.at, event.level, event.logger, event.message)


def _is_going(run_log: RunLog) -> bool:
    """Whether lines may still come. Asked before reading: an owner that ends in between has left its last lines.

    A run that is being created has no journal yet, and no owner. Its owner takes the lock first, so the journal is
    looked for before the lock: the other way round, a run that begins in between would be taken for one that is over.
    """
    return run_log.is_being_created() or run_log.is_owned()
