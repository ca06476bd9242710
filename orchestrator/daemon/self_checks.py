"""Signs of life, and what the daemon stands on: after a turn of the loop it says that it turns, and looks whether its
socket and its state directory are still there.

Knows nothing of what the loop does.
"""

from __future__ import annotations

from datetime import datetime

from orchestrator import clock
from orchestrator.catalog.rpc_server import StoreServer
from orchestrator.clock import Every
from orchestrator.daemon.log import DaemonLog
from orchestrator.daemon.systemd_notify import Supervisor
from orchestrator.errors import DaemonError, OrchestratorError
from orchestrator.heartbeat import EVERY, touch
from orchestrator.locks import HeldLock
from orchestrator.state_dir import StateDir


class SelfChecks:
    """Called after each turn; does its work about once a second."""

    def __init__(
        self, state: StateDir, lock: HeldLock, server: StoreServer, supervisor: Supervisor, log: DaemonLog
    ) -> None:
        self._state = state
        self._lock = lock
        self._server = server
        self._supervisor = supervisor
        self._log = log
        self._look = Every(EVERY)
        self._error: str | None = None

    def turned(self, now: datetime) -> None:
        """Raises DaemonError when the state directory was removed: another daemon may have created a new one."""
        self._supervisor.turned(clock.monotonic())
        if not self._look.is_due(now):
            return
        self._look.done(now)
        if not self._lock.is_in_place():
            raise DaemonError(
                f"The state directory {self._state.path} was removed or replaced while the daemon ran.",
                hint="Start the daemon again with `orchestrator daemon start`.",
            )
        touch(self._state, now)
        self._mend_socket()

    def _mend_socket(self) -> None:
        try:
            if self._server.rebind_socket():
                self._log.warn("the socket was gone, and is there again", socket=self._state.daemon_sock)
            self._error = None
        except OrchestratorError as error:
            if str(error) != self._error:
                self._log.error("the daemon cannot be reached", error=str(error))
            self._error = str(error)
