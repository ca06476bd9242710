"""The kinds of damage that a test can do to a file, and a process without the privilege to read everything."""

import contextlib
import ctypes
import os
import shutil
import sys

import pytest

KINDS = [
    "missing",
    "empty",
    "cut",
    "zeros",
    "garbage",
    "deep",
    "a directory",
    "a FIFO",
    "a device",
    "a dangling link",
    "a link in a circle",
    "of mode 000",
]


def in_its_place(path, kind):
    """Replaces what is at `path` by something damaged, one of KINDS or `a list`. `cut` keeps half of a file."""
    if kind == "of mode 000":
        if path.exists():
            path.chmod(0)
        return
    data = _removed(path)
    match kind:
        case "missing":
            pass
        case "empty":
            path.touch()
        case "cut":
            path.write_bytes(data[: len(data) // 2])
        case "zeros":
            path.write_bytes(b"\0" * 20_000)
        case "garbage":
            path.write_bytes(b"\xff{[\n" * 3000)
        case "a list":
            path.write_bytes(b"[1]")
        case "deep":
            path.write_bytes(b"[" * 100_000)
        case "a directory":
            path.mkdir()
        case "a FIFO":
            os.mkfifo(path)
        case "a device":
            path.symlink_to("/dev/zero")
        case "a dangling link":
            path.symlink_to(path.with_name("nowhere"))
        case "a link in a circle":
            path.symlink_to(path)
        case _:
            raise ValueError(kind)


def _removed(path):
    """Removes what is at `path`; what was in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        data = path.read_bytes() if path.is_file() else b""
        path.unlink()
        return data
    return b""


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Capabilities(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]


# CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: with them root reads a file of mode 000.
_PR_GET_SECUREBITS, _PR_SET_SECUREBITS, _SECBIT_NOROOT = 27, 28, 1
_READS_ALL = 1 << 1 | 1 << 2


@contextlib.contextmanager
def permissions_apply():
    """Makes file permissions apply to this thread and to what it starts, even when it is root's. Skips the test where
    that is impossible."""
    if os.geteuid() != 0:
        yield
        return
    if not sys.platform.startswith("linux"):
        pytest.skip("root reads a file of mode 000 here")
    libc, header, two = ctypes.CDLL(None), _Header(0x20080522, 0), (_Capabilities * 2)()
    assert libc.capget(ctypes.byref(header), two) == 0
    before = two[0].effective
    two[0].effective = before & ~_READS_ALL
    if libc.capset(ctypes.byref(header), two) != 0:
        pytest.skip("root cannot give up its privilege here")
    # Programs that root starts have every privilege, unless this is said.
    inherited = libc.prctl(_PR_GET_SECUREBITS)
    if libc.prctl(_PR_SET_SECUREBITS, inherited | _SECBIT_NOROOT) != 0:
        pytest.skip("root cannot give up the privilege of its programs here")
    try:
        yield
    finally:
        libc.prctl(_PR_SET_SECUREBITS, inherited)
        two[0].effective = before
        libc.capset(ctypes.byref(header), two)
