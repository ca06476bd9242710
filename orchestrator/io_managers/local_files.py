"""Replacing a local file: complete or not at all, whatever happens to the writer.

The new content is written to a temporary file beside it, `.<name>.<number>.tmp`, which is renamed over the old one. A
writer locks its temporary file. One that a killed process has left is not locked, and the next writer takes it over.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from orchestrator.state_dir import make_private


def _nothing() -> None:
    pass


@contextmanager
def replacing(path: Path, mode: int = 0o666, before: Callable[[], None] = _nothing) -> Iterator[IO[bytes]]:
    """A file to write the new content of `path` to. It takes the place of the old one when the block ends well.

    Where the file is for its owner alone, so are the directories made for it. `before` is called when the new content
    is complete: no other writer replaces a file of this directory between that call and the replacing.
    """
    if mode & 0o077:
        path.parent.mkdir(parents=True, exist_ok=True)
    else:
        make_private(path.parent)
    unfinished, descriptor = _temporary(path, mode)
    with os.fdopen(descriptor, "w+b") as file:
        try:
            file.truncate()
            yield file
            file.flush()
            with _alone_in(path.parent):
                before()
                unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise


@contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """Waits until no other writer replaces a file of the directory. A lock on the directory itself leaves no file."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            pass  # some network disks cannot lock a directory
        yield
    finally:
        os.close(descriptor)


def _temporary(path: Path, mode: int) -> tuple[Path, int]:
    """A temporary file beside `path` that no other process is writing, locked, and its descriptor."""
    number = 0
    while True:
        unfinished = path.with_name(f".{path.name}.{number}.tmp")
        descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
        if not _locked(descriptor):
            number += 1  # another writer is at work on this one
        elif _is_at(unfinished, descriptor):
            return unfinished, descriptor
        os.close(descriptor)  # or it was renamed between the opening and the locking


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
