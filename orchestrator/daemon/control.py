"""Starts a daemon that outlives its starter, and stops one, from outside. Must not import daemon internals: that would
make `daemon stop` slow.

Must not know what a daemon is made of: to import that takes longer than to ask.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import Literal

from orchestrator import clock
from orchestrator.errors import DaemonError, DaemonSilent, StoreError
from orchestrator.heartbeat import daemon_pid, is_suspended, unresponsive_error
from orchestrator.outliving import OutlivingProcess
from orchestrator.private_file import opener
from orchestrator.service.daemon import ask, describe_daemon
from orchestrator.service.workspace import Workspace
from orchestrator.state_dir import StateDir

How = Literal["graceful", "drain", "cancel"]
# How long a detached daemon may take until it answers.
_START_PATIENCE_S = 30.0


def start_detached(workspace: Workspace, log_format: str = "text") -> int:
    """Starts a daemon that outlives this process and its terminal; its process id, once it answers."""
    state = workspace.state
    already = daemon_pid(state)
    if already is not None:
        raise already_running(state, already)
    command = [sys.executable, "-P", "-m", "orchestrator", "--workspace", str(workspace.settings.path)]
    with open(state.daemon_err, "w+b", opener=opener) as errors:
        process = OutlivingProcess(
            [*command, "daemon", "start", "--quiet", "--log-format", log_format],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
            cwd="/",
        )
        deadline = clock.monotonic() + _START_PATIENCE_S
        while clock.monotonic() < deadline:
            code = process.poll()
            if code is not None:
                raise _ended_at_once(code, state.daemon_err.read_text(errors="replace"))
            with contextlib.suppress(DaemonError):
                return int(describe_daemon(state, patience=1.0)["pid"])
            time.sleep(0.02)
    raise DaemonError(
        f"The daemon (process {process.pid}) was started, and does not answer yet.",
        hint=f"It says in {state.daemon_log} what it does.",
    )


def stop_daemon(state: StateDir, *, how: How = "graceful", patience: float = 60.0) -> bool:
    """Tells the daemon to stop, and returns once it has; False when there was none. Raises DaemonError when it takes
    too long.

    graceful: steps that run go on, and the next daemon adopts them. drain: waits for the runs in flight. cancel:
    cancels them first.
    """
    pid = daemon_pid(state)
    if pid is None:
        return False
    _tell_to_stop(state, pid, how)
    deadline = clock.monotonic() + patience
    while daemon_pid(state) == pid:
        if is_suspended(pid):
            raise unresponsive_error(state, clock.now())
        if clock.monotonic() > deadline:
            raise DaemonError(
                f"The daemon (process {pid}) has not stopped within {clock.format_duration(patience)}.",
                hint="It may be waiting for runs: `orchestrator runs list`. Call it again to go on waiting.",
            )
        time.sleep(0.02)
    return True


def _tell_to_stop(state: StateDir, pid: int, how: How) -> None:
    try:
        ask(state, "stop", how=how)
    except (DaemonSilent, StoreError):
        # It cannot be asked: it is of another version, or too busy. A signal says the same, if not so finely.
        if how != "graceful" or is_suspended(pid) or daemon_pid(state) != pid:
            raise
        os.kill(pid, signal.SIGTERM)


def _ended_at_once(code: int, said: str) -> DaemonError:
    lines = said.strip().splitlines()[-5:]
    return DaemonError(
        f"The daemon ended at once, with exit code {code}.", details=[line.removeprefix("error: ") for line in lines]
    )


def already_running(state: StateDir, pid: int) -> DaemonError:
    """The error for a second daemon."""
    return DaemonError(
        f"A daemon is running already for {state.path}" + (f": process {pid}." if pid else "."),
        hint="Stop it with `orchestrator daemon stop`, or look at it with `orchestrator daemon status`.",
    )
