"""Append-only files of JSON lines: written by one process, read by any, never damaged by a crash.

A line counts once its newline is there. Whatever stands behind the last newline was being written when its writer
died: readers do not see it, and the next writer cuts it off. Appending is one `write`; nothing is forced to disk but
by `sync`, because a killed process loses nothing that was written, and only a power cut can.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from orchestrator.crashpoints import crash_point
from orchestrator.private_file import FILE_MODE
from orchestrator.regular import open_regular

_CHUNK = 1 << 20


class JournalWriter:
    """Appends lines to one file. The caller guarantees that it is the only writer. `torn` names a crash point."""

    def __init__(self, path: Path, torn: str = "journal.torn") -> None:
        self._torn = torn
        self._descriptor = open_regular(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, FILE_MODE)
        _cut_torn_line(self._descriptor)

    def append(self, lines: Iterable[bytes]) -> None:
        """Writes complete lines (each with its newline). When the disk is full, none of them remain; OSError."""
        data = b"".join(lines)
        before = os.fstat(self._descriptor).st_size
        crash_point(self._torn, last=lambda: os.write(self._descriptor, data[: len(data) // 2]))
        try:
            _write_all(self._descriptor, data)
        except OSError:
            os.ftruncate(self._descriptor, before)
            raise

    def sync(self) -> None:
        """Returns once everything appended so far would survive a power cut."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class Lines(Struct, frozen=True):
    """Complete lines read from a journal, and the offset behind the last of them."""

    lines: list[bytes]
    offset: int


def read_lines(path: Path, offset: int = 0) -> Lines:
    """The complete lines from byte `offset` on; none when the file is missing or nothing was added. Raises OSError when
    there is something else in its place."""
    try:
        descriptor = open_regular(path)
    except FileNotFoundError:
        return Lines([], offset)
    try:
        return read_lines_from(descriptor, offset)
    finally:
        os.close(descriptor)


def read_lines_from(descriptor: int, offset: int) -> Lines:
    """As `read_lines`, of a file that is already open."""
    chunks: list[bytes] = []
    position = offset
    while chunk := os.pread(descriptor, _CHUNK, position):
        chunks.append(chunk)
        position += len(chunk)
    data = b"".join(chunks)
    complete = data.rfind(b"\n") + 1
    if not complete:
        return Lines([], offset)
    return Lines(data[: complete - 1].split(b"\n"), offset + complete)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _cut_torn_line(descriptor: int) -> None:
    size = os.fstat(descriptor).st_size
    end = size
    while end:
        start = max(0, end - _CHUNK)
        chunk = os.pread(descriptor, end - start, start)
        newline = chunk.rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end != size:
        os.ftruncate(descriptor, end)
