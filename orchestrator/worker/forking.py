"""Forks this process, and detects when children would hang, crash or lose data.

A forked child has one thread: the one that forked. Whatever other threads were doing stays undone for ever, and a
lock that one of them held is never released. Libraries that know this mend themselves in the child (OpenBLAS, so
numpy, scipy and much of scikit-learn; pyarrow). Others do not: polars once it has evaluated anything, OpenMP once a
parallel region has run (KMeans, gradient boosting, lightgbm), duckdb as long as a connection is open. Each was tried
with a hundred forks: those hang in every child that uses them again, and duckdb loses rows without a word.

Python's own threads are known by name. A native thread is judged by the libraries that are on its stack, because
most carry no name; that works on Linux. Elsewhere only Python's threads are seen.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.worker.output import flush_streams
from orchestrator.worker.process_exit import flush_c_streams, forget_inherited
from orchestrator.worker.thread_stacks import TASKS, Region, libraries_of, read_memory_map

# Libraries whose threads are made anew in a forked child, or are not missed there.
_MENDED = re.compile(r"/(numpy|scipy)(\.libs)?/|/libopenblas[^/]*$|/pyarrow/(?![^/]*(s3|flight|gcs|azure))[^/]*$")
# Threads known by name that no child misses: the allocator's housekeeping, and polars' cleaning up of spilled files.
_HARMLESS = frozenset({"jemalloc_bg_thd", "polars-ooc-clea"})
# Native threads of this process that were found to be harmless.
_fine: set[int] = set()
# A thread may be starting, ending or spinning at the moment of looking: that is looked at again.
_LOOKS = 5
_BETWEEN_LOOKS_S = 0.03


def fork_problem() -> str | None:
    """Why children of this process could hang or go wrong, in words for the user; None when nothing says they could."""
    for look in range(_LOOKS):
        found = _unmended_threads()
        if not found:
            return None
        if look < _LOOKS - 1:
            time.sleep(_BETWEEN_LOOKS_S)
    count = f"{len(found)} thread{'s' if len(found) > 1 else ''}"
    return f"importing it left {count} running ({', '.join(sorted(set(found))[:4])}), which its steps would miss"


def fork(close_inherited: Callable[[], None], work: Callable[[], int]) -> int:
    """Starts a copy of this process in a session of its own, which does `work` and ends with the exit code that it
    returns (1 if it raises); the process id of the copy. `close_inherited` is called in it first."""
    flush_streams()
    flush_c_streams()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        close_inherited()
        renew_in_child()
        forget_inherited()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        code = work()
    finally:
        # Not sys.exit: what the parent registered to run at its exit is not ours to run.
        os._exit(code)


def renew_in_child() -> None:
    """Makes what a forked child must not share with its siblings its own. Python does so for `random` by itself;
    without this, every step would draw the same numbers from numpy's global generator."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def _unmended_threads() -> list[str]:
    python = {thread.native_id: thread for thread in threading.enumerate() if thread is not threading.main_thread()}
    found = [f"Python thread {thread.name!r}" for thread in python.values()]
    if not TASKS.is_dir():
        return found
    native = {int(entry.name) for entry in TASKS.iterdir()} - {os.getpid(), *python}
    # Whose thread it is does not change; looking at stacks before every fork would cost as much as the fork.
    _fine.intersection_update(native)
    unknown = native - _fine
    if not unknown:
        return found
    memory = read_memory_map()
    judged = {tid: _judge(tid, memory) for tid in unknown}
    _fine.update(tid for tid, said in judged.items() if said is None)
    return found + [said for said in judged.values() if said is not None]


def _judge(tid: int, memory: list[Region]) -> str | None:
    """What to call a native thread that a child would miss; None for one that it would not."""
    try:
        name = (TASKS / str(tid) / "comm").read_text().strip()
        libraries = libraries_of(tid, memory)
    except (FileNotFoundError, ProcessLookupError):
        return None  # it has ended meanwhile
    except OSError:
        return "a thread that cannot be looked at"
    arrow_mends = os.environ.get("ARROW_REGISTER_ATFORK") != "0"
    if name in _HARMLESS or (
        libraries and all(_MENDED.search(one) and (arrow_mends or "arrow" not in one) for one in libraries)
    ):
        return None
    whose = ", ".join(sorted(Path(one).name for one in libraries)) if libraries else name
    return f"one of {whose}"
