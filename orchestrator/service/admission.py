"""Admission of a foreground run: it starts at once, waits for its slot, refuses to wait, or ignores the limits. What
the limits allow is decided by `engine.admission`, which runs count by `slots`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

import msgspec
from msgspec import Struct

from orchestrator import clock
from orchestrator.clock import monotonic
from orchestrator.crashpoints import crash_point
from orchestrator.engine.admission import QueueLimits, is_limited, limits_of, why_not
from orchestrator.errors import NotPossible, OrchestratorError
from orchestrator.model.queued_run import QueuedRun
from orchestrator.model.run import Trigger
from orchestrator.runlog.slots import busy_reason, holders, try_admission, write_slot
from orchestrator.runlog.tickets import HeldTicket, rivals
from orchestrator.service.interrupts import Interrupts
from orchestrator.settings import Settings, load_settings
from orchestrator.state_dir import StateDir

T = TypeVar("T")

# How long until a slot that was freed is noticed.
LOOK_S = 0.2
# Somebody else is let in within milliseconds. One who takes this long is suspended, or its disk is.
_MOMENT_S = 3.0


class Terms(Struct, frozen=True):
    """What a command wants if it cannot start at once. `prepare` is called before anything is tried: signals are noted
    from then on. `tell` is called with the reason and with how many seconds it has waited, again and again."""

    wait: bool = True
    ignore_limits: bool = False
    prepare: Callable[[], None] = lambda: None
    tell: Callable[[str, float], None] = lambda _reason, _seconds: None


class GaveUp(Exception):
    """The user interrupted the wait. Nothing was started and nothing is left."""


class Limits:
    """The limits of a workspace file as it is now: a waiting command sees an edit. A file that is broken for the moment
    changes nothing."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.path
        self._limits = limits_of(settings.run_queue)
        self._stamp = self._stamped()

    def __call__(self) -> QueueLimits:
        stamp = self._stamped()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._limits = limits_of(load_settings(self._path).run_queue)
            except OrchestratorError:
                pass
        return self._limits

    def _stamped(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size


class Blocked(msgspec.Struct, frozen=True):
    """The run may not start now. `is_momentary`: another run was just being admitted, and the limits were not read."""

    reason: str
    is_momentary: bool = False


def start_if_admitted(
    state: StateDir, run: QueuedRun, limits: QueueLimits, begin: Callable[[], T], now: datetime
) -> T | Blocked:
    """Starts a foreground run if no limit is in its way: `begin` creates it, or takes it over, and locks it.

    Reading the limits, taking the slot and `begin` are one step: no other process can be let in between them.
    """
    if not is_limited(run, limits):
        return start_unlimited(state, run, begin)
    lock = try_admission(state)
    if lock is None:
        return Blocked(busy_reason(state), is_momentary=True)
    try:
        reason = reason_to_wait(state, run, limits, now, clean=True)
        if reason is not None:
            return Blocked(reason)
        write_slot(state, run)
        crash_point("slot.taken")
        return begin()
    finally:
        lock.release()


def start_unlimited(state: StateDir, run: QueuedRun, begin: Callable[[], T]) -> T:
    """Starts a run whatever the limits say. It counts for others all the same."""
    result = begin()
    write_slot(state, run)  # after `begin`: without the admission lock, a slot whose run is not locked is swept away
    return result


def reason_to_wait(
    state: StateDir, run: QueuedRun, limits: QueueLimits, now: datetime, *, clean: bool = False
) -> str | None:
    """What keeps a foreground run from starting now. Under the admission lock, the answer stays true until it is
    released."""
    holding = holders(state, clean=clean)
    if any(one.run_id == run.run_id for one in holding):
        return None  # a step of it is alive, so it counts already
    return why_not(run, rivals(state, holding), holding, limits, now)


def limits_in_the_way(state: StateDir, settings: Settings, run: QueuedRun) -> str | None:
    """What a foreground run would wait for at this moment."""
    return reason_to_wait(state, run, limits_of(settings.run_queue), clock.now())


def enter(
    state: StateDir,
    settings: Settings,
    run: QueuedRun,
    trigger: Trigger,
    begin: Callable[[], T],
    terms: Terms,
    interrupts: Interrupts,
) -> T:
    """What `begin` gives, once the run may start. Raises NotPossible if it cannot now and must not wait, GaveUp when
    the user interrupts the wait."""
    terms.prepare()
    if terms.ignore_limits:
        return start_unlimited(state, run, begin)
    limits = Limits(settings)
    ticket: HeldTicket | None = None
    started = monotonic()
    try:
        while True:
            outcome = start_if_admitted(state, run, limits(), begin, clock.now())
            if not isinstance(outcome, Blocked):
                return outcome
            waited = monotonic() - started
            if not (outcome.is_momentary and waited < _MOMENT_S):
                if not terms.wait:
                    raise _refusal(run, outcome.reason)
                ticket = ticket or HeldTicket(state, run, trigger)
                ticket.note(outcome.reason)
                terms.tell(outcome.reason, waited)
            if interrupts.wait(0.01 if outcome.is_momentary else LOOK_S):
                raise GaveUp
    finally:
        if ticket is not None:
            ticket.close()


def _refusal(run: QueuedRun, reason: str) -> NotPossible:
    return NotPossible(
        f"A run of {run.pipeline} cannot start now: {reason}.",
        hint="Leave out --no-wait to wait for it, or go ahead with --ignore-limits."
        " `orchestrator runs list` shows what is going.",
    )
