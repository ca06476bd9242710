"""The initial state of a simulation: declarations, stored automations and active runs. The state is only read; what
changes meanwhile is in a temporary directory.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from msgspec import Struct, field

from orchestrator.catalog.automations import list_automations, save_automations
from orchestrator.catalog.maintenance import copy_remembered
from orchestrator.catalog.queue import unfinished_runs
from orchestrator.catalog.runs import median_durations
from orchestrator.catalog.session import Store, open_store
from orchestrator.code_locations.evaluator_pool import EvaluatorPool
from orchestrator.code_locations.location_process import LocationProcess
from orchestrator.engine import automation_lifecycle
from orchestrator.engine.overlap import active_runs
from orchestrator.errors import NotFound, OrchestratorError, near_misses
from orchestrator.model.automation import Automation, ScheduleInfo
from orchestrator.model.queued_run import UnfinishedRun
from orchestrator.service.automations import reconciled
from orchestrator.service.workspace import Workspace, load_locations
from orchestrator.state_dir import StateDir, prepare


class Beginning(Struct, frozen=True):
    """Where a simulation begins. `durations` are seconds by pipeline, as recorded."""

    automations: tuple[Automation, ...]
    processes: dict[str, LocationProcess]
    pools: dict[str, EvaluatorPool]
    broken: dict[str, OrchestratorError]
    durations: dict[str, float] = field(default_factory=dict)
    active: dict[str, list[str]] = field(default_factory=dict)

    def close(self) -> None:
        for pool in self.pools.values():
            pool.close()


def begin(workspace: Workspace, now: datetime) -> Beginning:
    """Loads all locations and reads what is remembered. Raises what a location is broken with when all are."""
    locations = load_locations(workspace)
    broken = {location.name: location.error for location in locations if location.error is not None}
    if len(broken) == len(locations):
        raise next(iter(broken.values()))
    stored: list[Automation] = []
    durations: dict[str, float] = {}
    unfinished: list[UnfinishedRun] = []
    state = existing_state(workspace)
    if state is not None:
        with open_store(state, ingest=False) as store:
            stored = store(list_automations)
            durations = store(median_durations)
            unfinished = store(unfinished_runs)
    processes = {location.name: location.process for location in locations if location.process is not None}
    everything = tuple(reconciled(locations, stored, now))
    active = {one.id: list(_active(one, processes, unfinished)) for one in everything if one.kind == "schedule"}
    return Beginning(everything, processes, _pools(processes), broken, durations, active)


def _active(one: Automation, processes: dict[str, LocationProcess], runs: list[UnfinishedRun]) -> tuple[str, ...]:
    if not isinstance(one.declared, ScheduleInfo):
        return ()
    process, wanted = processes.get(one.location), one.declared.pipeline
    infos = process.loaded.info.pipelines if process is not None and process.loaded is not None else ()
    modes = next((info.modes for info in infos if info.name == wanted), ())
    return active_runs(one.location, one.declared, modes, runs).run_ids


def turned_on(everything: tuple[Automation, ...], names: tuple[str, ...], at: datetime) -> tuple[Automation, ...]:
    """With these turned on from that moment, as far as they are off. Raises NotFound, saying which are near."""
    chosen = {_find(everything, name).id for name in names}
    return tuple(
        automation_lifecycle.turn_on(one, at) if one.id in chosen and not one.is_on else one for one in everything
    )


@contextmanager
def scratch_store(workspace: Workspace, automations: tuple[Automation, ...]) -> Iterator[Store]:
    """A store of its own with what sensors go by: keys, materializations, ends of runs. It is gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="orchestrator-simulation-"))
    try:
        scratch = prepare(directory / "state")
        state = existing_state(workspace)
        if state is not None:
            with open_store(state, ingest=False) as store:
                store(copy_remembered, str(scratch.database))
        with open_store(scratch) as store:
            store(save_automations, list(automations))
            yield store
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def existing_state(workspace: Workspace) -> StateDir | None:
    """The state directory, if there is anything in it; it is not made."""
    state = StateDir(workspace.settings.state_path)
    return workspace.state if state.format_file.exists() and state.database.exists() else None


def _find(everything: tuple[Automation, ...], name: str) -> Automation:
    found = [one for one in everything if name in (one.name, one.id) and one.gone_at is None]
    if len(found) == 1:
        return found[0]
    if found:
        ids = " or ".join(one.id for one in found)
        raise NotFound(f"Several schedules or sensors are called {name!r}.", hint=f"Say which: {ids}.")
    known = [one.name for one in everything if one.gone_at is None]
    raise NotFound(f"There is no schedule or sensor {name!r}.", hint=near_misses(name, known, "schedule or sensor"))


def _pools(processes: dict[str, LocationProcess]) -> dict[str, EvaluatorPool]:
    processors = os.cpu_count() or 1
    return {name: EvaluatorPool(process, most=processors) for name, process in processes.items()}
