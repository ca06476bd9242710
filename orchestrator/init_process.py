"""Process 1 of a container: runs the program in a child, passes signals on to it and reaps every orphan.

An orphan becomes a child of process 1. Unless that waits for it, it stays a zombie, and a container that starts enough
of them runs out of process numbers.
"""

from __future__ import annotations

import os
import signal

# They say that this process itself is broken, or cannot be held back, or belong to the terminal.
_OURS = {"SIGKILL", "SIGSTOP", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGTSTP", "SIGTTIN", "SIGTTOU"}
# Sent by the terminal, to the whole process group: the child has got it already.
_FROM_KERNEL = 128


def run_as_child_of_init() -> None:
    """Returns at once, unless this is process 1: then it returns in a child of it."""
    if os.getpid() != 1:
        return
    taken: set[int] = {number for number in signal.valid_signals() if _name(number) not in _OURS}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, taken)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    os._exit(_serve(child, taken))


def _name(number: int) -> str:
    return number.name if isinstance(number, signal.Signals) else ""


def _serve(child: int, taken: set[int]) -> int:
    """Passes signals on and reaps until the child has ended; the exit code that a shell would report for it."""
    while True:
        got = signal.sigwaitinfo(taken)
        if got.si_signo != signal.SIGCHLD:
            if got.si_code != _FROM_KERNEL:
                os.kill(child, got.si_signo)
            continue
        status = _reap(child)
        if status is not None:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _reap(child: int) -> int | None:
    """Takes note of every child that has ended; the status of that one, if it is among them."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == child:
            found = status
