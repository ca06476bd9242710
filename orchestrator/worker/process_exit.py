"""Ends a step's process the way Python ends a process: waits for its threads, runs its exit handlers, flushes its files
and ends the programs it has left running. The outcome of the attempt is recorded after that, by `perform`.

`os._exit` alone, which is how a forked child has to end, does none of this: work that the step had handed to a thread
or an executor would be cut off, and what stands in a buffer would be lost.
"""

from __future__ import annotations

import atexit
import gc
import io
import logging
import os
import signal
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NoReturn

from orchestrator.clock import monotonic
from orchestrator.process_tree import descendants, signal_processes
from orchestrator.worker.interrupts import Interruption
from orchestrator.worker.output import flush, flush_streams

# How long a program that was left running may take to end after it was asked to.
PROGRAM_GRACE_S = 2.0
_BETWEEN_LOOKS_S = 0.01
_ROUNDS = 10
_PR_SET_CHILD_SUBREAPER = 36
# Helper processes of these libraries clean up behind a process that has ended (shared memory, semaphores): module,
# object, and the attribute with the process id. They are let go last and by themselves, where a signal would leave
# behind what they are there to remove.
_TRACKERS = (
    ("multiprocessing.forkserver", "_forkserver", "_forkserver_pid"),
    ("multiprocessing.resource_tracker", "_resource_tracker", "_pid"),
    ("loky.backend.resource_tracker", "_resource_tracker", "_pid"),
    ("joblib.externals.loky.backend.resource_tracker", "_resource_tracker", "_pid"),
)
# Files that write something when they are closed, by module and class.
_ARCHIVES = (("gzip", "GzipFile"), ("bz2", "BZ2File"), ("lzma", "LZMAFile"), ("zipfile", "ZipFile"))

# The classes behind those of `io`, which are abstract: asking those about each object takes a hundred times as long.
_FILE: Any = io.IOBase.__base__
_TEXT_FILE: Any = io.TextIOBase.__base__


@cache
def c_library() -> Any:
    """The C library. A location process loads it once for all of its children."""
    import ctypes  # not needed where a pipeline runs in the caller's process

    return ctypes.CDLL(None)


def forget_inherited() -> None:
    """In a forked child: drops what the parent registered to run at its own exit, as children of `multiprocessing` do.

    A handler that removes the parent's temporary directory must not run once per child.
    """
    atexit._clear()
    finalize: Any = weakref.finalize
    for finalizer in list(finalize._registry):
        finalizer.atexit = False
    atexit.register(finalize._exitfunc)
    atexit.register(logging.shutdown)
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        sys.modules["multiprocessing.process"]._children.clear()
        util._finalizer_registry.clear()
        util._run_after_forkers()
        atexit.register(util._exit_function)


def adopt_orphans() -> None:
    """Makes this process the parent of every descendant whose own parent ends, so that none can be overlooked. Linux
    only; elsewhere the process group is all there is."""
    if sys.platform == "linux":
        c_library().prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def flush_c_streams() -> None:
    """Writes out what C code has printed and not flushed."""
    c_library().fflush(None)


class ProcessExit:
    """The end of a process that exists for one attempt."""

    def __init__(self, interruption: Interruption) -> None:
        self._interruption = interruption
        self._in_handlers = False

    def wait(self) -> None:
        """Returns once all work of the step is over. May be interrupted; then call `abort`."""
        _guarded(threading._shutdown)  # type: ignore[attr-defined]
        self._run_handlers()
        if not self._interruption.requested:
            _end_programs(PROGRAM_GRACE_S)

    def abort(self) -> None:
        """Ends everything at once: threads are not waited for, programs are killed. Exit handlers run."""
        _end_programs(0.0)
        self._run_handlers()

    def pending(self) -> str:
        """What `wait` is waiting for, in words."""
        handlers = ["its exit handlers (atexit)"] if self._in_handlers else []
        return ", ".join([*_threads(), *_processes()] or handlers)

    def _run_handlers(self) -> None:
        self._in_handlers = True
        _guarded(atexit._run_exitfuncs)
        self._in_handlers = False
        flush_files()
        flush_c_streams()
        flush_streams()


class StaysAlive:
    """In place of `ProcessExit` where the process goes on after the attempt: waits for the threads that the attempt has
    started, and leaves everything else to the end of the process."""

    def __init__(self) -> None:
        self._before = set(threading.enumerate())

    def wait(self) -> None:
        """Returns once the attempt's own threads have ended. Workers of an executor wait for more work and stay."""
        for thread in self._threads():
            thread.join()
        flush_streams()

    def abort(self) -> None:
        """Threads cannot be ended from outside: they go on."""
        flush_streams()

    def pending(self) -> str:
        return ", ".join(f"thread {thread.name!r}" for thread in self._threads())

    def _threads(self) -> list[threading.Thread]:
        futures = sys.modules.get("concurrent.futures.thread")
        workers = set(futures._threads_queues) if futures is not None else set()
        started = set(threading.enumerate()) - self._before - workers
        return sorted((one for one in started if not one.daemon), key=lambda one: one.name)


class NothingToEnd:
    """For a caller whose process is not ours to end anything in."""

    def wait(self) -> None:
        pass

    def abort(self) -> None:
        pass

    def pending(self) -> str:
        return ""


Ending = ProcessExit | StaysAlive | NothingToEnd


def leave_copy(error: BaseException | None) -> NoReturn:
    """Ends a child that user code has forked and that came back into our code: what it did is done, and everything
    else is for the process that was forked."""
    code = 0
    if type(error) is SystemExit:
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    elif error is not None:
        _guarded(lambda: traceback.print_exception(error))
        code = 1
    flush_files()
    flush_streams()
    os._exit(code & 0xFF)


def flush_files() -> None:
    """Flushes every file that this process has opened and not closed, and closes archives, which write something at
    their end. Files of the parent are left alone: they are frozen, and `gc` does not list them."""
    archives = _archive_classes()
    everything = gc.get_objects()
    # By type, and not `isinstance` of each: that reads `__class__` of every object, which is much slower.
    kinds = {kind for kind in set(map(type, everything)) if issubclass(kind, (_FILE, *archives))}
    found: list[Any] = [one for one in everything if type(one) in kinds] if kinds else []
    for one in found:
        if isinstance(one, _TEXT_FILE):
            flush(one)
    for archive in [one for one in found if isinstance(one, archives)]:
        _guarded(archive.close)
    for one in found:
        if isinstance(one, (io.BufferedWriter, io.BufferedRandom)):
            flush(one)


def _archive_classes() -> tuple[type[Any], ...]:
    return tuple(getattr(sys.modules[module], name) for module, name in _ARCHIVES if module in sys.modules)


def _end_programs(grace: float) -> None:
    """Ends whatever still runs below this process. With a `grace` programs are asked first, and the log says so."""
    if not _has_children():
        return
    trackers = _trackers()
    spared = set(trackers)
    left = descendants(os.getpid()) - spared
    if left and grace:
        names = ", ".join(sorted(_program_names(left))[:5])
        count = f"{len(left)} process{'es' if len(left) > 1 else ''}"
        _say(f"orchestrator: ended {count} that the step had left running ({names})")
        signal_processes(left, signal.SIGTERM)
    deadline = monotonic() + grace
    while left and monotonic() < deadline:
        time.sleep(_BETWEEN_LOOKS_S)
        left = descendants(os.getpid()) - spared
    for _ in range(_ROUNDS):  # one may start another while it is being ended
        if not left:
            break
        signal_processes(left, signal.SIGKILL)
        left = descendants(os.getpid()) - spared - left
    for tracker in trackers.values():
        _guarded(tracker._stop)
    _reap()


def _reap() -> None:
    """Takes note of the children that have ended, so that process 1 need not."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _has_children() -> bool:
    """Whether this process has any child, dead or alive."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _trackers() -> dict[int, Any]:
    """The helpers that this process has started itself, by process id."""
    found = {}
    for module, name, attribute in _TRACKERS:
        helper = getattr(sys.modules.get(module), name, None)
        pid = getattr(helper, attribute, None)
        if pid and _is_child(pid):
            found[pid] = helper
    return found


def _is_child(pid: int) -> bool:
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _program_names(pids: set[int]) -> Iterator[str]:
    for pid in pids:
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 (fast path)
                yield file.read().strip()
        except OSError:
            continue


def _threads() -> list[str]:
    others = (one for one in threading.enumerate() if not one.daemon and one is not threading.main_thread())
    return sorted(f"thread {one.name!r}" for one in others)


def _processes() -> list[str]:
    module = sys.modules.get("multiprocessing.process")
    children = module.active_children() if module is not None else ()
    return sorted(f"process {one.name!r}" for one in children)


def _guarded(call: Callable[[], object]) -> None:
    """Calls user code of which an exception is printed and changes nothing, as at the end of any Python process."""
    try:
        call()
    except Exception as error:
        _say(f"Exception ignored at the end of the process: {type(error).__name__}: {error}")
    except SystemExit:
        pass


def _say(line: str) -> None:
    try:
        os.write(2, line.encode(errors="backslashreplace") + b"\n")
    except OSError:
        pass  # the step has closed it
