"""Advisory locks (`flock`), which the kernel releases when their holder dies, whatever killed it.

`flock` and not `fcntl`: a POSIX lock vanishes as soon as its owner closes *any* descriptor of the file. A lock
belongs to the process that took it: programs it starts do not inherit it (close-on-exec), and a child made by
`os.fork` drops its copy at once, or the lock would live as long as the child does. Local file systems only: over NFS
`flock` may be a no-op.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

from msgspec import Struct

from orchestrator.errors import DISK_FULL
from orchestrator.private_file import FILE_MODE
from orchestrator.regular import NotRegular, read_regular

_LONGEST_NOTE = 4096


class HeldLock(Struct, frozen=True):
    """A lock we hold until `release`, or until this process ends."""

    path: Path
    descriptor: int

    def write_note(self, note: bytes) -> None:
        """Replaces the file's content: for people and error messages, never for deciding who holds the lock. So a lock
        without its note is as good: on a full disk there is no place for one."""
        os.ftruncate(self.descriptor, 0)
        try:
            os.pwrite(self.descriptor, note, 0)
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise

    def is_in_place(self) -> bool:
        """Whether the file we have locked is the one that others would lock: it may have been deleted meanwhile."""
        try:
            there = self.path.stat()
        except OSError:
            return False
        ours = os.fstat(self.descriptor)
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def release(self) -> None:
        """Lets go of it; nothing happens the second time, when the number may be another file's."""
        if _held.get(self.descriptor) is self:
            del _held[self.descriptor]
            os.close(self.descriptor)


_held: dict[int, HeldLock] = {}


def _drop_inherited() -> None:
    # Closing a copy does not unlock as long as the parent holds its own.
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_drop_inherited)


def try_lock(path: Path) -> HeldLock | None:
    """The lock on `path`, created if need be; None when another process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, FILE_MODE)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotRegular(errno.EINVAL, "not a regular file", str(path))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    lock = _held[descriptor] = HeldLock(path, descriptor)
    return lock


def is_locked(path: Path) -> bool:
    """Whether any process holds the lock at this moment; False when there is no such file.

    Asks with a shared lock, so that two processes that both only ask never see each other as the holder.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            return False  # a link that leads in a circle, or a socket: no file that anybody can have locked
        raise
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def read_note(path: Path) -> str:
    """What the last holder wrote about itself; empty when nothing can be read."""
    try:
        return read_regular(path, _LONGEST_NOTE).decode(errors="replace").strip()
    except OSError:
        return ""
