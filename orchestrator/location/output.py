"""The standard streams of an attempt's process: sending them to its log files, and flushing them whatever user code has
done to them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from orchestrator.layout import FILE_MODE, AttemptDir


def flush_streams() -> None:
    """Writes out what was printed. A step may have closed its streams, or put anything in their place."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        flush(stream)


def flush(stream: Any) -> None:
    """Flushes one stream if it can be flushed."""
    try:
        stream.flush()
    except Exception:  # None, closed, an object without `flush`, a full disk: the step's own doing or nobody's
        pass


@contextmanager
def captured_output(directory: AttemptDir) -> Iterator[None]:
    """Sends file descriptors 1 and 2 to the attempt's log files, for C libraries and child processes as well."""
    flush_streams()
    streams = sys.stdout, sys.stderr
    saved = [os.dup(1), os.dup(2)]
    for number, path in ((1, directory.stdout), (2, directory.stderr)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, FILE_MODE)
        os.dup2(descriptor, number)
        os.close(descriptor)
    try:
        yield
    finally:
        flush_streams()
        for number, descriptor in zip((1, 2), saved, strict=True):
            os.dup2(descriptor, number)
            os.close(descriptor)
        sys.stdout, sys.stderr = (_usable(*each) for each in zip(streams, (1, 2), strict=True))


def _usable(stream: Any, descriptor: int) -> Any:
    """The stream, or a new one when the attempt has closed it: the next attempt in this process prints too."""
    if getattr(stream, "closed", True):
        return open(descriptor, "w", buffering=1, errors="backslashreplace", closefd=False)
    return stream
