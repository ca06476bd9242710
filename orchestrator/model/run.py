"""What was requested of a run, and what is known of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from orchestrator.model.attempt import Place
from orchestrator.model.events import Instant
from orchestrator.model.states import RunState, StepState

RUN_FORMAT = 1


# Tags that start with this are ours: they may be read by users, and set only by us.
SYSTEM_TAG_PREFIX = "orchestrator/"


PRIORITY_TAG = "priority"


# The run-status sensors whose requests led to a run, in order: who asked because of a run that who asked before began.
ALERTS_TAG = "orchestrator/alerts"


# Runs that carry this tag with the same value go one after another (overlap: buffer).
SERIALIZE_TAG = "orchestrator/serialize"


# A run that was started with --ignore-limits carries this tag; its value says what it would have waited for.
IGNORED_LIMITS_TAG = "orchestrator/ignored-limits"


# The kinds of trigger that stand for a person.
BY_HAND = frozenset({"manual", "rerun"})


class Trigger(msgspec.Struct, frozen=True):
    """Why a run exists. `name` is the schedule or sensor, or the run that is being run again."""

    kind: str = "manual"  # manual, schedule, sensor or rerun; a newer version may know others
    name: str | None = None
    run_key: str | None = None
    scheduled_at: Instant | None = None


def priority_of(tags: dict[str, str]) -> int:
    """The run's priority by its tag; 0 when that is missing or no number."""
    try:
        return int(tags.get(PRIORITY_TAG, "0"))
    except ValueError:
        return 0


class RunRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A run as it was requested: the content of run.json, which never changes.

    `config` is unresolved: it says `{env: NAME}` where a secret belongs. `plan` is a `planning.plan.Plan` as JSON,
    kept raw because only planning, the engine and the step's process need to look inside.
    """

    format: int = RUN_FORMAT
    run_id: str
    pipeline: str
    location: str
    mode: str
    created_at: Instant
    trigger: Trigger
    tags: dict[str, str] = {}
    config: dict[str, Any] = {}
    preset: str | None = None
    selection: tuple[str, ...] = ()
    executor: str = "subprocess"
    max_concurrent_steps: int = 4
    parent_run_id: str | None = None
    root_run_id: str | None = None
    plan: msgspec.Raw = msgspec.Raw(b"null")
    reused: msgspec.Raw = msgspec.Raw(b"[]")  # StepReused events that the run begins with


class StepSummary(msgspec.Struct, frozen=True):
    """One step of a run, as `run --json` and `runs show --json` print it."""

    key: str
    status: StepState
    attempts: int = 0
    duration_s: float | None = None  # of the last attempt that ended
    error: str | None = None  # its class and message, when it failed
    waited_s: float | None = None  # of the last attempt that began: from its launch to its begin
    place: Place | None = None  # where that began, in a cluster


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One run in a list, as `runs list --json` prints it."""

    run_id: str
    pipeline: str
    mode: str
    status: RunState
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    tags: dict[str, str] = {}
    trigger: Trigger = Trigger()


class RunDetail(RunSummary, frozen=True, kw_only=True):
    """One run with its steps. The fields of `RunSummary` plus these."""

    steps: tuple[StepSummary, ...] = ()


class RunInfo(msgspec.Struct, frozen=True):
    """A run's summary with what else the index knows of it."""

    summary: RunSummary
    location: str
    reason: str
    parent_run_id: str | None


class Acknowledgement(msgspec.Struct, frozen=True):
    """When a failed run was acknowledged, and the note."""

    acknowledged_at: datetime
    note: str | None = None
