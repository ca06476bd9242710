"""One attempt as a process: claims it, captures its output, records its events, and releases it at the end."""

from __future__ import annotations

import faulthandler
import os

from orchestrator.attempts.channel import AlreadyClaimed, WorkerChannel
from orchestrator.crashpoints import crash_point
from orchestrator.masking import Masker
from orchestrator.model.attempt import AttemptSpec
from orchestrator.model.events import AttemptEvent, AttemptFailed, AttemptOutcome, AttemptStarted
from orchestrator.worker.bound_run import BoundRun
from orchestrator.worker.errors import error_info
from orchestrator.worker.interrupts import Interruption
from orchestrator.worker.library_logs import library_logs
from orchestrator.worker.output import captured_output, flush_streams
from orchestrator.worker.perform import perform
from orchestrator.worker.process_exit import Ending
from orchestrator.worker.recorder import Recorder


class Wake:
    """Tells the run's owner that there is something to read. Only a hint: the channel says what."""

    def __init__(self, descriptor: int | None) -> None:
        self.descriptor = descriptor

    def close(self) -> None:
        """Gives no more hints, in this process."""
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
    channel: WorkerChannel,
    wake: Wake,
    interruption: Interruption,
    ending: Ending,
) -> None:
    """Performs an attempt in this process; everything it prints and records goes into the channel. `ending` waits for
    what it leaves behind before the outcome is recorded.

    Raises AlreadyClaimed, without having done anything, when the attempt is not this process's to make.
    """
    claim = channel.claim()
    try:

        def write(line: bytes, event: AttemptEvent) -> None:
            if isinstance(event, AttemptOutcome):
                flush_streams()
            claim.append(line)
            if isinstance(event, AttemptOutcome):
                crash_point("step.done")
                wake(spec.handle)
                claim.finish()

        mask = bound.masker()
        with captured_output(channel.output(), mask) as recording:
            faulthandler.enable(2)  # where a crash in C code came from, at the end of stderr.log
            record = Recorder(spec.step, spec.attempt, write, interruption, mask, lambda: recording.switch_to("log"))
            with library_logs(record.handler()):
                perform(bound, spec, record, interruption, ending, claim.confirm)
    finally:
        claim.release()


def lose_attempt(spec: AttemptSpec, channel: WorkerChannel, wake: Wake, reason: str) -> None:
    """Records that an attempt could not begin, which is not the step's fault. Raises OSError if that cannot be
    written."""
    try:
        claim = channel.claim()
    except AlreadyClaimed:
        return
    channel.report_exit(None, lost=f"it could not be started: {reason}")
    claim.release()
    wake(spec.handle)


def fail_attempt(spec: AttemptSpec, channel: WorkerChannel, wake: Wake, error: Exception, mask: Masker) -> None:
    """Records an attempt that failed before any of its own code could run."""
    try:
        claim = channel.claim()
    except AlreadyClaimed:
        return
    record = Recorder(spec.step, spec.attempt, lambda line, _event: claim.append(line), Interruption(), mask)
    record(AttemptStarted, pid=os.getpid(), host="")
    record(AttemptFailed, seconds=0.0, error=error_info(error))
    claim.finish()
    claim.release()
    wake(spec.handle)
