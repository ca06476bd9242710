"""The evaluators of a location process: forked from it, or started as fresh interpreters where forking is unsafe."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

from msgspec.structs import asdict

from orchestrator.limits import hint_for, what_ran_out
from orchestrator.protocol.messages import NO_EVALUATOR, Refusal, ToLocation
from orchestrator.protocol.wire import Channel, Disconnected
from orchestrator.worker.attempt import Wake
from orchestrator.worker.evaluator_server import EvaluatorServer
from orchestrator.worker.forking import fork, fork_problem
from orchestrator.worker.loading import Definitions, Target


class EvaluatorChildren:
    """Starts an evaluator for each connection that comes in over `side`."""

    def __init__(self, target: Target, side: socket.socket, wake: Wake, close_inherited: Callable[[], None]) -> None:
        self._target = target
        self._wake = wake
        self._side = side
        self._close_inherited = close_inherited
        self._pids: set[int] = set()

    def fileno(self) -> int:
        return self._side.fileno()

    def start(self, definitions: Definitions) -> None:
        """Takes one connection, and starts an evaluator on it."""
        _, descriptors, _, _ = socket.recv_fds(self._side, 16, 1)
        for descriptor in descriptors:
            with socket.socket(fileno=descriptor) as connection:
                try:
                    self._start(definitions, connection)
                except (OSError, MemoryError) as error:
                    _refuse(connection, what_ran_out(error) or str(error), hint_for(error))

    def _start(self, definitions: Definitions, connection: socket.socket) -> None:
        if self._target.isolation == "spawn" or fork_problem() is not None:
            self._spawn(connection)
        else:
            self._fork(definitions, connection)

    def reap(self) -> Iterator[tuple[int, int]]:
        """Those that are gone: (pid, exit code, negative for a signal)."""
        for pid in list(self._pids):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                self._pids.discard(pid)
                yield pid, os.waitstatus_to_exitcode(status)

    def end(self) -> None:
        """Nobody wants answers any more; one that hangs would not notice by itself."""
        for pid in self._pids:
            try:
                os.killpg(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass

    def close(self) -> None:
        """In a child: lets go of what only the parent needs."""
        self._side.close()

    def _fork(self, definitions: Definitions, connection: socket.socket) -> None:
        def serve() -> int:
            with suppress(BaseException):  # the asker sees that it is gone; nothing depends on how
                channel: Channel[ToLocation] = Channel(connection, ToLocation)
                EvaluatorServer(definitions, self._target, channel).serve()
            return 0

        def close_inherited() -> None:
            self._close_inherited()
            self._wake.close()  # for attempts only: user code here has nothing to say through it

        self._pids.add(fork(close_inherited, serve))

    def _spawn(self, connection: socket.socket) -> None:
        process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "orchestrator.worker.evaluator_server"),
                *(json.dumps(asdict(self._target)), str(connection.fileno())),
            ],
            stdin=subprocess.DEVNULL,
            pass_fds=(connection.fileno(),),
            start_new_session=True,
        )
        process.returncode = 0  # reaped above, by pid
        self._pids.add(process.pid)


def _refuse(connection: socket.socket, why: str, hint: str | None) -> None:
    """Says on the connection that no evaluator can be started for it."""
    with suppress(OSError, Disconnected):
        channel: Channel[ToLocation] = Channel(connection, ToLocation)
        channel.send(Refusal(NO_EVALUATOR, "ExecutionError", why, hint))
