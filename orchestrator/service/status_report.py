"""The condition of everything, as records: what `status` shows and prints as JSON. Nothing is looked up or judged here:
`status` looks, `health` judges.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from orchestrator.catalog.dashboard import ActiveRun, Behind, NotRun, SkippedInARow, UndeliveredAlerts
from orchestrator.model.executor_health import ExecutorHealth
from orchestrator.model.location import BrokenInfo
from orchestrator.model.run import RunSummary
from orchestrator.model.tick import Tick


class LocationStatus(msgspec.Struct, frozen=True):
    """One location: loaded with what it defines, broken with the reason, or still loading."""

    name: str
    loaded: bool
    pipelines: tuple[str, ...] = ()
    error: str | None = None
    traceback: str | None = None
    state: str = "loaded"  # or broken, loading
    since: datetime | None = None  # as far as a daemon knows
    restarts: int = 0  # how often its process has ended by itself of late
    restarted_because: str | None = None
    broken: tuple[BrokenInfo, ...] = ()  # definitions in it that cannot be right


class AutomationStatus(msgspec.Struct, frozen=True):
    """One schedule or sensor that is on, or is gone and still on. `when` is its cron and zone, or its interval."""

    name: str
    kind: str
    is_on: bool
    gone: bool
    failures: int  # in a row
    next_at: datetime | None = None
    last: Tick | None = None
    when: str = ""
    failing_since: datetime | None = None
    renamed_to: str | None = None  # of one that is gone and still on: what may have taken its place, and is off
    replaces: str | None = None  # what this one may have taken the place of, and was forgotten while it was on


class DaemonStatus(msgspec.Struct, frozen=True):
    """The daemon: whether it runs and answers, and each of its concerns as two facts, alive and erroring.

    `silence` says why one that runs does not answer. `turned_at` is when its loop turned last; of a daemon that does
    not run any more and did not say goodbye, about when it died.
    """

    running: bool
    pid: int | None = None
    started_at: datetime | None = None
    version: str | None = None
    turned_at: datetime | None = None
    silence: str | None = None
    workspace_error: str | None = None
    concerns: tuple[dict[str, Any], ...] = ()
    running_runs: int = 0
    queued: int = 0
    waiting: dict[str, str] = {}  # run: why it waits
    backlog: int = 0  # finished runs that the daemon has not taken into the index yet
    executors: tuple[ExecutorHealth, ...] = ()  # those that run attempts in another system


class Problem(msgspec.Struct, frozen=True):
    """Something that needs attention. `subject` is the run, schedule, sensor, pipeline or location that it is about;
    `hint` says what to do, with commands in backticks."""

    kind: str
    subject: str
    sentence: str
    hint: str | None = None

    @property
    def text(self) -> str:
        """The sentence with the hint."""
        return f"{self.sentence}: {self.hint}" if self.hint else self.sentence


class Status(msgspec.Struct, frozen=True):
    """What `status` shows. `problems` is what keeps `ok` from being true.

    `failed_runs` are those of the last day, as many as were asked for; `failed_count` counts all of them.
    """

    ok: bool
    problems: tuple[Problem, ...]
    workspace: str
    state_dir: str
    locations: tuple[LocationStatus, ...]
    active_runs: tuple[RunSummary, ...] = ()
    interrupted_runs: tuple[RunSummary, ...] = ()
    failed_runs: tuple[RunSummary, ...] = ()
    failed_count: int = 0
    standing_failures: tuple[RunSummary, ...] = ()  # the last run of its pipeline, and not acknowledged
    usual: tuple[ActiveRun, ...] = ()  # active runs, with the usual duration of their pipeline
    skipped: tuple[SkippedInARow, ...] = ()
    behind: tuple[Behind, ...] = ()
    undelivered: tuple[UndeliveredAlerts, ...] = ()
    daemon: DaemonStatus = DaemonStatus(running=False)
    automations: tuple[AutomationStatus, ...] = ()
    queue_paused: bool = False  # run_queue.max_concurrent_runs is 0
    waiting_in_terminals: dict[str, str] = {}  # foreground run: why it waits for a slot
    not_run: tuple[NotRun, ...] = ()  # occurrences that were found not to be run in the last day
    damaged: tuple[str, ...] = ()  # what cannot be read of the files of runs
    unreadable: str | None = None  # why the state could not be looked into
