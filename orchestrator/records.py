"""Records that travel: between processes, into files, out as JSON. Frozen, and read without executing anything. They
decide nothing: functions that do are the engine's.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from orchestrator.events import ErrorInfo, Instant
from orchestrator.states import RunState, StepState

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


class SourceRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """One stored value: which run, step and output made it. `run_id` None: wherever its IO manager keeps it."""

    step: str
    output: str
    run_id: str | None = None
    mapping_key: str | None = None


class AttemptSpec(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Everything a step process needs beyond run.json to make one attempt at one step.

    `step` is the step as it runs (`load[a]`), `template` as it was planned (`load[?]`). `inputs` holds, for each
    input that comes from other steps, the values that exist, in the order they were wired.
    """

    run_id: str
    step: str
    template: str
    attempt: int
    inputs: dict[str, tuple[SourceRef, ...]] = {}
    mapping_keys: tuple[str, ...] = ()
    failures: int = 0  # how many attempts failed by the step's own fault before this one
    post_mortem: ErrorInfo | None = None  # the step has failed of this: only its failure hooks are to run

    @property
    def mapping_key(self) -> str | None:
        return self.mapping_keys[-1] if self.mapping_keys else None

    @property
    def handle(self) -> str:
        return handle_of(self.run_id, self.step, self.attempt)


def handle_of(run_id: str, step: str, attempt: int) -> str:
    """The handle of an attempt: what its owner, its executor and its own process call it, after every restart too."""
    return f"{run_id}/{step}/{attempt}"


def split_handle(handle: str) -> tuple[str, str, int]:
    """(run id, step, attempt) of a handle."""
    run_id, _, rest = handle.partition("/")
    step, _, attempt = rest.rpartition("/")
    return run_id, step, int(attempt)


class StepSummary(msgspec.Struct, frozen=True):
    """One step of a run, as `run --json` and `runs show --json` print it."""

    key: str
    status: StepState
    attempts: int = 0
    duration_s: float | None = None  # of the last attempt that ended
    error: str | None = None  # its class and message, when it failed


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


class Materialization(msgspec.Struct, frozen=True, kw_only=True):
    """An asset was written. `id` says which event of which run, so it stays the same when the index is rebuilt."""

    id: str
    asset: tuple[str, ...]
    run_id: str
    step: str
    materialized_at: datetime
    partition: str | None = None
    description: str | None = None
    metadata: dict[str, Any] = {}
    tags: dict[str, str] = {}
    pipeline: str = ""


class AssetSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One asset of the catalog with what was last said of it."""

    asset: tuple[str, ...]
    materializations: int
    first_at: datetime
    last: Materialization


def asset_name(key: tuple[str, ...]) -> str:
    """An asset key as people write it: its parts with slashes between."""
    return "/".join(key)
