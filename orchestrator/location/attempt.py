"""One attempt as a process: its claim, its lock, its captured output, its events on disk, its end. What the step does
in it is for `perform`, how the process came to be for `children`.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from orchestrator.crashpoints import crash_point
from orchestrator.events import AttemptEvent, AttemptFailed, AttemptOutcome, AttemptStarted
from orchestrator.journal import JournalWriter
from orchestrator.layout import FILE_MODE, AttemptDir
from orchestrator.location.bound import BoundRun
from orchestrator.location.errors import error_info
from orchestrator.location.interrupts import Interruption
from orchestrator.location.perform import perform
from orchestrator.location.recorder import Recorder
from orchestrator.locks import HeldLock, try_lock
from orchestrator.records import AttemptSpec

# Exit code of a process that found its attempt claimed already, and did nothing. (EX_TEMPFAIL of sysexits.h.)
EXIT_CLAIMED = 75


class AlreadyClaimed(Exception):
    """Somebody else started this attempt, or made sure that nobody does."""


class Wake:
    """Tells the run's owner that there is something to read. Only a hint: the files say what."""

    def __init__(self, descriptor: int | None) -> None:
        self.descriptor = descriptor

    def close(self) -> None:
        """Says nothing any more, in this process."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def __call__(self, handle: str) -> None:
        if self.descriptor is None:
            return
        try:
            os.write(self.descriptor, handle.encode() + b"\n")
        except OSError:
            pass  # the owner is gone, or has more hints than it can read: it looks by itself before long


def run_attempt(
    bound: BoundRun,
    spec: AttemptSpec,
    directory: AttemptDir,
    wake: Wake,
    interruption: Interruption,
    before_outcome: Callable[[], None] = lambda: None,
) -> None:
    """Performs an attempt in this process, with everything it prints and records in its directory; `before_outcome` is
    called when all of its code has run and nobody knows yet how it ended.

    Raises AlreadyClaimed, without having done anything, when the attempt is not ours to make.
    """
    alive = claim(directory)
    try:
        events = JournalWriter(directory.events, torn="step.torn")

        def write(line: bytes, event: AttemptEvent) -> None:
            is_outcome = isinstance(event, AttemptOutcome)
            if is_outcome:
                before_outcome()
                sys.stdout.flush()
                sys.stderr.flush()
            events.append([line])
            if is_outcome:
                crash_point("step.done")
                wake(spec.handle)

        with captured_output(directory):
            faulthandler.enable(2)  # where a crash in C code came from, at the end of stderr.log
            perform(bound, spec, Recorder(spec.step, spec.attempt, write, interruption, bound.secrets()), interruption)
        events.close()
    finally:
        alive.release()


def claim(directory: AttemptDir) -> HeldLock:
    """Takes the attempt for this process, once and for all; the lock lives as long as the process.

    The lock comes first: an attempt that is claimed and not locked is one whose process is dead.
    """
    alive = try_lock(directory.alive)
    if alive is None:
        raise AlreadyClaimed(str(directory.path))
    try:
        descriptor = os.open(directory.claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    except FileExistsError:
        alive.release()
        raise AlreadyClaimed(str(directory.path)) from None
    os.write(descriptor, f"{os.getpid()}\n".encode())
    os.close(descriptor)
    crash_point("step.claimed")
    return alive


@contextmanager
def captured_output(directory: AttemptDir) -> Iterator[None]:
    """Sends file descriptors 1 and 2 to the attempt's log files, for C libraries and child processes as well."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(1), os.dup(2)]
    for number, path in ((1, directory.stdout), (2, directory.stderr)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, FILE_MODE)
        os.dup2(descriptor, number)
        os.close(descriptor)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, descriptor in zip((1, 2), saved, strict=True):
            os.dup2(descriptor, number)
            os.close(descriptor)


def fail_attempt(spec: AttemptSpec, directory: AttemptDir, wake: Wake, error: Exception) -> None:
    """Records an attempt that failed before any of its own code could run."""
    try:
        alive = claim(directory)
    except AlreadyClaimed:
        return
    events = JournalWriter(directory.events)
    record = Recorder(spec.step, spec.attempt, lambda line, _event: events.append([line]), Interruption())
    record(AttemptStarted, pid=os.getpid(), host="")
    record(AttemptFailed, seconds=0.0, error=error_info(error))
    events.close()
    alive.release()
    wake(spec.handle)
