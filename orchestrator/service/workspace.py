"""The workspace a command works in: its settings, its state directory, its locations."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from orchestrator.attempts.files import FileChannels
from orchestrator.clock import monotonic
from orchestrator.code_locations.location_process import LocationProcess
from orchestrator.code_locations.pool import LocationPool
from orchestrator.errors import (
    ConfigError,
    DefinitionError,
    ExecutionError,
    NotFound,
    OrchestratorError,
    StoreError,
    near_misses,
)
from orchestrator.executors.base import Executor, ExecutorContext
from orchestrator.executors.registry import make_executor
from orchestrator.model.location import BrokenInfo, PipelineInfo
from orchestrator.planning.plan import PlannedRun, PlanRequest
from orchestrator.runlog.run_log import RunLog
from orchestrator.service.location_specs import make_pool, working_directory
from orchestrator.settings import (
    Settings,
    find_workspace,
    load_settings,
)
from orchestrator.state_dir import StateDir, prepare

# From when on waiting for a location is worth a word.
NOTICE_S = 1.0
# How much longer the others are waited for once what was looked for is found.
GRACE_S = 2.0

T = TypeVar("T")


class Workspace:
    """A workspace file and what it leads to. Nothing is started or created before it is needed."""

    def __init__(self, settings: Settings, tell: Callable[[str], None] = lambda _: None) -> None:
        self.settings = settings
        # Called with a sentence when something takes noticeably long, or looks wrong.
        self.tell = tell
        # An empty state will do where there is none and none can be made.
        self.only_reads = False
        self._scratch: Path | None = None
        self._executors: dict[str, tuple[Settings, Executor]] = {}

    @classmethod
    def find(cls, given: str | None = None, tell: Callable[[str], None] = lambda _: None) -> Workspace:
        """The workspace of a command: named, from the environment, or above the current directory."""
        return cls(load_settings(find_workspace(given, os.environ, working_directory())), tell)

    @cached_property
    def state(self) -> StateDir:
        """The state directory, created when it is not there."""
        path = self.settings.state_path
        try:
            return prepare(path, self.tell)
        except StoreError:
            if not self.only_reads or os.path.lexists(path):
                raise
            return self._empty_state()

    def _empty_state(self) -> StateDir:
        """A state directory without anything in it, for as long as this process needs it."""
        self._scratch = Path(tempfile.mkdtemp(prefix="orchestrator-empty-"))
        return prepare(self._scratch / "state")

    def run(self, run_id: str) -> RunLog:
        """The run with that id, whether it exists or not."""
        return RunLog(self.state, run_id)

    @cached_property
    def pool(self) -> LocationPool:
        """The location processes of this workspace; none is started by asking for them."""
        return make_pool(self.settings)

    @property
    def executor_context(self) -> ExecutorContext:
        """What executors of this workspace are made from. Makes no state directory."""
        return ExecutorContext(self.pool, FileChannels(StateDir(self.settings.state_path)), self.settings)

    def executor(self, name: str) -> Executor:
        """The executor of that name, one for this process and the settings that apply. Raises ConfigError."""
        made_for, executor = self._executors.get(name, (None, None))
        if executor is None or made_for is not self.settings:
            executor = make_executor(name, self.executor_context)
            self._executors[name] = (self.settings, executor)
        return executor

    def close(self) -> None:
        """Lets the location processes go."""
        if "pool" in self.__dict__:
            self.pool.close()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)


class FoundPipeline(Struct, frozen=True):
    """A pipeline and the process that has it loaded."""

    process: LocationProcess
    info: PipelineInfo

    @property
    def location(self) -> str:
        return self.process.name


class LoadedLocation(Struct, frozen=True):
    """A location after loading: its process, or why it is broken."""

    name: str
    process: LocationProcess | None
    error: OrchestratorError | None = None

    def pipelines(self) -> tuple[PipelineInfo, ...]:
        """What there is to know of its pipelines."""
        return self.process.loaded.info.pipelines if self.process is not None and self.process.loaded else ()

    def broken(self) -> tuple[BrokenInfo, ...]:
        """The definitions in it that cannot be right."""
        loaded = self.process.loaded if self.process is not None else None
        return loaded.info.broken if loaded is not None else ()

    def errors(self) -> list[OrchestratorError]:
        """Why it is broken, or what is in it."""
        if self.error is not None:
            return [self.error]
        return [DefinitionError(one.error, hint=one.hint) for one in self.broken()]


class StillLoading(ExecutionError):
    """A location whose module is still being imported, and was not waited for any longer."""


def load_locations(
    workspace: Workspace,
    only: str | None = None,
    *,
    patience: float | None = None,
    enough: Callable[[list[LoadedLocation]], bool] = lambda _loaded: False,
) -> list[LoadedLocation]:
    """All locations, or `only` that one, loaded at the same time. A broken one keeps no other from loading.

    One that takes longer than `patience` has a StillLoading for its error. Once what is loaded is `enough`, the others
    get a moment more and no longer.
    """
    _require_locations(workspace)
    names = list(workspace.pool.specs) if only is None else [only]
    workspace.pool.start_all(names)
    loaded: dict[str, LoadedLocation] = {}
    waiting: dict[str, LocationProcess] = {}
    for name in names:
        try:
            waiting[name] = workspace.pool.get(name)
        except OrchestratorError as error:
            loaded[name] = LoadedLocation(name, None, error)
    wait = _Wait(workspace, patience)
    while True:
        _sort(waiting, loaded)
        if not waiting or wait.is_over(waiting, enough(list(loaded.values()))):
            break
        workspace.pool.wait_any(waiting.values(), wait.step())
    for name in waiting:
        loaded[name] = LoadedLocation(name, None, StillLoading(f"Location {name!r} is still loading."))
    return [loaded[name] for name in names]


class _Wait:
    """How long to wait for locations, and what to say meanwhile."""

    def __init__(self, workspace: Workspace, patience: float | None) -> None:
        self._workspace = workspace
        self._patience = patience
        self._started = monotonic()
        self._enough_at: float | None = None
        self._is_told = False

    def step(self) -> float:
        """How long to wait before looking at the clock again."""
        return 0.1 if self._enough_at is not None or self._patience is not None else 1.0

    def is_over(self, waiting: Iterable[str], enough: bool) -> bool:
        now = monotonic()
        names = ", ".join(waiting)
        if enough:
            self._enough_at = self._enough_at or now
            if now - self._enough_at >= GRACE_S:
                self._workspace.tell(f"not waiting for location {names}, whose module is still being imported")
                return True
        if self._patience is not None and now - self._started >= self._patience:
            return True
        if not self._is_told and now - self._started >= NOTICE_S:
            self._is_told = True
            self._workspace.tell(f"waiting for location {names}: its module is still being imported (Ctrl-C ends this)")
        return False


def _sort(waiting: dict[str, LocationProcess], loaded: dict[str, LoadedLocation]) -> None:
    """Moves those that are loaded, or cannot be, from one to the other."""
    for name, process in list(waiting.items()):
        if process.failure is not None:
            loaded[name] = LoadedLocation(name, None, process.failure)
        elif process.loaded is not None:
            loaded[name] = LoadedLocation(name, process)
        else:
            continue
        del waiting[name]


def unknown_locations(locations: Iterable[LoadedLocation]) -> list[str]:
    """A line for each location that is not loaded, whose definitions are unknown."""
    return [str(one.error).split("\n")[0] for one in locations if one.error is not None]


def location_of(workspace: Workspace, name: str) -> str | None:
    """The location that `location/name` names; None for a name that any of them may have. Raises NotFound."""
    location, slash, _ = name.rpartition("/")
    if slash and location not in workspace.pool.specs:
        raise NotFound.named("location", location, workspace.pool.specs)
    return location if slash else None


def find_pipeline(workspace: Workspace, name: str) -> FoundPipeline:
    """The pipeline called `name`, or `location/name`. Raises NotFound, naming near ones and broken locations.

    With its location named no other is loaded. Without, all are, because a second pipeline of that name must not go
    unnoticed; but once it is found, one that hangs is not waited for.
    """
    wanted_location, _, wanted = name.rpartition("/")

    def is_found(loaded: list[LoadedLocation]) -> bool:
        return any(info.name == wanted for one in loaded for info in one.pipelines())

    locations = load_locations(workspace, only=location_of(workspace, name), enough=is_found)
    found, known = [], []
    for location in locations:
        if location.process is None or location.process.loaded is None:
            continue
        for info in location.process.loaded.info.pipelines:
            known.append(info.name)
            if info.name == wanted and wanted_location in ("", location.name):
                found.append(FoundPipeline(location.process, info))
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(f"{one.location}/{wanted}" for one in found)
        raise NotFound(f"Several locations have a pipeline {wanted!r}.", hint=f"Say which: {names}.")
    raise _no_pipeline(wanted, known, locations, wanted_location)


def in_workspace(workspace: Workspace, request: PlanRequest) -> PlanRequest:
    """The request with what the workspace contributes to every run. Makes no state directory."""
    return msgspec.structs.replace(
        request,
        default_executor=workspace.settings.executor.default,
    )


def plan(workspace: Workspace, found: FoundPipeline, request: PlanRequest) -> PlannedRun:
    """The plan of a run, made where the pipeline's code is. Raises ConfigError or DefinitionError from there."""
    number = found.process.make_plan(msgspec.json.encode(request))
    return _decoded(workspace.pool.wait_answer(found.process, number), PlannedRun, found)


def template(workspace: Workspace, found: FoundPipeline, mode: str | None) -> str:
    """A commented configuration template for a pipeline."""
    number = found.process.make_template(found.info.name, mode)
    return _decoded(workspace.pool.wait_answer(found.process, number), str, found)


def _decoded(raw: bytes, kind: type[T], found: FoundPipeline) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:  # user code decides what is in a plan
        raise DefinitionError(
            f"What location {found.location!r} says of pipeline {found.info.name!r} cannot be read: {error}.",
            hint="Look at its tags, its presets and the defaults of its config: one of them is too deep, or no data.",
        ) from None


def _require_locations(workspace: Workspace) -> None:
    if not workspace.settings.locations:
        raise ConfigError(
            f"The workspace {workspace.settings.path} has no locations.",
            hint="Add one: `locations: [{name: main, file: pipelines.py}]`.",
        )


def _no_pipeline(wanted: str, known: list[str], locations: list[LoadedLocation], only_in: str) -> OrchestratorError:
    broken = [location for location in locations if location.error is not None and only_in in ("", location.name)]
    if len(broken) == len(locations) == 1 and broken[0].error is not None:
        return broken[0].error
    for location in locations:
        for one in location.broken():
            if one.kind == "pipeline" and one.name == wanted and only_in in ("", location.name):
                return DefinitionError(one.error, hint=one.hint)
    where = f" in location {only_in!r}" if only_in else ""
    return NotFound(
        f"There is no pipeline {wanted!r}{where}.",
        hint=near_misses(wanted, known, "pipeline"),
        details=[str(location.error).split("\n")[0] for location in broken],
    )
