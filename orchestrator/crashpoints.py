"""Named places at which a test can have this process killed, to see what is left behind.

`ORCHESTRATOR_CRASH_AT=name` kills the process with SIGKILL when it gets to `name` for the first time, `name:3` when it
gets there for the third; `name:3@FILE` only if it can create FILE, so that of many processes just one is killed, and
everybody can see that it was. `ORCHESTRATOR_CRASH_SIGNAL=SIGTERM` sends that signal instead. Without the first variable
a point costs one comparison. Every point is in `POINTS`, and a test fails for each that is never reached.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

POINTS = (
    # a run's owner
    "slot.taken",  # a foreground run has its slot, and does not exist
    "run.written",  # its files are written, under a temporary name
    "run.created",  # the run directory is complete, nothing is journalled
    "run.started",  # the first event is journalled
    "run.resumed",  # it was taken over, and what is in flight was not looked at
    "attempt.journalled",  # the intent to launch is journalled, nothing was done
    "attempt.sent",  # the launch was handed to the executor
    "attempt.observed",  # the outcome was read, and is not in the journal
    "attempt.recorded",  # the outcome is in the journal
    "journal.torn",  # in the middle of writing a line of the journal
    "run.finished",  # the last event is journalled, the run is not in the index
    "run.removed",  # the files of a run that is deleted are gone, its place in the index is not
    # a command that cancels a queued run
    "cancel.dequeuing",  # inside the transaction
    "cancel.dequeued",  # after commit
    # a step's process
    "step.forked",  # it exists and has no claim
    "step.claimed",  # it has its claim and recorded nothing
    "step.torn",  # in the middle of writing an event
    "step.working",  # before the user's function
    "step.stored",  # an output is stored, and the event that says so is not written
    "step.done",  # the outcome is on disk, the process has not ended
    # the daemon
    "tick.due",  # an occurrence is due, and user code has not been asked
    "tick.asked",  # user code is being asked
    "tick.evaluated",  # user code has answered, nothing is decided
    "tick.deciding",  # everything is decided, no transaction has begun
    "tick.written",  # inside the transaction
    "tick.committed",  # after commit, before anything acts on it
    "queue.admitted",  # it is decided which runs to take, nothing is done
    "queue.taking",  # inside the transaction that takes them
    "queue.taken",  # runs are taken from the queue, and do not exist on disk
    "queue.created",  # the run directory of a run that was taken from the queue exists, without an owner
    "queue.begun",  # such a run is driven, and the queue still remembers it
    "queue.releasing",  # inside the transaction in which the queue forgets runs that exist
    "queue.released",  # it has forgotten them
    # the writer of the index
    "ingest.read",  # the journal was read, no transaction has begun
    "ingest.written",  # inside the transaction
    "ingest.committed",  # after commit, the run is still marked as pending
)

_where, _, _once = os.environ.get("ORCHESTRATOR_CRASH_AT", "").partition("@")
_name, _, _count = _where.partition(":")
_left = int(_count or "1")
_signal = signal.Signals[os.environ.get("ORCHESTRATOR_CRASH_SIGNAL", "SIGKILL")]


def crash_point(name: str, last: Callable[[], object] = lambda: None) -> None:
    """Ends the process here if a test asked for it, and only then does `last` before."""
    if name == _name:
        _reached(last)


def _reached(last: Callable[[], object]) -> None:
    global _left
    _left -= 1
    if _left == 0 and _is_ours():
        last()
        os.kill(os.getpid(), _signal)


def _is_ours() -> bool:
    if not _once:
        return True
    try:
        os.close(os.open(_once, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
