"""The attempts that a location process has started: starts them, and reports how their processes ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from orchestrator.attempts.channel import AlreadyClaimed, WorkerChannel
from orchestrator.attempts.files import open_channel
from orchestrator.attempts.package import AttemptPackage, encode_package
from orchestrator.crashpoints import crash_point
from orchestrator.errors import ExecutionError
from orchestrator.model.attempt import AttemptSpec, split_handle
from orchestrator.process_tree import end_group, processes_with, signal_processes
from orchestrator.worker.attempt import Wake, run_attempt
from orchestrator.worker.bound_run import BoundRun
from orchestrator.worker.forking import fork
from orchestrator.worker.interrupts import Interruption
from orchestrator.worker.loading import Target
from orchestrator.worker.prefork import Spare
from orchestrator.worker.process_exit import ProcessExit, adopt_orphans

# A program may start another while it is being ended; one that does so again and again is not pursued for ever.
_ROUNDS = 10


class Child(Struct, frozen=True):
    """One running attempt."""

    pid: int
    handle: str
    channel: WorkerChannel
    is_forked: bool


def in_child(function: Callable[[], bytes], close_inherited: Callable[[], None]) -> bytes:
    """What `function`, which is user code, gives in a copy of this process. Raises ExecutionError if it dies of it."""
    reading, writing = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(reading)
        os.close(writing)
        raise
    if pid == 0:
        try:
            os.close(reading)
            close_inherited()
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(function())
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        result = pipe.read()
    _, status = os.waitpid(pid, 0)
    if status != 0:
        raise ExecutionError("A process that was to look at stored values ended early.")
    return result


class Children:
    """All attempts started by this process that have not been reaped."""

    def __init__(self, target: Target, wake: Wake, close_inherited: Callable[[], None]) -> None:
        self._target = target
        self._wake = wake
        self._close_inherited = close_inherited
        self._running: dict[int, Child] = {}
        self._spare: Spare | None = None
        self._spare_is_for = ""
        self._dismissed: set[int] = set()

    def __len__(self) -> int:
        return len(self._running)

    def fork(self, bound: BoundRun, spec: AttemptSpec, channel: WorkerChannel) -> None:
        """Starts the attempt in a copy of this process: in the one that was made ahead, if it is for this run."""
        pid = self._hand_over(spec, channel)
        if pid is None:
            pid = fork(self._close_inherited, lambda: self._perform(bound, spec, channel))
        self._running[pid] = Child(pid, spec.handle, channel, is_forked=True)

    def get_ahead(self, bound: BoundRun) -> None:
        """Forks now for the next attempt of that run, whichever it will be."""
        self.dismiss()

        def perform(given: bytes) -> int:
            address, spec = msgspec.msgpack.decode(given, type=tuple[str, AttemptSpec])
            return self._perform(bound, spec, open_channel(address))

        with suppress(OSError):  # no room for a spare process: the next attempt is forked when it comes
            self._spare, self._spare_is_for = Spare(self._close_inherited, perform), bound.run.run_id

    def dismiss(self) -> None:
        """Lets go of what was forked ahead."""
        if self._spare is not None:
            self._spare.close()
            self._dismissed.add(self._spare.pid)
            self._spare = None

    def spawn(self, package: AttemptPackage, channel: WorkerChannel) -> None:
        """Starts the attempt in a fresh interpreter, which imports the module again."""
        wake = self._wake.descriptor
        with tempfile.TemporaryFile() as file:
            file.write(encode_package(package))
            file.seek(0)  # also flushes it
            arguments = [json.dumps(asdict(self._target)), channel.address, str(file.fileno()), str(wake)]
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "orchestrator.worker.spawned", *arguments],
                stdin=subprocess.DEVNULL,
                pass_fds=[file.fileno(), *([] if wake is None else [wake])],
                start_new_session=True,
            )
        process.returncode = 0  # reaped below, by pid: Popen must not try to
        self._running[process.pid] = Child(process.pid, package.spec.handle, channel, is_forked=False)

    def reap(self) -> None:
        """Collects the children that have ended, and writes down how those ended that left no outcome."""
        for child in list(self._running.values()):
            if os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                continue
            end_group(child.pid)  # as long as the number is still its own
            _, status = os.waitpid(child.pid, 0)
            del self._running[child.pid]
            if child.channel.ended_without_outcome(child.pid):
                end_family(child.handle)
                # A copy of this process that did not get as far as its claim has run nothing of the user's.
                lost = "before the step began" if child.is_forked and not child.channel.is_claimed() else ""
                with suppress(OSError):  # the disk is full: the attempt counts as lost, and the others go on
                    child.channel.report_exit(os.waitstatus_to_exitcode(status), lost=lost)
                self._wake(child.handle)
        if self._spare is not None and os.waitpid(self._spare.pid, os.WNOHANG)[0]:
            self._spare.close()
            self._spare = None
        self._dismissed = {pid for pid in self._dismissed if not os.waitpid(pid, os.WNOHANG)[0]}

    def close_inherited(self) -> None:
        """In a child: lets go of the connection that keeps a sibling waiting for work."""
        if self._spare is not None:
            self._spare.close()

    def _hand_over(self, spec: AttemptSpec, channel: WorkerChannel) -> int | None:
        """The process that was forked ahead for this run and has the attempt now; None if there is none."""
        spare = self._spare
        if spare is None or self._spare_is_for != spec.run_id:
            return None
        self._spare = None
        if spare.give(msgspec.msgpack.encode((channel.address, spec))):
            return spare.pid
        self._dismissed.add(spare.pid)
        return None

    def _perform(self, bound: BoundRun, spec: AttemptSpec, channel: WorkerChannel) -> int:
        crash_point("step.forked")
        attempt_process(bound, spec, channel, self._wake)
        return 0


def attempt_process(bound: BoundRun, spec: AttemptSpec, channel: WorkerChannel, wake: Wake) -> None:
    """Performs the attempt in this process, which exists for nothing else; does nothing when it is claimed already."""
    interruption = Interruption()
    interruption.install()
    adopt_orphans()
    os.environ.update(_variables(spec.handle))
    with suppress(AlreadyClaimed):
        run_attempt(bound, spec, channel, wake, interruption, ProcessExit(interruption))


def end_family(handle: str) -> None:
    """Ends the programs of an attempt whose process is gone and could not end them itself. They are recognized by what
    their environment says."""
    for _ in range(_ROUNDS):
        left = processes_with(_variables(handle))
        if not left:
            return
        signal_processes(left, signal.SIGKILL)


def _variables(handle: str) -> dict[str, str]:
    run_id, step, attempt = split_handle(handle)
    return {"ORCHESTRATOR_RUN_ID": run_id, "ORCHESTRATOR_STEP": step, "ORCHESTRATOR_ATTEMPT": str(attempt)}
