"""Schedules, sensors and their ticks as records: what a location declares, what is remembered, what one look gave.

Frozen, JSON-able, shared by the processes that evaluate, the engine that decides and the store that remembers.
Nothing is decided here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from orchestrator.clock import format_instant
from orchestrator.records import BY_HAND, Materialization, RunRecord, Trigger, priority_of
from orchestrator.states import DeliveryState, RunState, TickState

CatchUp = Literal["latest", "all", "none"] | int
Overlap = Literal["skip", "allow", "buffer_one", "buffer_all", "cancel_other"]
SensorKind = Literal["sensor", "asset_sensor", "run_status_sensor"]
Kind = Literal["schedule", "sensor", "asset_sensor", "run_status_sensor"]

DEFAULT_INTERVAL_S = 15.0
DEFAULT_TIMEOUT_S = 60.0


class ScheduleInfo(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, tag="schedule"):
    """A schedule as its definition declares it. Durations are in seconds.

    `timezone` is an IANA name. `catch_up_window` None: however late. `jitter` delays each occurrence by less than that.
    `where` is the file and the line of the definition.
    """

    name: str
    cron: str
    timezone: str = "UTC"
    pipeline: str
    mode: str | None = None
    catch_up: CatchUp = "latest"
    catch_up_window: float | None = 86400.0
    overlap: Overlap = "skip"
    jitter: float = 0.0
    timeout: float = DEFAULT_TIMEOUT_S
    default_on: bool = False
    tags: dict[str, str] = {}
    description: str | None = None
    where: str = ""


class SensorInfo(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, tag="sensor"):
    """A sensor of any kind as its definition declares it. `pipeline` None: it only acts, or names one per request.

    An asset sensor looks at `assets`; `require` says whether all of them must be new, or any. `read` and `start` are
    about what it sees: only the newest or every materialization, from when it is turned on or from the beginning.
    A run-status sensor looks at runs that end in one of `statuses`, of `pipelines` (empty: all). Durations are in
    seconds: `interval` is from one look to the next, `timeout` is what one may take.
    """

    name: str
    kind: SensorKind = "sensor"
    pipeline: str | None = None
    mode: str | None = None
    interval: float = DEFAULT_INTERVAL_S
    timeout: float = DEFAULT_TIMEOUT_S
    assets: tuple[tuple[str, ...], ...] = ()
    require: Literal["all", "any"] = "any"
    read: Literal["latest", "every"] = "latest"
    start: Literal["now", "beginning"] = "now"
    statuses: tuple[RunState, ...] = ()
    pipelines: tuple[str, ...] = ()
    default_on: bool = False
    tags: dict[str, str] = {}
    description: str | None = None
    where: str = ""


Declared = ScheduleInfo | SensorInfo


def automation_id(location: str, name: str) -> str:
    """What a schedule or sensor is known by: nothing but its location's name and its own, so that moving code around
    changes nothing. A location cannot have a schedule and a sensor of the same name."""
    return f"{location}/{name}"


class Automation(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is remembered of a schedule or sensor.

    `since` is from when occurrences count: the moment it was turned on, or its cron or zone changed, or the last
    occurrence accounted for (exclusive then: `since_inclusive` is False). `declared` is the definition as last seen;
    `gone_at` says since when the location no longer has it.
    """

    id: str
    location: str
    name: str
    kind: Kind
    is_on: bool
    changed_at: datetime  # when it was last turned on or off
    since: datetime | None = None
    since_inclusive: bool = True
    # Instants up to which occurrences were accounted for before the clock was set back by much; the nearest comes last.
    ahead: tuple[datetime, ...] = ()
    cursor: str | None = None
    last_run_key: str | None = None
    last_tick_at: datetime | None = None  # of any outcome
    failures: int = 0  # ticks that failed in a row
    gone_at: datetime | None = None
    replaces: str | None = None  # what it seems to be the new name of, and was on when it was forgotten
    declared: ScheduleInfo | SensorInfo | None = None


class Tick(msgspec.Struct, frozen=True, omit_defaults=False, kw_only=True):
    """One evaluation, or one occurrence that was not evaluated: as `ticks --json` prints it.

    `at` is when it was asked or passed over, `scheduled_at` the instant of the occurrence (schedules only). `cursor` is
    as it was afterwards. `output` is the end of what the user's code printed. One tick may stand for several
    `occurrences` that were not run, from `scheduled_at` to `until`. `about_run` is the run that an alert is about,
    or the run that kept an occurrence from starting.
    """

    tick_id: str
    name: str  # with its location: location/name
    kind: str
    status: TickState
    at: datetime
    scheduled_at: datetime | None = None
    duration_s: float | None = None
    run_ids: tuple[str, ...] = ()
    run_keys: tuple[str, ...] = ()
    skip_reason: str | None = None
    error: str | None = None
    cursor: str | None = None
    output: str | None = None
    occurrences: int = 1
    until: datetime | None = None
    about_run: str | None = None


class Requested(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run that user code asks for."""

    run_key: str | None = None
    config: dict[str, Any] = {}
    tags: dict[str, str] = {}
    pipeline: str | None = None  # None: the one that the schedule or sensor names
    mode: str | None = None
    preset: str | None = None


class Evaluation(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What user code said when it was asked once. `error` is a traceback that begins in the user's file."""

    requests: tuple[Requested, ...] = ()
    skip_reason: str | None = None
    cursor: str | None = None  # as it is afterwards
    error: str | None = None
    output: str = ""


class RunEnding(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is over, as run-status sensors see it. `ordinal` counts endings up, over all runs.

    `trigger` says why the run existed: its `kind` is "manual", "schedule", "sensor" or "rerun", its `name` that of the
    schedule, the sensor or the earlier run, with its `run_key` or `scheduled_at`.
    """

    ordinal: int
    run_id: str
    pipeline: str
    location: str
    mode: str
    status: RunState
    finished_at: datetime
    reason: str = ""
    tags: dict[str, str] = {}
    failed_steps: dict[str, str] = {}  # step: what went wrong
    trigger: Trigger = Trigger()


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that has failed and has not got through: a run-status sensor, and the end of a run to tell it about.

    `key` is the same for every attempt. `next_at` is None once it was given up. `error` is that of the last attempt.
    """

    sensor: str  # location/name
    key: str
    run: RunEnding
    status: DeliveryState
    attempts: int
    first_failed_at: datetime
    last_failed_at: datetime
    next_at: datetime | None
    error: str


class NumberedMaterialization(msgspec.Struct, frozen=True):
    """A materialization with its place in the order in which all of them became known."""

    ordinal: int
    materialization: Materialization


class QueuedRun(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A run that waits for a slot or holds one, as far as admission is concerned.

    `foreground`: a command in a terminal drives it, and not the daemon. `by_hand`: a person asked for it, and no
    schedule or sensor.
    """

    run_id: str
    created_at: datetime
    priority: int = 0
    tags: dict[str, str] = {}
    pipeline: str = ""
    location: str = ""
    mode: str = ""
    foreground: bool = False
    by_hand: bool = False
    not_before: datetime | None = None  # after a launch that could not be made: when to try again


class UnfinishedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is not over, as far as `overlap` is concerned."""

    run_id: str
    pipeline: str
    location: str
    mode: str
    trigger: Trigger
    has_begun: bool


def as_queued(record: RunRecord, *, foreground: bool = False) -> QueuedRun:
    """What admission goes by, of a run that is about to start or runs."""
    return QueuedRun(
        run_id=record.run_id,
        created_at=record.created_at,
        priority=priority_of(record.tags),
        tags=record.tags,
        pipeline=record.pipeline,
        location=record.location,
        mode=record.mode,
        foreground=foreground,
        by_hand=record.trigger.kind in BY_HAND,
    )


def dedupe_key(run_key: str | None, scheduled_at: datetime | None) -> str | None:
    """What must be unique for ever among what one schedule or sensor asks for; None when nothing has to be."""
    if scheduled_at is None:
        return run_key
    return f"{format_instant(scheduled_at)} {run_key}" if run_key else format_instant(scheduled_at)
