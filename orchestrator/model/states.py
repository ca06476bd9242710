"""The states things pass through, and the sets of them that matter.

Imports nothing of this package, because every module imports it.
"""

from __future__ import annotations

from enum import StrEnum


class RunState(StrEnum):
    """Where a run stands. Derived from its journal once it has one; set in the store while it is only queued."""

    QUEUED = "QUEUED"  # accepted, waiting for the daemon to have room
    STARTING = "STARTING"  # taken from the queue, its owner has not journalled a first event yet
    STARTED = "STARTED"  # it has an owner, or should have one
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
    """What became of one evaluation of a schedule or sensor: it is written down when that is known, and not before."""

    SUCCESS = "SUCCESS"
    SKIPPED = "SKIPPED"
    FAILURE = "FAILURE"
    MISSED = "MISSED"  # a due occurrence that policy says not to run


class DeliveryState(StrEnum):
    """Where an alert stands that has not got through."""

    PENDING = "PENDING"  # failed, will be tried again at a known instant
    FAILED = "FAILED"  # given up: retried only on request


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
