"""The daemon's log: one structured line for each thing worth knowing, in a file that rotates and on the terminal.

Silent when nothing happens. Knows nothing of what the lines are about.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import sys
from datetime import UTC, datetime
from typing import Any

from orchestrator.errors import summary_line
from orchestrator.private_file import FILE_MODE
from orchestrator.state_dir import StateDir
from orchestrator.terminal import on_one_line, printable, safe_json, wants_color

_LARGEST_BYTES = 10 << 20
_KEPT = 3
# How many errors are remembered as reported, and by how many of their characters.
_REMEMBERED = 200
_COMPARED = 4000
_COLOURS = {logging.WARNING: ("\x1b[33m", "\x1b[0m"), logging.ERROR: ("\x1b[31m", "\x1b[0m")}


class _Private(logging.handlers.RotatingFileHandler):
    """A rotating file that only its user can read."""

    def _open(self) -> Any:
        flags = (
            os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK
        )  # a FIFO without a reader fails and does not hang
        os.close(os.open(self.baseFilename, flags, FILE_MODE))
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk must not end the daemon, nor fill the terminal with tracebacks: the line is lost."""


class _Lines(logging.Formatter):
    def __init__(self, *, as_json: bool, coloured: bool = False) -> None:
        super().__init__()
        self._as_json = as_json
        self._colours = _COLOURS if coloured else {}

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        facts: dict[str, Any] = getattr(record, "facts", {})
        if self._as_json:
            line = {"at": at, "level": record.levelname.lower(), "message": record.getMessage(), **facts}
            return safe_json(json.dumps(line, default=str, ensure_ascii=False))
        said = "".join(f" {name}={_plain(value)}" for name, value in facts.items() if name != "traceback")
        blocks = "" if getattr(record, "is_repeated", False) else "".join(map(_block, facts.values()))
        begin, end = self._colours.get(record.levelno, ("", ""))
        message = on_one_line(record.getMessage())
        return f"{at} {begin}{record.levelname.lower():<7} {message}{end}{printable(said)}{printable(blocks)}"


def _plain(value: Any) -> str:
    """A value on the line: of many lines the one that says most."""
    text = str(value)
    if "\n" in text:
        text = summary_line(text)
    return json.dumps(text, ensure_ascii=False) if not text or any(mark in text for mark in ' "\n=') else text


def _block(value: Any) -> str:
    """All of a value of many lines, below the line that it belongs to."""
    text = str(value)
    return "".join(f"\n    {line}" for line in text.strip().split("\n")) if "\n" in text else ""


class DaemonLog:
    """Writes lines: what happened, and facts about it by name."""

    def __init__(self, state: StateDir, log_format: str = "text", *, echo: bool = True) -> None:
        self._told: dict[tuple[str, str], None] = {}
        self._logger = logging.Logger("orchestrator.daemon", logging.INFO)
        self._logger.addHandler(
            _Private(
                state.daemon_log,
                maxBytes=_LARGEST_BYTES,
                backupCount=_KEPT,
                encoding="utf-8",
                delay=True,
                errors="backslashreplace",
            )
        )
        if echo:
            self._logger.addHandler(logging.StreamHandler(sys.stderr))
        for handler in self._logger.handlers:
            is_echo = type(handler) is logging.StreamHandler
            coloured = is_echo and wants_color(os.environ, is_terminal=sys.stderr.isatty())
            handler.setFormatter(_Lines(as_json=log_format == "json", coloured=coloured))

    def info(self, message: str, **facts: Any) -> None:
        self._say(logging.INFO, message, facts)

    def warn(self, message: str, **facts: Any) -> None:
        self._say(logging.WARNING, message, facts)

    def error(self, message: str, **facts: Any) -> None:
        self._say(logging.ERROR, message, facts)

    def close(self) -> None:
        for handler in self._logger.handlers:
            handler.close()

    def _say(self, level: int, message: str, facts: dict[str, Any]) -> None:
        extra = {
            "facts": facts,
            "is_repeated": level == logging.ERROR and self._is_repeated((message, repr(facts)[:_COMPARED])),
        }
        self._logger.log(level, message, extra=extra)

    def _is_repeated(self, said: tuple[str, str]) -> bool:
        """Whether the same was said not long ago, with all its details: what fails all day fails in one way."""
        known = said in self._told
        self._told.pop(said, None)
        self._told[said] = None
        if len(self._told) > _REMEMBERED:
            del self._told[next(iter(self._told))]
        return known
