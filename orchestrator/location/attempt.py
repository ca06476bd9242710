"""One attempt as a process: its claim, its lock, its captured output, its events on disk, its end. What the step does
in it is for `perform`, how the process came to be for `children`.
"""

from __future__ import annotations

import faulthandler
import json
import os
from contextlib import suppress
from pathlib import Path

from orchestrator.crashpoints import crash_point
from orchestrator.events import AttemptEvent, AttemptFailed, AttemptOutcome, AttemptStarted
from orchestrator.journal import JournalWriter
from orchestrator.layout import FILE_MODE, AttemptDir
from orchestrator.location.bound import BoundRun
from orchestrator.location.errors import error_info
from orchestrator.location.interrupts import Interruption
from orchestrator.location.library_logs import library_logs
from orchestrator.location.output import captured_output, flush_streams
from orchestrator.location.perform import perform
from orchestrator.location.process_exit import Ending
from orchestrator.location.recorder import Recorder
from orchestrator.locks import HeldLock, try_lock
from orchestrator.masking import Masker
from orchestrator.records import AttemptSpec

# In the lock file of an attempt whose outcome is recorded: its parent need not say how the process ended.
_DONE = b"done\n"


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
    ending: Ending,
) -> None:
    """Performs an attempt in this process, with everything it prints and records in its directory. `ending` waits for
    what it leaves behind before the outcome is recorded.

    Raises AlreadyClaimed, without having done anything, when the attempt is not ours to make.
    """
    alive = claim(directory)
    try:
        events = JournalWriter(directory.events, torn="step.torn")

        def write(line: bytes, event: AttemptEvent) -> None:
            if isinstance(event, AttemptOutcome):
                flush_streams()
            events.append([line])
            if isinstance(event, AttemptOutcome):
                crash_point("step.done")
                wake(spec.handle)
                with suppress(OSError):
                    alive.write_note(_DONE)

        mask = bound.masker()
        with captured_output(directory, mask) as recording:
            faulthandler.enable(2)  # where a crash in C code came from, at the end of stderr.log
            record = Recorder(spec.step, spec.attempt, write, interruption, mask, lambda: recording.switch_to("log"))
            with library_logs(record.handler()):
                perform(bound, spec, record, interruption, ending)
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


def ended_without_outcome(directory: AttemptDir, pid: int) -> bool:
    """Whether the attempt was made by this process, which is gone, and has no outcome. An exit code says nothing: any
    of them may come from user code."""
    try:
        return directory.claim.read_bytes() == f"{pid}\n".encode() and directory.alive.read_bytes() != _DONE
    except FileNotFoundError:
        return not directory.claim.exists()


def lose_attempt(spec: AttemptSpec, directory: AttemptDir, wake: Wake, reason: str) -> None:
    """Records that an attempt could not begin, which is not the step's fault. Raises OSError if that cannot be
    written."""
    try:
        alive = claim(directory)
    except AlreadyClaimed:
        return
    write_exit(directory, None, lost=f"it could not be started: {reason}")
    alive.release()
    wake(spec.handle)


def write_exit(directory: AttemptDir, code: int | None, *, lost: str = "") -> None:
    """Says how a process ended: its exit code, or the signal that ended it as a negative number. `lost`: why the
    attempt has not run, and is to be made again at no cost to the step."""
    content: dict[str, int | str] = {"lost": lost} if lost else {}
    if code is not None:
        content |= {"signal": -code} if code < 0 else {"exit_code": code}
    unfinished = Path(f"{directory.exit}.tmp")
    write_private(unfinished, json.dumps(content).encode())
    unfinished.replace(directory.exit)


def write_private(path: Path, content: bytes) -> None:
    """Writes a file that only its owner may read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def fail_attempt(spec: AttemptSpec, directory: AttemptDir, wake: Wake, error: Exception, mask: Masker) -> None:
    """Records an attempt that failed before any of its own code could run."""
    try:
        alive = claim(directory)
    except AlreadyClaimed:
        return
    events = JournalWriter(directory.events)
    record = Recorder(spec.step, spec.attempt, lambda line, _event: events.append([line]), Interruption(), mask)
    record(AttemptStarted, pid=os.getpid(), host="")
    record(AttemptFailed, seconds=0.0, error=error_info(error))
    events.close()
    alive.write_note(_DONE)
    alive.release()
    wake(spec.handle)
