"""Admission of a foreground run: it starts at once, waits for its slot, refuses to wait, or ignores the limits. What
the limits allow is decided by `engine.admission`, which runs count by `slots`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from orchestrator import clock
from orchestrator.clock import monotonic
from orchestrator.engine.admission import QueueLimits, limits_of
from orchestrator.errors import NotPossible, OrchestratorError
from orchestrator.layout import StateDir
from orchestrator.records import Trigger
from orchestrator.service.interrupts import Interrupts
from orchestrator.service.slots import Blocked, reason_to_wait, start_if_admitted, start_unlimited
from orchestrator.service.tickets import HeldTicket
from orchestrator.settings import Settings, load_settings
from orchestrator.ticks import QueuedRun

T = TypeVar("T")

# How long until a slot that was freed is noticed.
LOOK_S = 0.2
# Somebody else is let in within milliseconds. One who takes this long is suspended, or its disk is.
_MOMENT_S = 3.0


@dataclass(frozen=True)
class Terms:
    """What a command wants if it cannot start at once. `prepare` is called before anything is tried: signals are noted
    from then on. `tell` is called with the reason and with how many seconds it has waited, again and again."""

    wait: bool = True
    ignore_limits: bool = False
    prepare: Callable[[], None] = lambda: None
    tell: Callable[[str, float], None] = lambda _reason, _seconds: None


class GaveUp(Exception):
    """The user interrupted the wait. Nothing was started and nothing is left."""


class Limits:
    """The limits of a workspace file as it is now: whoever waits sees an edit. A file that is broken for the moment
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
