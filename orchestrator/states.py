"""The states things pass through, the sets that matter, and which changes are legal.

Must not import anything of ours but `errors`: everybody reads states, so states read nobody.
"""

from __future__ import annotations

from enum import StrEnum

from orchestrator.errors import NotPossible


class RunState(StrEnum):
    """Where a run stands. Derived from its journal once it has one; set in the store while it is only queued."""

    QUEUED = "QUEUED"  # accepted, waiting for the daemon to have room
    STARTING = "STARTING"  # taken from the queue, its owner has not journalled a first event yet
    STARTED = "STARTED"  # somebody drives it, or should
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    CANCELING = "CANCELING"  # asked to stop; steps are being ended
    CANCELED = "CANCELED"


class StepState(StrEnum):
    """Where one step of one run stands."""

    WAITING = "WAITING"  # something upstream is not finished
    READY = "READY"  # could start now; waits for room
    RUNNING = "RUNNING"
    RETRYING = "RETRYING"  # failed, will be attempted again at a known instant
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    SKIPPED = "SKIPPED"  # an input has no value because a branch was not taken
    ABANDONED = "ABANDONED"  # something upstream failed
    CANCELED = "CANCELED"
    REUSED = "REUSED"  # not run here: its outputs come from an earlier run


class TickState(StrEnum):
    """What became of one evaluation of a schedule or sensor."""

    STARTED = "STARTED"
    SUCCESS = "SUCCESS"
    SKIPPED = "SKIPPED"
    FAILURE = "FAILURE"
    MISSED = "MISSED"  # a due occurrence that policy says not to run


TERMINAL_RUN_STATES = frozenset({RunState.SUCCESS, RunState.FAILURE, RunState.CANCELED})
ACTIVE_RUN_STATES = frozenset({RunState.STARTING, RunState.STARTED, RunState.CANCELING})

TERMINAL_STEP_STATES = frozenset(
    {
        StepState.SUCCESS,
        StepState.FAILURE,
        StepState.SKIPPED,
        StepState.ABANDONED,
        StepState.CANCELED,
        StepState.REUSED,
    }
)

# A terminal state is never left, with one exception: a run that failed only because its owner died may be resumed
# (FAILURE -> STARTED). Whoever resumes it checks that reason; this table cannot.
_NEXT_RUN_STATES: dict[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.STARTING, RunState.STARTED, RunState.CANCELED, RunState.FAILURE}),
    RunState.STARTING: frozenset(
        {RunState.QUEUED, RunState.STARTED, RunState.CANCELING, RunState.CANCELED, RunState.FAILURE}
    ),
    RunState.STARTED: frozenset({RunState.SUCCESS, RunState.FAILURE, RunState.CANCELING, RunState.CANCELED}),
    RunState.CANCELING: frozenset({RunState.CANCELED, RunState.SUCCESS, RunState.FAILURE}),
    RunState.SUCCESS: frozenset(),
    RunState.FAILURE: frozenset({RunState.STARTED}),
    RunState.CANCELED: frozenset(),
}


def is_legal_run_change(before: RunState, after: RunState) -> bool:
    """Whether a run in `before` may next be in `after`; staying is always legal."""
    return after == before or after in _NEXT_RUN_STATES[before]


def check_run_change(run_id: str, before: RunState, after: RunState) -> None:
    """Refuses an illegal change: a race was lost (the run ended meanwhile), or we have a bug."""
    if not is_legal_run_change(before, after):
        raise NotPossible(f"Run {run_id} is {before}; it cannot become {after}.")
