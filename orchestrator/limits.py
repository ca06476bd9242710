"""Detects which limit of the operating system was reached: open files, processes, memory."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

# Where the system shows which descriptors are open: Linux, then macOS.
_OPEN = (Path("/proc/self/fd"), Path("/dev/fd"))
# A limit beyond this is as good as none; some systems say "unlimited", and some programs loop over all numbers.
_MOST_FILES = 1 << 16

_WORDS = {
    errno.EMFILE: "the process may open no more files",
    errno.ENFILE: "the machine has no more file descriptors",
    errno.EAGAIN: "the system allows no more processes",
    errno.ENOMEM: "there is no memory left",
}
_HINTS = {
    errno.EMFILE: "This process has no more file descriptors. Raise its limit (`ulimit -n`), or run less at a time.",
    errno.ENFILE: "The machine has no more file descriptors. Close programs, or raise its limit.",
    errno.EAGAIN: "No more processes may be started. Raise the limit (`ulimit -u`), or run less at a time.",
    errno.ENOMEM: "The machine has no memory left. Run less at a time, or close other programs.",
}


def what_ran_out(error: BaseException) -> str | None:
    """What the system refuses to give, when the error says that something has run out that comes back when others
    release it; None when the error is of another kind."""
    return _WORDS.get(_number(error))


def hint_for(error: BaseException) -> str | None:
    """What to do about an operating system that refuses; None when the error is of another kind."""
    return _HINTS.get(_number(error))


def _number(error: BaseException) -> int:
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    return (error.errno or 0) if isinstance(error, OSError) else 0


def raise_file_limit() -> None:
    """Lets this process, and what it starts, open as many files as the system administrator allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            pass  # macOS allows less than it says; what we have is what we had


def free_descriptors() -> int:
    """How many more files this process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = _MOST_FILES if soft == resource.RLIM_INFINITY else min(soft, _MOST_FILES)
    for place in _OPEN:
        try:
            return max(0, limit - len(os.listdir(place)))  # noqa: PTH208 (names only, and quickly)
        except FileNotFoundError:
            continue
        except OSError:
            return 0  # not one is left to look with
    return limit
