"""Looking at everything at once, to say whether all is well."""

from __future__ import annotations

import msgspec

from orchestrator import clock
from orchestrator.errors import LocationBroken, OrchestratorError
from orchestrator.operations.history import is_abandoned
from orchestrator.operations.workspace import LoadedLocation, Workspace, load_locations
from orchestrator.records import RunSummary
from orchestrator.states import ACTIVE_RUN_STATES, RunState
from orchestrator.store.runs import RunFilter, list_runs
from orchestrator.store.session import open_store

# A failed run is worth a line in the status for this long.
RECENT = 24 * 3600.0


class LocationStatus(msgspec.Struct, frozen=True):
    """One location: loaded with what it defines, or broken with the reason."""

    name: str
    loaded: bool
    pipelines: tuple[str, ...] = ()
    error: str | None = None
    traceback: str | None = None


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


def look(workspace: Workspace) -> Status:
    """Everything, as it is now. What cannot be looked at is a problem, not an error."""
    problems: list[str] = []
    locations = _locations(workspace, problems)
    active, interrupted, failed = _runs(workspace, problems)
    return Status(
        ok=not problems,
        problems=tuple(problems),
        workspace=str(workspace.settings.path),
        state_dir=str(workspace.settings.state_path),
        locations=locations,
        active_runs=active,
        interrupted_runs=interrupted,
        failed_runs=failed,
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
