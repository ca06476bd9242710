"""A run that has no files, because it has not begun: it waits in the queue or for a slot, or was canceled there. Has no
part in its beginning.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from msgspec import Struct

from orchestrator import clock
from orchestrator.catalog.runs import get_run, resolve_run
from orchestrator.catalog.session import Store
from orchestrator.errors import DaemonError, NotPossible, OrchestratorError, TimedOut
from orchestrator.locks import is_locked
from orchestrator.model.filters import RunFilter
from orchestrator.model.run import RunSummary
from orchestrator.model.states import TERMINAL_RUN_STATES, RunState
from orchestrator.runlog.run_log import RunLog
from orchestrator.runlog.tickets import Ticket, find_tickets, give_up, tickets
from orchestrator.service.daemon import describe_daemon
from orchestrator.state_dir import StateDir

_PAUSE_S = 0.2
# How often the database is opened for a run that waits while there is no daemon.
_SELDOM_S = 2.0
NO_DAEMON = "no daemon is running (orchestrator daemon start)"


class QueuedRunView(Struct, frozen=True):
    """Such a run: what it waits for, or why it never began."""

    summary: RunSummary
    reason: str

    @property
    def run_id(self) -> str:
        return self.summary.run_id

    @property
    def is_over(self) -> bool:
        return self.summary.status in TERMINAL_RUN_STATES

    def no_output(self) -> OrchestratorError:
        """The error for asking what it did."""
        if self.is_over:
            return NotPossible(f"Run {self.run_id} is {self.summary.status} and never began: {self.reason}.")
        return NotPossible(
            f"Run {self.run_id} has not begun. It waits: {self.reason}.",
            hint="With --follow, it is waited for.",
        )


def find_unbegun(store: Store, reference: str) -> QueuedRunView | None:
    """The run meant, if it has not begun; None if it has. Raises NotFound."""
    waiting = find_tickets(store.state, reference)
    if len(waiting) == 1:
        return QueuedRunView(waiting[0].summary, in_terminal(waiting[0]))
    info = store(get_run, store(resolve_run, reference))
    summary = info.summary
    if RunLog(store.state, summary.run_id).exists():
        return None
    if summary.status is RunState.CANCELED and summary.started_at is None:
        return QueuedRunView(summary, info.reason)
    if summary.status not in (RunState.QUEUED, RunState.STARTING):
        return None
    return QueuedRunView(summary, waiting_reasons(store.state).reason(summary.run_id))


def stop_waiting(state: StateDir, reference: str) -> str | None:
    """Interrupts the command that waits with the run meant, if there is exactly one; the id of its run."""
    waiting = find_tickets(state, reference)
    if len(waiting) == 1 and give_up(state, waiting[0].run.run_id):
        return waiting[0].run.run_id
    return None


def with_waiting(state: StateDir, runs: list[RunSummary], which: RunFilter) -> list[RunSummary]:
    """The runs with the foreground runs that wait for a slot and pass the same filter, newest first."""
    waiting = [ticket.summary for ticket in tickets(state) if not RunLog(state, ticket.run.run_id).exists()]
    passing = [run for run in waiting if which.passes(run)]
    if not passing:
        return runs
    return sorted([*runs, *passing], key=lambda run: run.created_at, reverse=True)[: which.limit]


class Waiting(Struct, frozen=True):
    """What queued runs wait for: some for something of their own, all others for the same."""

    own: dict[str, str]
    common: str

    def reason(self, run_id: str) -> str:
        return self.own.get(run_id, self.common)


def waiting_reasons(state: StateDir) -> Waiting:
    """What each run that waits is waiting for: queued ones as the daemon says, foreground ones by their tickets."""
    own = {ticket.run.run_id: in_terminal(ticket) for ticket in tickets(state)}
    try:
        return Waiting({**describe_daemon(state)["queue"]["waiting"], **own}, "for its turn")
    except DaemonError:
        return Waiting(own, NO_DAEMON)
    except OrchestratorError as error:
        return Waiting(own, error.message.rstrip("."))


def why_they_wait(state: StateDir, runs: Iterable[RunSummary]) -> dict[str, str]:
    """For each of these runs that has not begun: what it waits for."""
    waiting = [
        run.run_id
        for run in runs
        if run.status is RunState.QUEUED or (run.status is RunState.STARTING and not RunLog(state, run.run_id).exists())
    ]
    reasons = waiting_reasons(state) if waiting else Waiting({}, "")
    return {run_id: reasons.reason(run_id) for run_id in waiting}


def in_terminal(ticket: Ticket) -> str:
    """What a foreground run waits for, and where it does."""
    return f"{ticket.reason or 'for a slot'} (a command in a terminal waits, process {ticket.pid})"


def wait_until_begun(
    state: StateDir,
    look: Callable[[], QueuedRunView | None],
    timeout: float | None,
    tell: Callable[[str], None],
) -> QueuedRunView | None:
    """Returns once the run has begun (None), or will never begin. Says so when no daemon is there to begin it. Raises
    TimedOut after `timeout` seconds."""
    started = looked_at = clock.monotonic()
    told = ""
    found = look()
    while found is not None and not found.is_over:
        if found.reason != told and found.reason == NO_DAEMON:
            tell(f"Run {found.run_id} waits in the queue: {found.reason}.")
        told = found.reason
        if timeout is not None and clock.monotonic() - started > timeout:
            raise TimedOut(f"Run {found.run_id} has not begun after {timeout:g} seconds. It waits: {found.reason}.")
        time.sleep(_PAUSE_S)
        if is_worth_a_look(state, found.run_id, clock.monotonic() - looked_at):
            looked_at = clock.monotonic()
            found = look()
    return found


def is_worth_a_look(state: StateDir, run_id: str, seconds: float) -> bool:
    """Whether to ask the index about a run that has not begun, `seconds` after the last time.

    Without a daemon that means to open the database, and commands that do so all the time keep a daemon from getting
    it: one that starts is left alone until it answers. As long as there is none, only a cancel can change anything.
    """
    if RunLog(state, run_id).exists():
        return True
    if is_locked(state.daemon_lock):
        return state.daemon_sock.exists()
    return seconds >= _SELDOM_S
