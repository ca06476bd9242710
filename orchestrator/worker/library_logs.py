"""Routes what any logger says during an attempt or evaluation to where `context.log` goes, unless the user's own
handlers print it already.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# What Python's root logger lets pass until it is configured.
_UNCONFIGURED = logging.WARNING


@contextmanager
def library_logs(handler: logging.Handler) -> Iterator[None]:
    """Hands what is logged to `handler`, from INFO on if logging is not configured.

    The handler stands above the root logger and not in it: `logging.basicConfig` does nothing once the root logger has
    a handler, and `dictConfig` would remove it.
    """
    root = logging.getLogger()
    above, level = root.parent, root.level
    top = logging.Logger("orchestrator.everything")
    top.addHandler(_Unprinted(handler))
    root.parent = top
    if level == _UNCONFIGURED and not root.handlers:
        root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.parent = above
        if level == _UNCONFIGURED and root.level == logging.INFO:
            root.setLevel(level)


class PrintingHandler(logging.Handler):
    """Prints to whatever `sys.stderr` is at that moment."""

    def __init__(self, form: str = "%(levelname)s %(name)s: %(message)s") -> None:
        super().__init__()
        self.setFormatter(logging.Formatter(form))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record), file=sys.stderr)  # noqa: T201 (this is what it is for)
        except Exception:  # closed, or bad arguments for the format
            self.handleError(record)


class _Unprinted(logging.Handler):
    """Passes on what no handler of the user's prints to the same log."""

    def __init__(self, handler: logging.Handler) -> None:
        super().__init__()
        self._handler = handler

    def emit(self, record: logging.LogRecord) -> None:
        if not any(_prints(handler) and record.levelno >= handler.level for handler in _handlers_of(record.name)):
            self._handler.handle(record)


def _handlers_of(name: str) -> Iterator[logging.Handler]:
    """The user's handlers that a record of this logger reaches."""
    root = logging.getLogger()
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None:
        yield from logger.handlers
        logger = logger.parent if logger.propagate and logger is not root else None


def _prints(handler: Any) -> bool:
    """Whether a handler writes to standard output or standard error."""
    stream = getattr(handler, "stream", None) or getattr(getattr(handler, "console", None), "file", None)
    try:
        return stream is not None and stream.fileno() in (1, 2)
    except Exception:  # a stream without a descriptor is no file, and so not the log
        return False
