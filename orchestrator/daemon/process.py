"""The daemon as a process: one for each state directory, how it starts, how it is stopped, what it leaves."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from orchestrator import clock
from orchestrator._version import __version__
from orchestrator.catalog.rpc_server import StoreServer
from orchestrator.catalog.session import hold_store
from orchestrator.daemon.control import already_running
from orchestrator.daemon.core import Daemon
from orchestrator.daemon.log import DaemonLog
from orchestrator.daemon.self_checks import SelfChecks
from orchestrator.daemon.systemd_notify import Supervisor
from orchestrator.errors import DaemonError
from orchestrator.heartbeat import daemon_pid, is_alive
from orchestrator.limits import raise_file_limit
from orchestrator.locks import HeldLock, try_lock
from orchestrator.private_file import write_atomically
from orchestrator.service.workspace import Workspace
from orchestrator.state_dir import StateDir, in_the_way

# How long the lock may be held without a readable process id in it.
_LOCK_PATIENCE_S = 2.0


def run_daemon(workspace: Workspace, *, log_format: str = "text", once: bool = False, echo: bool = True) -> int:
    """Runs until told to stop; the exit code. `once`: does what is due, drives it to its end, and returns.

    Raises DaemonError when another daemon has the state directory. It does what a single pass would do, so for `once`
    that is as good.
    """
    state = workspace.state
    raise_file_limit()
    try:
        lock = _only_one(state)
    except DaemonError:
        if once:
            return 0
        raise
    faulthandler.register(signal.SIGUSR1)  # says where a daemon hangs, even one that hangs in a library
    supervisor = Supervisor(os.environ)
    try:
        log = DaemonLog(state, log_format, echo=echo)
    except OSError as error:
        lock.release()
        raise in_the_way(state.daemon_log, error) from error
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
                _serve(daemon, SelfChecks(state, lock, server, supervisor, log), once=once)
            finally:
                supervisor.stopping()
                going_on = len(daemon.runs.active)
                server.close()
                daemon.close()
                if lock.is_in_place():
                    _take_back(state)
                log.info("daemon stopped", **_left(going_on))
    finally:
        log.close()
        lock.release()
    return 0


def _left(runs: int) -> dict[str, Any]:
    if not runs:
        return {}
    return {"going_on": f"{runs} run{'' if runs == 1 else 's'}, which the next daemon takes over"}


def _only_one(state: StateDir) -> HeldLock:
    patience = clock.monotonic() + _LOCK_PATIENCE_S
    while (lock := _try_lock(state)) is None:
        # Whoever only looks whether it is locked holds it for that moment, and a daemon that has just locked it has not
        # said yet who it is.
        pid = daemon_pid(state)
        if (pid and is_alive(pid)) or clock.monotonic() > patience:
            raise already_running(state, pid or 0)
        time.sleep(0.02)
    lock.write_note(str(os.getpid()).encode())
    return lock


def _try_lock(state: StateDir) -> HeldLock | None:
    try:
        return try_lock(state.daemon_lock)
    except OSError as error:
        raise in_the_way(state.daemon_lock, error) from error


def _announce(state: StateDir) -> None:
    content = {"pid": os.getpid(), "started_at": clock.format_instant(clock.now()), "version": __version__}
    try:
        write_atomically(state.daemon_json, json.dumps(content).encode())
    except OSError as error:
        raise in_the_way(state.daemon_json, error) from error


def _take_back(state: StateDir) -> None:
    try:
        state.daemon_json.unlink(missing_ok=True)
    except OSError:
        pass  # it is not what was written: the next daemon says so


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


def _serve(daemon: Daemon, vitals: SelfChecks, *, once: bool) -> None:
    if once:
        daemon.make_one_pass()
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
