"""The lines that steps printed and logged, each with the step in front. Reads no file: the lines come from
`service.follow_run`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from orchestrator.cli.output import Painter
from orchestrator.cli.styles import CYAN, DIM, RED, YELLOW
from orchestrator.clock import format_instant
from orchestrator.errors import NotFound
from orchestrator.model.events import AnyEvent
from orchestrator.model.log_lines import Lines, last_of
from orchestrator.service.follow_run import follow_log_lines, log_lines
from orchestrator.service.workspace import Workspace

_LEVEL_CODES = {"WARNING": YELLOW, "ERROR": RED, "CRITICAL": RED, "DEBUG": DIM}


def shown_logs(
    found: Workspace,
    run_id: str,
    step: str | None,
    *,
    follow: bool,
    tail: int | None,
    json: bool,
    times: bool,
    paint: Painter,
) -> Iterator[str]:
    """The lines of a run, or of one step of it, as they are shown: as much text at a time as there is."""
    run_log = found.run(run_id)
    if step is not None:
        _check_step(run_log.events(), step)
    lines_of = follow_log_lines(run_log, step, tail) if follow else log_lines(run_log, step)
    for lines in lines_of if follow or tail is None else last_of(lines_of, tail):
        yield _as_json(lines) if json else _as_text(lines, paint, times)


def _as_text(lines: Lines, paint: Painter, times: bool) -> str:
    when = f"{paint(DIM, _local(lines.at))} " if times else ""
    front = f"{when}{paint(CYAN, lines.step)} {paint(DIM, '|')} "
    shown = lines.lines
    if lines.level:
        said = f"{lines.level:<8} {lines.logger}: " if lines.logger else f"{lines.level:<8} "
        shown = [f"{said}{shown[0]}", *shown[1:]]
    code = _LEVEL_CODES.get(lines.level, "")
    if code:
        shown = [paint(code, line) for line in shown]
    return front + f"\n{front}".join(shown)


def _local(at: datetime | None) -> str:
    return " " * 23 if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _as_json(lines: Lines) -> str:
    same: dict[str, str] = {"step": lines.step, "stream": lines.stream}
    more = {"level": lines.level, "logger": lines.logger, "at": format_instant(lines.at) if lines.at else ""}
    filled = {name: value for name, value in more.items() if value}
    texts = ["\n".join(lines.lines)] if lines.stream == "log" else lines.lines
    return "\n".join(msgspec.json.encode({**same, "line": text, **filled}).decode() for text in texts)


def _check_step(events: Iterable[AnyEvent], step: str) -> None:
    known = {event.step for event in events if getattr(event, "step", None)}  # type: ignore[union-attr]
    if step not in known:
        raise NotFound.named("step", step, known)
