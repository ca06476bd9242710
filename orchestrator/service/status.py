"""Collects a status snapshot. Anything unreadable is reported in the snapshot; nothing is raised."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from orchestrator import clock
from orchestrator.catalog.automations import list_automations
from orchestrator.catalog.damage import list_damage
from orchestrator.catalog.dashboard import (
    ActiveRun,
    Behind,
    NotRun,
    SkippedInARow,
    UndeliveredAlerts,
    active_runs,
    behind_schedule,
    failing_since,
    not_run_since,
    skipped_in_a_row,
    standing_failures,
    undelivered_alerts,
)
from orchestrator.catalog.runs import count_runs, list_runs
from orchestrator.catalog.session import Store, open_store
from orchestrator.catalog.ticks import latest_ticks
from orchestrator.engine.renames import successor_of
from orchestrator.errors import DaemonError, DaemonSilent, LocationBroken, OrchestratorError
from orchestrator.heartbeat import daemon_pid, last_heartbeat
from orchestrator.model.automation import Automation, ScheduleInfo
from orchestrator.model.executor_health import ExecutorHealth
from orchestrator.model.filters import RunFilter
from orchestrator.model.location import BrokenInfo
from orchestrator.model.run import RunSummary
from orchestrator.model.states import ACTIVE_RUN_STATES, RunState
from orchestrator.model.tick import Tick
from orchestrator.runlog.tickets import tickets
from orchestrator.service.automations import next_instants, reconciled
from orchestrator.service.daemon import describe_daemon
from orchestrator.service.health import problems_of
from orchestrator.service.history import is_abandoned
from orchestrator.service.queued_runs import in_terminal
from orchestrator.service.status_report import AutomationStatus, DaemonStatus, LocationStatus, Problem, Status
from orchestrator.service.workspace import LoadedLocation, StillLoading, Workspace, load_locations

# What has failed or was not run is worth a line in the status for this long.
RECENT = timedelta(days=1)
# `status` should report soon that another process has the state.
_PATIENCE_S = 4.0
# A location that takes longer to load is shown as it is: loading.
_LOADING_S = 6.0
_TAIL_BYTES = 8192


class _Index(msgspec.Struct):
    """What the index has of it, all read at one moment."""

    automations: list[Automation] = []
    latest: dict[str, Tick] = {}
    failing_since: dict[str, datetime] = {}
    unfinished: list[RunSummary] = []
    failed: list[RunSummary] = []
    failed_count: int = 0
    standing: list[RunSummary] = []
    usual: list[ActiveRun] = []
    skipped: list[SkippedInARow] = []
    behind: list[Behind] = []
    undelivered: list[UndeliveredAlerts] = []
    not_run: list[NotRun] = []
    queued: int = 0
    damage: list[tuple[str, str]] = []


def look(workspace: Workspace, most_failed: int | None = None) -> Status:
    """Everything, as it is now; of the failed runs of the last day the newest `most_failed`."""
    now = clock.now()
    daemon, described = _daemon(workspace, now)
    # Locations are loaded before the index is opened: others may need that meanwhile.
    loaded, settings_error = (None, None) if described else _own_locations(workspace)
    locations = _described_locations(described) if described else tuple(map(_location, loaded or ()))
    index, unreadable = _Index(), None
    if described is not None or not daemon.running:
        try:
            index = _index(workspace, now, loaded, most_failed)
        except OrchestratorError as error:
            unreadable = error.message
    interrupted = tuple(
        run for run in index.unfinished if run.run_id not in daemon.waiting and is_abandoned(workspace.state, run)
    )
    status = Status(
        ok=False,
        problems=(),
        workspace=str(workspace.settings.path),
        state_dir=str(workspace.settings.state_path),
        locations=locations,
        active_runs=tuple(run for run in index.unfinished if run not in interrupted),
        interrupted_runs=interrupted,
        failed_runs=tuple(index.failed),
        failed_count=index.failed_count,
        standing_failures=tuple(index.standing),
        usual=tuple(index.usual),
        skipped=tuple(index.skipped),
        behind=tuple(index.behind),
        undelivered=tuple(_with_state(alerts, index) for alerts in index.undelivered),
        daemon=replace(daemon, queued=index.queued),
        automations=tuple(_automations(index, described, now)),
        not_run=tuple(index.not_run),
        queue_paused=workspace.settings.run_queue.max_concurrent_runs == 0,
        waiting_in_terminals=_waiting_in_terminals(workspace),
        unreadable=unreadable,
        damaged=tuple(problem for _, problem in index.damage),
    )
    settings = [Problem("settings", status.workspace, settings_error)] if settings_error else []
    problems = (*settings, *problems_of(status, clock.now()))
    return replace(status, ok=not problems, problems=problems)


def _daemon(workspace: Workspace, now: datetime) -> tuple[DaemonStatus, dict[str, Any] | None]:
    """The daemon, and what it says of itself if it does."""
    try:
        pid, turned_at = daemon_pid(workspace.state), last_heartbeat(workspace.state)
    except OrchestratorError:
        return DaemonStatus(running=False), None  # why the state cannot be used is said where it is looked into
    if pid is None:
        return DaemonStatus(running=False, turned_at=turned_at), None
    try:
        described = describe_daemon(workspace.state)
    except OrchestratorError as error:
        if isinstance(error, DaemonError) and daemon_pid(workspace.state) is None:
            return DaemonStatus(running=False), None  # it has ended this moment
        said = _last_words(workspace.state.daemon_log) if isinstance(error, DaemonSilent) else ""
        silence = " ".join(filter(None, (error.message, said and f"It last said: {said}.", error.hint)))
        return DaemonStatus(running=True, pid=pid, turned_at=turned_at, silence=silence), None
    daemon = DaemonStatus(
        running=True,
        pid=described["pid"],
        started_at=datetime.fromisoformat(described["started_at"]),
        version=described["version"],
        turned_at=datetime.fromisoformat(described["loop_at"]) if described["loop_at"] else now,
        workspace_error=described["workspace_error"],
        concerns=tuple(described["concerns"]),
        running_runs=described["queue"]["running"],
        waiting=described["queue"]["waiting"],
        backlog=described["queue"].get("backlog", 0),
        executors=msgspec.convert(described.get("executors", []), tuple[ExecutorHealth, ...]),
    )
    return daemon, described


def _last_words(log: Path) -> str:
    """The message of the last line of the daemon's log that is one by itself."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            lines = [line for line in file.read().decode(errors="replace").splitlines() if line[:1] not in ("", " ")]
    except OSError:
        return ""
    return lines[-1].rstrip(".") if lines else ""


def _described_locations(described: dict[str, Any]) -> tuple[LocationStatus, ...]:
    """The locations as the daemon has them: what it runs is what matters."""
    found = (
        LocationStatus(
            name=one["name"],
            loaded=one["state"] == "loaded",
            pipelines=tuple(one.get("pipelines", ())),
            error=one["error"],
            traceback=one["traceback"] or None,
            state=one["state"],
            since=datetime.fromisoformat(one["since"]) if one.get("since") else None,
            restarts=one["restarts"],
            restarted_because=one["restarted_because"],
            broken=tuple(BrokenInfo(**each) for each in one.get("broken", ())),
        )
        for one in described["locations"]
    )
    return tuple(found)


def _own_locations(workspace: Workspace) -> tuple[list[LoadedLocation] | None, str | None]:
    """The locations as they are when loaded now; or why none can be."""
    try:
        return load_locations(workspace, patience=_LOADING_S), None
    except OrchestratorError as error:
        return None, " ".join([error.message, *error.details[:1]])


def _location(location: LoadedLocation) -> LocationStatus:
    if location.process is not None and location.process.loaded is not None:
        names = tuple(info.name for info in location.process.loaded.info.pipelines)
        return LocationStatus(location.name, True, names, broken=location.process.loaded.info.broken)
    if isinstance(location.error, StillLoading):
        why = f"location {location.name} is still loading after {_LOADING_S:g}s: what is in it is not known"
        return LocationStatus(location.name, False, (), why, None, "loading")
    trace = location.error.traceback if isinstance(location.error, LocationBroken) else None
    return LocationStatus(location.name, False, (), str(location.error), trace or None, "broken")


def _index(workspace: Workspace, now: datetime, loaded: list[LoadedLocation] | None, most_failed: int | None) -> _Index:
    """Raises OrchestratorError when the state cannot be looked into. What `loaded` locations declare counts as well as
    what is remembered; a daemon has brought both together."""
    since = now - RECENT
    failed = RunFilter(statuses=(RunState.FAILURE,), since=since, limit=None)
    with open_store(workspace.state, patience=_PATIENCE_S) as store:
        stored = store(list_automations)
        automations = stored if loaded is None else reconciled(loaded, stored, now)
        return _Index(
            automations=automations,
            latest={tick.name: tick for tick in store(latest_ticks)},
            failing_since=_failing_since(store, automations),
            unfinished=store(list_runs, RunFilter(statuses=tuple(ACTIVE_RUN_STATES), limit=None)),
            failed=store(list_runs, replace(failed, limit=most_failed)),
            failed_count=store(count_runs, failed),
            standing=store(standing_failures),
            usual=store(active_runs),
            skipped=store(skipped_in_a_row),
            behind=store(behind_schedule),
            undelivered=store(undelivered_alerts),
            not_run=store(not_run_since, since),
            queued=store(count_runs, RunFilter(statuses=(RunState.QUEUED,), limit=None)),
            damage=store(list_damage),
        )


def _waiting_in_terminals(workspace: Workspace) -> dict[str, str]:
    try:
        return {ticket.run.run_id: in_terminal(ticket) for ticket in tickets(workspace.state)}
    except OrchestratorError:
        return {}  # why the state cannot be used is said where it is looked into


def _with_state(alerts: UndeliveredAlerts, index: _Index) -> UndeliveredAlerts:
    """With whether the sensor is there and on: otherwise nothing is tried again."""
    return replace(
        alerts, is_on=any(one.id == alerts.sensor and one.is_on and one.gone_at is None for one in index.automations)
    )


def _failing_since(store: Store, automations: list[Automation]) -> dict[str, datetime]:
    failing = [one.id for one in automations if one.is_on and one.failures]
    return store(failing_since, failing) if failing else {}


def _automations(index: _Index, described: dict[str, Any] | None, now: datetime) -> list[AutomationStatus]:
    """Everything that is defined, or that is gone and still on."""
    upcoming = {one["id"]: datetime.fromisoformat(one["at"]) for one in described["next"]} if described else {}
    return [
        AutomationStatus(
            name=one.id,
            kind=one.kind,
            is_on=one.is_on,
            gone=one.gone_at is not None,
            failures=one.failures,
            next_at=upcoming.get(one.id) or next(iter(next_instants(one, now)), None),
            last=index.latest.get(one.id),
            when=_when(one),
            failing_since=index.failing_since.get(one.id),
            renamed_to=_renamed_to(one, index.automations),
            replaces=one.replaces,
        )
        for one in index.automations
        if one.is_on or one.gone_at is None
    ]


def _renamed_to(one: Automation, everything: list[Automation]) -> str | None:
    successor = successor_of(one, everything) if one.is_on and one.gone_at is not None else None
    return successor.id if successor is not None and not successor.is_on else None


def _when(one: Automation) -> str:
    if isinstance(one.declared, ScheduleInfo):
        return f"{one.declared.cron} {one.declared.timezone}"
    return f"every {one.declared.interval:g}s" if one.declared is not None else ""
