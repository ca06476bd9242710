"""Captures what an attempt's process prints: into log files, without secrets, and with notes about the order of the
streams.

Descriptors 1 and 2 are the files themselves, so what C libraries and child processes print is kept too. What Python
code prints passes through here.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator import clock
from orchestrator.attempts.channel import OutputFiles
from orchestrator.masking import Masker
from orchestrator.output_order import Mark, encode_mark
from orchestrator.private_file import FILE_MODE

# A time is noted this often, at most, while one stream is written to.
_BETWEEN_MARKS_S = 1.0
# More notes than this are not worth their place on disk.
_MOST_MARKS = 100_000


class PrintedStream(io.BufferedIOBase):
    """The binary stream under `sys.stdout` or `sys.stderr`. Unbuffered: what is printed is in the log at once."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self.name = name

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: Any) -> int:
        content = bytes(data)
        recording = Recording.current
        rest = memoryview(content if recording is None else recording.passed(self.name, content))
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        return len(content)


class Recording:
    """What happens to the output of the attempt in progress."""

    current: Recording | None = None

    def __init__(self, marks: Path | None, mask: Masker) -> None:
        self._path = marks
        self._mask = mask
        self._stream = ""
        self._noted_at = 0.0
        self._first: bytes | None = None
        self._count = 0

    def passed(self, stream: str, data: bytes) -> bytes:
        """The data as they are to be written to that stream now."""
        self.switch_to(stream)
        return self._mask.data(data) if self._mask else data

    def switch_to(self, stream: str) -> None:
        """Notes how far each stream is, if another one comes next or some time has passed."""
        if self._path is None:
            return
        now = clock.monotonic()
        if (stream == self._stream and now - self._noted_at < _BETWEEN_MARKS_S) or self._count >= _MOST_MARKS:
            return
        is_first = not self._stream
        self._stream, self._noted_at = stream, now
        self._count += 1
        try:
            mark = encode_mark(Mark(clock.now(), os.fstat(1).st_size, os.fstat(2).st_size))
            if is_first:
                self._first = mark  # a file of its own only for what has an order: most attempts use one stream
            else:
                _append(self._path, (self._first or b"") + mark)
                self._first = None
        except OSError:
            self._count = _MOST_MARKS  # closed descriptors, a full disk: the order is a courtesy


def install_streams() -> None:
    """Puts our streams in the place of Python's, before any user code can keep a reference to those."""
    flush_streams()
    sys.stdout = sys.__stdout__ = _text(1, "stdout", _lenient(sys.stdout))  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _text(2, "stderr", "backslashreplace")  # type: ignore[misc]


def _lenient(stream: Any) -> str:
    """How a stream treats what cannot be encoded. A file name that is no text must not fail the step that prints it."""
    errors = str(getattr(stream, "errors", "strict"))
    return "backslashreplace" if errors == "strict" else errors


def _text(descriptor: int, name: str, errors: str) -> io.TextIOWrapper:
    stream = PrintedStream(descriptor, name)
    return io.TextIOWrapper(stream, encoding="utf-8", errors=errors, line_buffering=True)


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
def captured_output(files: OutputFiles | None, mask: Masker) -> Iterator[Recording]:
    """Sends file descriptors 1 and 2 to these files; without any, the output stays where it goes, and is masked."""
    if files is None:
        yield from _recorded(Recording(None, mask))
        return
    flush_streams()
    streams = sys.stdout, sys.stderr
    saved = [os.dup(1), os.dup(2)]
    for number, path in ((1, files.stdout), (2, files.stderr)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, FILE_MODE)
        os.dup2(descriptor, number)
        os.close(descriptor)
    try:
        yield from _recorded(Recording(files.marks, mask))
    finally:
        for number, descriptor in zip((1, 2), saved, strict=True):
            os.dup2(descriptor, number)
            os.close(descriptor)
        sys.stdout, sys.stderr = streams
        if any(getattr(stream, "closed", True) for stream in streams):
            install_streams()  # the attempt has closed one, and the next attempt in this process prints too


def _recorded(recording: Recording) -> Iterator[Recording]:
    Recording.current = recording
    try:
        yield recording
    finally:
        flush_streams()
        Recording.current = None


def _append(path: Path, marks: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
    try:
        os.write(descriptor, marks)
    finally:
        os.close(descriptor)
