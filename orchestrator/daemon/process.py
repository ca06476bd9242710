"""The daemon as a process: one for each state directory, how it starts, how it is told to stop, what it leaves."""

from __future__ import annotations

import contextlib
import faulthandler
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
from orchestrator.daemon.vitals import Vitals
from orchestrator.errors import DaemonError, DaemonSilent, StoreError
from orchestrator.layout import FILE_MODE, StateDir
from orchestrator.locks import HeldLock, try_lock
from orchestrator.operations.daemon import ask, describe_daemon, no_daemon
from orchestrator.operations.workspace import Workspace
from orchestrator.pulse import daemon_pid, is_suspended, silence
from orchestrator.store.serving import StoreServer
from orchestrator.store.session import hold_store

How = Literal["graceful", "drain", "cancel"]
# How long a detached daemon may take until it answers.
_START_PATIENCE_S = 30.0


def run_daemon(workspace: Workspace, *, log_format: str = "text", once: bool = False, echo: bool = True) -> int:
    """Runs until told to stop; the exit code. `once`: does what is due, drives it to its end, and returns.

    Raises DaemonError when another daemon has the state directory.
    """
    state = workspace.state
    lock = _only_one(state)
    faulthandler.register(signal.SIGUSR1)  # says where a daemon hangs, even one that hangs in a library
    supervisor = Supervisor(os.environ)
    log = DaemonLog(state, log_format, echo=echo)
    try:
        with hold_store(state, tell=log.warn) as store:
            server = StoreServer(state, store.database)
            daemon = Daemon(workspace, store, server, log)
            server.extra = _requests(daemon)
            server.before_call = daemon.before_operation
            server.open()
            try:
                _announce(state)
                log.info("daemon started", pid=os.getpid(), workspace=workspace.settings.path)
                supervisor.ready()
                _serve(daemon, Vitals(state, lock, server, supervisor, log), once=once)
            finally:
                supervisor.stopping()
                going_on = len(daemon.runs.active)
                server.close()
                daemon.close()
                if lock.is_in_place():
                    state.daemon_json.unlink(missing_ok=True)
                log.info("daemon stopped", **_left(going_on))
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
    with open(state.daemon_err, "w+b", opener=_private) as errors:
        process = subprocess.Popen(
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


def stop_daemon(state: StateDir, *, how: How = "graceful", patience: float = 60.0) -> None:
    """Tells the daemon to stop, and returns once it has. Raises DaemonError when there is none, or it takes too long.

    graceful: steps that run go on, and the next daemon adopts them. drain: waits for the runs in flight. cancel:
    cancels them first.
    """
    pid = daemon_pid(state)
    if pid is None:
        raise no_daemon()
    _tell_to_stop(state, pid, how)
    deadline = clock.monotonic() + patience
    while daemon_pid(state) == pid:
        if is_suspended(pid):
            raise silence(state, clock.now())
        if clock.monotonic() > deadline:
            raise DaemonError(
                f"The daemon (process {pid}) has not stopped within {clock.format_duration(patience)}.",
                hint="It may be waiting for runs: `orchestrator runs list`. Call it again to go on waiting.",
            )
        time.sleep(0.02)


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


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, FILE_MODE)


def _left(runs: int) -> dict[str, Any]:
    if not runs:
        return {}
    return {"going_on": f"{runs} run{'' if runs == 1 else 's'}, which the next daemon takes over"}


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
    with open(unfinished, "wb", opener=_private) as file:
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


def _serve(daemon: Daemon, vitals: Vitals, *, once: bool) -> None:
    daemon.sensors.is_spread_out = not once
    with _signals(daemon) as wake:
        daemon.extra_descriptors = (wake,)

        def after_turn(now: datetime) -> None:
            vitals.turned(now)
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
        signal.SIGHUP: lambda *_: daemon.locations.reload_soon(),
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
