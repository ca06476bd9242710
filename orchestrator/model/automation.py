"""Schedules and sensors: as they are declared, and what is remembered of them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from orchestrator.model.states import RunState

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
