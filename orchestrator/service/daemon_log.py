"""Reads the daemon's log while it is written and rotated."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_PAUSE_S = 0.2


def last_lines(log: Path, count: int) -> list[str]:
    """The last lines, those of the file before the last rotation included when there are not enough."""
    kept: deque[str] = deque(maxlen=count)
    for path in (log.with_name(f"{log.name}.1"), log):
        if path.exists():
            with path.open(encoding="utf-8", errors="replace") as file:
                kept.extend(file)
    return list(kept)


def follow(log: Path, count: int) -> Iterator[str]:
    """The last lines, and then each as it is written, in whatever file the log is by then. Never ends."""
    file = log.open(encoding="utf-8", errors="replace")
    try:
        yield from _tail(file, log, count)
        while True:
            yield from _complete_lines(file)
            if _is_rotated(file, log):
                yield from _complete_lines(file)  # what was written between our last look and the rotation
                file.close()
                file = log.open(encoding="utf-8", errors="replace")
            else:
                time.sleep(_PAUSE_S)
    finally:
        file.close()


def _tail(file: IO[str], log: Path, count: int) -> list[str]:
    """The last lines of a file that is open, which stands behind them afterwards."""
    kept = deque(file, maxlen=count)
    if len(kept) < count:
        before = log.with_name(f"{log.name}.1")
        if before.exists():
            with before.open(encoding="utf-8", errors="replace") as older:
                kept.extendleft(reversed(deque(older, maxlen=count - len(kept))))
    return list(kept)


def _complete_lines(file: IO[str]) -> Iterator[str]:
    while True:
        start = file.tell()
        line = file.readline()
        if not line.endswith("\n"):
            file.seek(start)  # its end is still to come
            return
        yield line


def _is_rotated(file: IO[str], log: Path) -> bool:
    try:
        there = log.stat()
    except OSError:
        return False  # between the two renames of a rotation, or damaged meanwhile
    ours = os.fstat(file.fileno())
    return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)
