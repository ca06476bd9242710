"""Runs in words and tables: the list, one run with its steps, what failed and what to do. Reads no file of a run, and
asks the store nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from orchestrator.cli.output import Cell, Painter, table
from orchestrator.cli.styles import BOLD, DIM, RED, RUN_STYLES, STEP_STYLES, STEP_WORDS
from orchestrator.clock import format_duration
from orchestrator.errors import shortened
from orchestrator.model.asset import is_special_metadata
from orchestrator.model.error_info import ErrorInfo, Frame
from orchestrator.model.run import RunSummary, Trigger
from orchestrator.model.states import RunState, StepState

# A run with more steps than this is summarised; every step stands in `runs show --steps`.
MOST_STEPS = 40
MOST_ASSETS = 20
MOST_FAILURES = 10
LAST_LINES = 8
LONGEST_LINE = 300
_MESSAGE_LINES = 20
MOST_FRAMES = 16
# Where Python keeps its own modules and those that were installed, in every interpreter and environment.
_LIBRARY = re.compile(r"/lib(?:64)?/python3[^/]*/(?:(?:site|dist)-packages/)?([^/]+)")


def run_table(runs: Sequence[RunSummary], now: datetime, interrupted: Container[str] = (), *, margin: int = 0) -> str:
    """Runs as a table, newest first. Those in `interrupted` are shown as without an owner."""
    rows = []
    for run in runs:
        symbol, code = RUN_STYLES[run.status]
        gone = run.run_id in interrupted
        rows.append(
            [
                Cell(run.run_id, BOLD),
                run.pipeline,
                Cell("✗ owner gone", RED) if gone else Cell(f"{symbol} {run.status}", code),
                ago(run.created_at, now),
                duration(run, now),
                run.mode,
                trigger_words(run.trigger),
            ]
        )
    return table(
        ["RUN", "PIPELINE", "STATUS", "CREATED", "TOOK", "MODE", "TRIGGER"], rows, right=frozenset({4}), margin=margin
    )


def ago(instant: datetime, now: datetime) -> str:
    """How long ago, in words; the date when it is more than a week."""
    seconds = (now - instant).total_seconds()
    if seconds < -5:
        return instant.astimezone().strftime("%Y-%m-%d %H:%M")
    if seconds < 60:
        return "just now" if seconds < 5 else f"{int(seconds)}s ago"
    if seconds < 3600:
        return f"{int(seconds // 60)}m ago"
    if seconds < 86400:
        return f"{int(seconds // 3600)}h ago"
    if seconds < 7 * 86400:
        return f"{int(seconds // 86400)}d ago"
    return instant.astimezone().strftime("%Y-%m-%d %H:%M")


def duration(run: RunSummary, now: datetime) -> str:
    """How long the run took, or has been going on."""
    if run.started_at is None:
        return ""
    return format_duration(((run.finished_at or now) - run.started_at).total_seconds())


def trigger_words(trigger: Trigger) -> str:
    """Why the run exists."""
    return trigger.kind if trigger.name is None else f"{trigger.kind} {trigger.name}"


def counts(states: Sequence[StepState]) -> str:
    """ "12 steps: 10 succeeded, 1 skipped" """
    found = Counter(states)
    parts = [f"{found[state]:,} {STEP_WORDS[state]}" for state in STEP_WORDS if found[state]]
    total = f"{len(states):,} step{'' if len(states) == 1 else 's'}"
    return f"{total}: {', '.join(parts)}" if parts else total


def headline(
    run: RunSummary, states: Sequence[StepState], now: datetime, paint: Painter, *, is_abandoned: bool = False
) -> str:
    """One line that says how a run went."""
    symbol, code = ("✗", RED) if is_abandoned else RUN_STYLES[run.status]
    status = paint(f"{BOLD};{code}", f"{symbol} {'owner gone' if is_abandoned else run.status}")
    took = duration(run, now)
    took = f" in {took}" if took and run.status in (RunState.SUCCESS, RunState.FAILURE, RunState.CANCELED) else ""
    return f"{status}  {paint(BOLD, run.pipeline)}  run {run.run_id}{took}  {paint(DIM, counts(states))}"


def step_line(key: str, state: StepState, seconds: float | None, note: str, paint: Painter, pad: int) -> str:
    """One step."""
    symbol, code = STEP_STYLES[state]
    took = format_duration(seconds) if seconds is not None else ""
    return f"  {paint(code, symbol)} {key.ljust(pad)}  {took:>7}  {paint(DIM, note)}".rstrip()


def error_lines(error: ErrorInfo, paint: Painter, indent: str = "    ") -> Iterator[str]:
    """An error with the user's own lines that led to it, innermost last, and then what caused it."""
    lines = error.message.strip().split("\n")[1:]
    for line in lines[:_MESSAGE_LINES]:
        yield f"{indent}{shortened(line)}"
    if (more := len(lines) - _MESSAGE_LINES) > 0:
        yield f"{indent}{paint(DIM, f'... ({more:,} more lines: orchestrator runs show --json)')}"
    for frame in few(list(without_library_frames(error.frames))):
        if isinstance(frame, str):
            yield f"{indent}{paint(DIM, frame)}"
            continue
        yield f"{indent}{paint(DIM, f'{frame.file}:{frame.line} in {frame.function}')}"
        if frame.source:
            yield f"{indent}  {frame.source}"
    for name, value in error.metadata.items():
        yield f"{indent}{name}: {metadata_words(value)}"
    if error.cause is not None:
        yield f"{indent}{paint(RED, 'caused by')} {error.cause.headline()}"
        yield from error_lines(error.cause, paint, indent)


def without_library_frames(frames: Sequence[Frame]) -> Iterator[Frame | str]:
    """The user's own frames, and for each stretch of others a line that says where it is and how long.

    Frames inside of a library rarely help; `runs show --json` has all of it. An error
    without any frame of the user's keeps them all.
    """
    libraries = [_library(frame.file) for frame in frames]
    if all(libraries):
        yield from frames
        return
    for is_users, stretch in groupby(zip(frames, libraries, strict=True), key=lambda pair: pair[1] is None):
        inside = list(stretch)
        if is_users:
            yield from _told_once(frame for frame, _ in inside)
        else:
            count = f"{len(inside)} frame{'' if len(inside) == 1 else 's'}"
            yield f"({count} inside {', '.join(dict.fromkeys(str(library) for _, library in inside))})"


def _told_once(frames: Iterable[Frame]) -> Iterator[Frame | str]:
    """Frames, and of one that repeats itself, as in endless recursion, the first. How often is not known: of very many
    frames only some were kept."""
    for frame, same in groupby(frames):
        yield frame
        if len(list(same)) > 1:
            yield "(the same again and again)"


def few(frames: Sequence[Frame | str]) -> list[Frame | str]:
    """The outermost and the innermost frames when there are more than a screen can hold."""
    if len(frames) <= MOST_FRAMES:
        return list(frames)
    half = MOST_FRAMES // 2
    return [*frames[:half], f"({len(frames) - 2 * half} frames between)", *frames[-half:]]


def _library(file: str) -> str | None:
    """What people call the library that a file belongs to; None for a file of the user's own."""
    installed = _LIBRARY.search(file)
    if installed is not None:
        return installed[1].removesuffix(".py")
    # Cython names its sources relative to a build directory that is nowhere on this machine.
    return Path(file).parts[0] if file.endswith((".pyx", ".pxi")) and not Path(file).is_absolute() else None


def metadata_words(value: Any) -> str:
    """A piece of metadata on one line."""
    if is_special_metadata(value):
        if value["kind"] == "table":
            rows = value["value"]
            return f"table of {len(rows)} row{'' if len(rows) == 1 else 's'}"
        first = str(value["value"]).split("\n")[0]
        return _near(first) if value["kind"] == "path" else first
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def _near(path: str) -> str:
    """A path relative to where one is, when it is below that."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path


def metadata_summary(metadata: dict[str, Any], most: int = 4) -> str:
    """The first few entries of metadata that fit on a line; of tables and texts only that they are there, if there is
    nothing else."""
    large = [name for name, value in metadata.items() if _is_large(value)]
    small = [name for name in metadata if name not in large]
    return ", ".join(f"{name} {metadata_words(metadata[name])}" for name in (small or large)[:most])


def _is_large(value: Any) -> bool:
    return is_special_metadata(value) and value["kind"] in ("table", "markdown")
