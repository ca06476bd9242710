"""Writes files that only their owner may read."""

from __future__ import annotations

import os
from pathlib import Path

# For their owner alone, whatever the umask.
FILE_MODE = 0o600
DIR_MODE = 0o700


def opener(path: str, flags: int) -> int:
    """For `open`: a file that it creates is private."""
    return os.open(path, flags, FILE_MODE)


def write_atomically(path: Path, content: bytes, *, sync: bool = False) -> None:
    """Replaces a file: readers see the old content or the new, whole. With `sync` it also survives a power cut. Raises
    OSError, and leaves the old content then. Processes may do it at the same time; the last one wins."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if sync:
                file.flush()
                os.fsync(descriptor)
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
