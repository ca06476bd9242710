"""Finds and ends the processes that a process has started, and theirs.

A process group is not enough: whatever a step starts in a session of its own (`start_new_session=True`, `setsid`, many
tools that manage processes) leaves the group and goes on writing after its step was ended. What has also let go of its
parent, as daemons do on purpose, is found below a process that adopts orphans (a step's process does, on Linux).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator, Mapping

# A process may start another while it is being ended; one that does so again and again is not pursued for ever.
_ROUNDS = 10


def descendants(pid: int) -> set[int]:
    """Every process below `pid` and every other one of the session that `pid` leads."""
    found: set[int] = set()
    table = list(_processes())
    above = {pid}
    while above:
        below = {child for child, parent, _ in table if parent in above} - found - {pid}
        found |= below
        above = below
    return found | {child for child, _, session in table if session == pid and child != pid}


def kill_descendants(pid: int) -> None:
    """Kills everything below `pid`, and leaves `pid` itself alone."""
    killed: set[int] = set()
    for _ in range(_ROUNDS):
        found = descendants(pid) - killed
        for child in found:
            _kill(child)
        killed |= found
        if not found:
            return


def kill_tree(pid: int) -> None:
    """Kills `pid`, which leads a process group, with everything below it."""
    kill_descendants(pid)
    if not end_group(pid):
        _kill(pid)


def end_group(pid: int) -> bool:
    """Kills the process group that `pid` leads or has led; False when it holds a process that is not ours to end."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    except PermissionError:
        return False  # macOS answers so when the group holds a process of another user
    return True


def signal_processes(pids: Iterable[int], number: signal.Signals) -> None:
    """Sends a signal to each process that is still there and ours."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass  # it has ended, or runs as another user: neither is ours to end


def processes_with(variables: Mapping[str, str]) -> set[int]:
    """Every process that was started with these environment variables. Slow: it looks at all of them."""
    import psutil

    found = set()
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except (psutil.Error, OSError):
            continue  # it has ended meanwhile, or belongs to another user
        if variables.items() <= environment.items():
            found.add(process.pid)
    return found


def _kill(pid: int) -> None:
    signal_processes((pid,), signal.SIGKILL)


def _processes() -> Iterator[tuple[int, int, int]]:
    """(pid, its parent, its session) of every process that has not ended."""
    import psutil  # imported when there is something to end, which is rare

    for process in psutil.process_iter():
        try:
            with process.oneshot():
                if process.status() != psutil.STATUS_ZOMBIE:
                    yield process.pid, process.ppid(), os.getsid(process.pid)
        except (psutil.Error, OSError):
            continue  # it has ended meanwhile
