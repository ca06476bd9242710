"""The daemon as a process: one for each state directory, how it starts, how it is told to stop, what it leaves."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from orchestrator import clock
from orchestrator._version import __version__
from orchestrator.daemon.core import Daemon
from orchestrator.daemon.log import DaemonLog
from orchestrator.daemon.supervised import Supervisor
from orchestrator.errors import DaemonError
from orchestrator.layout import FILE_MODE, StateDir
from orchestrator.locks import HeldLock, is_locked, read_note, try_lock
from orchestrator.operations.workspace import Workspace
from orchestrator.store.remote import ask_daemon
from orchestrator.store.serving import StoreServer
from orchestrator.store.session import hold_store

How = Literal["graceful", "drain", "cancel"]
# How long a detached daemon may take until it answers.
_START_PATIENCE_S = 30.0


def daemon_pid(state: StateDir) -> int | None:
    """The process id of the daemon of a state directory; None when there is none."""
    if not is_locked(state.daemon_lock):
        return None
    note = read_note(state.daemon_lock)
    return int(note) if note.isdigit() else 0


def run_daemon(workspace: Workspace, *, log_format: str = "text", once: bool = False, echo: bool = True) -> int:
    """Runs until told to stop; the exit code. `once`: does what is due, drives it to its end, and returns.

    Raises DaemonError when another daemon has the state directory.
    """
    state = workspace.state
    lock = _only_one(state)
    supervisor = Supervisor(os.environ)
    log = DaemonLog(state, log_format, echo=echo)
    try:
        with hold_store(state) as store:
            server = StoreServer(state, store.database)
            daemon = Daemon(workspace, store, server, log)
            server.extra = _requests(daemon)
            server.before_call = daemon.before_operation
            server.open()
            try:
                _announce(state)
                log.info("daemon started", pid=os.getpid(), workspace=workspace.settings.path)
                supervisor.ready()
                _serve(daemon, supervisor, once=once)
            finally:
                supervisor.stopping()
                server.close()
                daemon.close()
                state.daemon_json.unlink(missing_ok=True)
                log.info("daemon stopped")
    finally:
        log.close()
        lock.release()
    return 0


def start_detached(workspace: Workspace, log_format: str = "text") -> int:
    """Starts a daemon that outlives this process and its terminal; its process id, once it answers."""
    state = workspace.state
    already = daemon_pid(state)
    if already is not None:
        raise _already(state, already)
    command = [sys.executable, "-P", "-m", "orchestrator", "--workspace", str(workspace.settings.path)]
    with open(os.devnull, "r+b") as nowhere:  # noqa: PTH123
        process = subprocess.Popen(
            [*command, "daemon", "start", "--quiet", "--log-format", log_format],
            stdin=nowhere,
            stdout=nowhere,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
        )
    deadline = clock.monotonic() + _START_PATIENCE_S
    while clock.monotonic() < deadline:
        code = process.poll()
        if code is not None:
            said = process.stderr.read().decode(errors="replace").strip() if process.stderr else ""
            raise DaemonError(f"The daemon ended at once, with exit code {code}.", details=said.splitlines()[-5:])
        with contextlib.suppress(DaemonError):
            return int(ask_daemon(state, "describe")["pid"])
        time.sleep(0.02)
    raise DaemonError("The daemon does not answer.", hint=f"Look into {state.daemon_log}.")


def stop_daemon(state: StateDir, *, how: How = "graceful", patience: float = 60.0) -> None:
    """Tells the daemon to stop, and returns once it has. Raises DaemonError when there is none, or it takes too long.

    graceful: steps that run go on, and the next daemon adopts them. drain: waits for the runs in flight. cancel:
    cancels them first.
    """
    pid = daemon_pid(state)
    if pid is None:
        raise DaemonError("No daemon is running.", hint="Start one with `orchestrator daemon start`.")
    ask_daemon(state, "stop", how=how)
    deadline = clock.monotonic() + patience
    while daemon_pid(state) == pid:
        if clock.monotonic() > deadline:
            raise DaemonError(
                f"The daemon (process {pid}) has not stopped within {clock.format_duration(patience)}.",
                hint="It may be waiting for runs: `orchestrator runs list`. Call it again to go on waiting.",
            )
        time.sleep(0.02)


def _only_one(state: StateDir) -> HeldLock:
    lock = try_lock(state.daemon_lock)
    if lock is None:
        raise _already(state, daemon_pid(state) or 0)
    lock.write_note(str(os.getpid()).encode())
    return lock


def _already(state: StateDir, pid: int) -> DaemonError:
    return DaemonError(
        f"A daemon is running already for {state.path}: process {pid}.",
        hint="Stop it with `orchestrator daemon stop`, or look at it with `orchestrator daemon status`.",
    )


def _announce(state: StateDir) -> None:
    content = {"pid": os.getpid(), "started_at": clock.format_instant(clock.now()), "version": __version__}
    _write(state.daemon_json, json.dumps(content).encode())


def _write(path: Path, content: bytes) -> None:
    unfinished = path.with_suffix(".tmp")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    unfinished.replace(path)


def _requests(daemon: Daemon) -> dict[str, Any]:
    def stop(how: str = "graceful") -> dict[str, Any]:
        _stop(daemon, how)
        return {}

    def reload() -> dict[str, Any]:
        daemon.locations.reload()
        return {}

    return {"describe": daemon.describe, "stop": stop, "reload": reload}


def _stop(daemon: Daemon, how: str) -> None:
    daemon.log.info("stopping", how=how)
    if how == "graceful":
        daemon.loop.is_stopping = True
        return
    daemon.drain()
    if how == "cancel":
        daemon.runs.cancel_all("daemon stop --cancel")


def _serve(daemon: Daemon, supervisor: Supervisor, *, once: bool) -> None:
    with _signals(daemon) as wake:
        daemon.extra_descriptors = (wake,)

        def after_turn(_now: datetime) -> None:
            supervisor.turned(clock.monotonic())
            with contextlib.suppress(BlockingIOError):
                os.read(wake, 64)
            if (daemon.is_draining and daemon.is_idle()) or (once and daemon.is_settled()):
                daemon.loop.is_stopping = True

        daemon.loop.run(after_turn)


@contextlib.contextmanager
def _signals(daemon: Daemon) -> Iterator[int]:
    """SIGTERM and SIGINT stop gracefully, SIGHUP loads all locations anew."""
    reading, writing = os.pipe()
    for descriptor in (reading, writing):
        os.set_blocking(descriptor, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    handlers = {
        signal.SIGTERM: lambda *_: _stop(daemon, "graceful"),
        signal.SIGINT: lambda *_: _stop(daemon, "graceful"),
        signal.SIGHUP: lambda *_: daemon.locations.reload(),
    }
    replaced = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield reading
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before)
        os.close(reading)
        os.close(writing)
