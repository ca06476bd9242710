"""Looking at everything at once, to say whether all is well."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from orchestrator import clock
from orchestrator.errors import LocationBroken, OrchestratorError
from orchestrator.locks import is_locked, read_note
from orchestrator.operations.daemon import describe_daemon
from orchestrator.operations.history import is_abandoned
from orchestrator.operations.instigators import known, next_instants
from orchestrator.operations.workspace import LoadedLocation, Workspace, load_locations
from orchestrator.records import RunSummary
from orchestrator.states import ACTIVE_RUN_STATES, RunState
from orchestrator.store.runs import RunFilter, count_runs, list_runs
from orchestrator.store.session import open_store
from orchestrator.store.ticks import latest_ticks
from orchestrator.ticks import Tick

# A failed run is worth a line in the status for this long.
RECENT = 24 * 3600.0


class LocationStatus(msgspec.Struct, frozen=True):
    """One location: loaded with what it defines, or broken with the reason."""

    name: str
    loaded: bool
    pipelines: tuple[str, ...] = ()
    error: str | None = None
    traceback: str | None = None


class InstigatorStatus(msgspec.Struct, frozen=True):
    """One schedule or sensor that is on, or is gone and still on."""

    name: str
    kind: str
    is_on: bool
    gone: bool
    failures: int
    next_at: datetime | None = None
    last: Tick | None = None


class DaemonStatus(msgspec.Struct, frozen=True):
    """The daemon: whether it runs, and each of its concerns as two facts, alive and erroring."""

    running: bool
    pid: int | None = None
    started_at: datetime | None = None
    concerns: tuple[dict[str, Any], ...] = ()
    queued: int = 0
    waiting: dict[str, str] = {}


class Status(msgspec.Struct, frozen=True):
    """What `status` shows. `problems` says in a sentence each what keeps `ok` from being true."""

    ok: bool
    problems: tuple[str, ...]
    workspace: str
    state_dir: str
    locations: tuple[LocationStatus, ...]
    active_runs: tuple[RunSummary, ...] = ()
    interrupted_runs: tuple[RunSummary, ...] = ()
    failed_runs: tuple[RunSummary, ...] = ()
    daemon: DaemonStatus = DaemonStatus(running=False)
    instigators: tuple[InstigatorStatus, ...] = ()


def look(workspace: Workspace) -> Status:
    """Everything, as it is now. What cannot be looked at is a problem, not an error."""
    problems: list[str] = []
    locations = _locations(workspace, problems)
    active, interrupted, failed = _runs(workspace, problems)
    daemon, upcoming = _daemon(workspace, problems)
    instigators, queued = _instigators(workspace, upcoming, problems)
    daemon = msgspec.structs.replace(daemon, queued=queued)
    if not daemon.running and (queued or any(one.is_on for one in instigators)):
        problems.append("no daemon is running, and something waits for it: `orchestrator daemon start`")
    return Status(
        ok=not problems,
        problems=tuple(problems),
        workspace=str(workspace.settings.path),
        state_dir=str(workspace.settings.state_path),
        locations=locations,
        active_runs=active,
        interrupted_runs=interrupted,
        failed_runs=failed,
        daemon=daemon,
        instigators=instigators,
    )


def _locations(workspace: Workspace, problems: list[str]) -> tuple[LocationStatus, ...]:
    try:
        loaded = load_locations(workspace)
    except OrchestratorError as error:
        problems.append(error.message)
        return ()
    problems += [location.error.message for location in loaded if location.error is not None]
    return tuple(map(_location, loaded))


def _location(location: LoadedLocation) -> LocationStatus:
    if location.process is not None and location.process.loaded is not None:
        names = tuple(info.name for info in location.process.loaded.info.pipelines)
        return LocationStatus(location.name, True, names)
    trace = location.error.traceback if isinstance(location.error, LocationBroken) else None
    return LocationStatus(location.name, False, (), str(location.error), trace or None)


def _daemon(workspace: Workspace, problems: list[str]) -> tuple[DaemonStatus, dict[str, datetime]]:
    """The daemon as it describes itself, and when each schedule and sensor is next."""
    if not workspace.settings.state_path.exists() or not is_locked(workspace.state.daemon_lock):
        return DaemonStatus(running=False), {}
    pid = int(read_note(workspace.state.daemon_lock) or 0)
    try:
        told = describe_daemon(workspace.state)
    except OrchestratorError as error:
        problems.append(f"the daemon (process {pid}) does not answer: {error.message}")
        return DaemonStatus(running=True, pid=pid), {}
    if told["workspace_error"]:
        problems.append(f"the daemon goes by an older workspace file: {told['workspace_error']}")
    for concern in told["concerns"]:
        if not concern["alive"]:
            problems.append(f"the daemon's {concern['name']} gets no turns")
        if concern["erroring"]:
            problems.append(f"the daemon's {concern['name']} fails: {concern['error'].strip().splitlines()[-1]}")
    upcoming = {one["id"]: datetime.fromisoformat(one["at"]) for one in told["next"]}
    daemon = DaemonStatus(
        running=True,
        pid=told["pid"],
        started_at=datetime.fromisoformat(told["started_at"]),
        concerns=tuple(told["concerns"]),
        waiting=told["queue"]["waiting"],
    )
    return daemon, upcoming


def _instigators(
    workspace: Workspace, upcoming: dict[str, datetime], problems: list[str]
) -> tuple[tuple[InstigatorStatus, ...], int]:
    """Everything that is on, and how many runs are queued."""
    now = clock.now()
    try:
        with open_store(workspace.state) as store:
            everything = known(workspace, store, now)
            latest = {tick.name: tick for tick in store(latest_ticks)}
            queued = store(count_runs, RunFilter(statuses=(RunState.QUEUED,), limit=None))
    except OrchestratorError:
        return (), 0  # said already
    found = []
    for one in everything:
        last = latest.get(one.id)
        next_at = upcoming.get(one.id) or next(iter(next_instants(one, now)), None)
        if one.is_on and one.gone_at is not None:
            word = "schedule" if one.kind == "schedule" else "sensor"
            problems.append(f"{one.id} is on and its definition is gone: `orchestrator {word} forget {one.name}`")
        elif one.is_on and one.failures:
            error = (last.error or "").strip().splitlines()[-1:] if last else []
            problems.append(f"{one.id} has failed {one.failures} times in a row: {' '.join(error)}")
        if one.is_on or one.gone_at is None:
            gone = one.gone_at is not None
            status = InstigatorStatus(one.id, one.kind, one.is_on, gone, one.failures, next_at, last)
            found.append(status)
    return tuple(found), queued


def _runs(
    workspace: Workspace, problems: list[str]
) -> tuple[tuple[RunSummary, ...], tuple[RunSummary, ...], tuple[RunSummary, ...]]:
    try:
        with open_store(workspace.state) as store:
            unfinished = store(list_runs, RunFilter(statuses=tuple(ACTIVE_RUN_STATES), limit=None))
            since = clock.parse_instant_or_age(f"{RECENT}s", now=clock.now())
            failed = store(list_runs, RunFilter(statuses=(RunState.FAILURE,), since=since, limit=5))
    except OrchestratorError as error:
        problems.append(error.message)
        return (), (), ()
    interrupted = tuple(run for run in unfinished if is_abandoned(workspace.state, run))
    active = tuple(run for run in unfinished if run not in interrupted)
    problems += [
        f"nobody drives run {run.run_id} of {run.pipeline}: `orchestrator runs resume {run.run_id}`, or cancel it"
        for run in interrupted
    ]
    return active, interrupted, tuple(failed)
