"""The records of a simulation: ticks as the daemon would record them, and counts."""

from __future__ import annotations

from msgspec import Struct

from orchestrator.model.states import TickState
from orchestrator.model.tick import Requested, Tick


class SimulatedTick(Tick, frozen=True, kw_only=True):
    """A tick that would be. `run_ids` are made up, to tell runs apart; `requests` says what they would be."""

    requests: tuple[Requested, ...] = ()
    is_late: bool = False  # made up for, after its time


class Totals(Struct):
    """What becomes of the occurrences of one schedule, or the evaluations of one sensor."""

    ticks: int = 0
    runs: int = 0
    skipped: int = 0
    missed: int = 0
    failed: int = 0

    def count(self, status: TickState, runs: int = 0, ticks: int = 1) -> None:
        """Adds what came of some."""
        self.ticks += ticks
        self.runs += runs
        if status is TickState.SKIPPED:
            self.skipped += ticks
        elif status is TickState.MISSED:
            self.missed += ticks
        elif status is TickState.FAILURE:
            self.failed += ticks
