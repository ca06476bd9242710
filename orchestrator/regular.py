"""Reading files that may be anything by now: only regular files are read, and only up to a size.

A FIFO would block its reader forever, and a device may never end. So a file is opened without blocking, and refused
unless it is a regular one.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

# More than any file that is read whole can be: the record of a run with a plan of 100,000 steps has about 50 MB.
LARGEST = 1 << 30
# What goes wrong for want of something that may be there again in a moment. The file itself is not to blame.
PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR, errno.EAGAIN, errno.ESTALE})


# Something else is in the place of a directory. It will be there the next time as well.
IN_THE_WAY = frozenset({errno.EEXIST, errno.ENOTDIR, errno.ELOOP})


class NotRegular(OSError):
    """Something else has the name of a file: a directory, a FIFO, a device, a link that leads in a circle."""


def open_regular(path: Path, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
    """A descriptor of a regular file. Raises FileNotFoundError, NotRegular, or another OSError."""
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise NotRegular(error.errno, f"not a regular file ({error.strerror})", str(path)) from None
        raise
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode):
        return descriptor
    os.close(descriptor)
    what = stat.filemode(found.st_mode)[0]
    name = {"d": "a directory", "p": "a FIFO", "c": "a device", "b": "a device", "s": "a socket"}.get(what, "no file")
    raise NotRegular(errno.EINVAL, f"not a regular file, but {name}", str(path))


def read_regular(path: Path, largest: int = LARGEST) -> bytes:
    """All of a regular file. Raises as `open_regular` does, and OSError when it has more than `largest` bytes."""
    descriptor = open_regular(path)
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise OSError(errno.EFBIG, f"larger than {largest:,} bytes", str(path))
    return data


def why(error: BaseException) -> str:
    """What an error says about a file, without its number."""
    return str(error.strerror or error) if isinstance(error, OSError) else f"{error}" or type(error).__name__
