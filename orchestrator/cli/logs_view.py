"""The lines that steps printed and logged, each with the step in front. Reads no file: the lines come from
`operations.follow`.
"""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator

from orchestrator.cli.output import Painter
from orchestrator.cli.styles import BLUE, DIM, RED, YELLOW
from orchestrator.errors import NotFound
from orchestrator.layout import RunDir
from orchestrator.operations.follow import LogLine, events_of, log_lines

_LEVEL_CODES = {"WARNING": YELLOW, "ERROR": RED, "CRITICAL": RED, "DEBUG": DIM}


def shown_log_lines(run_dir: RunDir, step: str | None, *, follow: bool, json: bool, paint: Painter) -> Iterator[str]:
    """The lines of a run, or of one step of it, as they are shown."""
    if step is not None:
        _check_step(run_dir, step)
    for line in log_lines(run_dir, step, follow=follow):
        yield _as_json(line) if json else _as_text(line, paint)


def _as_text(line: LogLine, paint: Painter) -> str:
    code = _LEVEL_CODES.get(line.level, "")
    text = f"{line.level:<8} {line.text}" if line.level else line.text
    return "\n".join(f"{paint(BLUE, line.step)} {paint(DIM, '|')} {paint(code, part)}" for part in text.split("\n"))


def _as_json(line: LogLine) -> str:
    fields = {"step": line.step, "stream": line.stream, "line": line.text}
    return json_module.dumps({**fields, "level": line.level} if line.level else fields)


def _check_step(run_dir: RunDir, step: str) -> None:
    known = {event.step for event in events_of(run_dir) if getattr(event, "step", None)}  # type: ignore[union-attr]
    if step not in known:
        raise NotFound.named("step", step, known)
