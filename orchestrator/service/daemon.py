"""The daemon as seen from outside: whether there is one, and what it says of itself.

Every question has an answer within seconds, whatever the daemon is doing. Knows nothing of how a daemon works.
"""

from __future__ import annotations

import time
from typing import Any

from orchestrator import clock
from orchestrator.catalog.rpc_client import ask_daemon
from orchestrator.errors import DaemonError, DaemonSilent
from orchestrator.heartbeat import daemon_pid, is_suspended, unresponsive_error
from orchestrator.locks import is_locked
from orchestrator.state_dir import StateDir

# A daemon answers between two turns of its loop, which take milliseconds; one that is starting takes longer.
PATIENCE_S = 6.0
_PAUSE_S = 0.05


def has_daemon(state: StateDir) -> bool:
    """Whether a daemon is running, starting or ending, whether it answers or not."""
    return is_locked(state.daemon_lock)


def no_daemon() -> DaemonError:
    """The error for a daemon that is needed and not there."""
    return DaemonError("No daemon is running.", hint="Start one with `orchestrator daemon start`.")


def describe_daemon(state: StateDir, patience: float = PATIENCE_S) -> dict[str, Any]:
    """What the daemon says of itself. Raises DaemonError when there is none, DaemonSilent when it does not answer."""
    return dict(ask(state, "describe", patience=patience))


def ask(state: StateDir, request: str, *, patience: float = PATIENCE_S, **arguments: Any) -> Any:
    """Asks the daemon for something. Raises DaemonError when there is none, DaemonSilent when it does not answer.

    One that is just starting, or whose socket was deleted and is not back yet, is waited for.
    """
    deadline = clock.monotonic() + patience
    while (pid := daemon_pid(state)) is not None:
        left = deadline - clock.monotonic()
        if left <= 0 or is_suspended(pid):
            raise unresponsive_error(state, clock.now())
        try:
            return ask_daemon(state, request, patience=left, **arguments)
        except DaemonSilent:
            time.sleep(_PAUSE_S)
    raise no_daemon()
