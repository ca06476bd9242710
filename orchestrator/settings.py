"""The workspace file, `.orchestrator.yaml`: finding it, what may stand in it, and how it applies. Starts nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from orchestrator.clock import parse_duration
from orchestrator.document import Document, read_document, reader
from orchestrator.errors import ConfigError

FILE_NAME = ".orchestrator.yaml"
WORKSPACE_VARIABLE = "ORCHESTRATOR_WORKSPACE"
# The first question of whoever has just spoilt it.
_GOES_ON = "A daemon that runs goes on with what it said before, and with what it says once it is mended."


def _seconds(value: Any) -> Any:
    return parse_duration(value) if isinstance(value, str) else value


Seconds = Annotated[float, msgspec.Meta(gt=0), reader(_seconds)]


class _Section(msgspec.Struct, frozen=True):
    """A mapping in the file. Its fields are the keys that it may have."""


class EnvironmentVariable(_Section, frozen=True, kw_only=True):
    """`{env: NAME}`: the value of that variable where the program runs."""

    env: str


def _environment_value(value: Any) -> str | EnvironmentVariable:
    if isinstance(value, dict) and value.keys() == {"env"} and isinstance(value["env"], str):
        return EnvironmentVariable(env=value["env"])
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise ValueError(f"must be text, a number or {{env: NAME}}, got {value!r}")


class LocationSettings(_Section, frozen=True, kw_only=True):
    """One entry of `locations`."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=100)]
    module: str | None = None
    file: str | None = None
    working_dir: str = "."
    python: str | None = None
    isolation: Literal["fork", "spawn"] = "fork"
    env: dict[str, Annotated[Any, reader(_environment_value)]] = {}
    # A process of the location that the daemon keeps is replaced once it has grown by this much since it was loaded.
    max_growth_mb: Annotated[int, msgspec.Meta(ge=1)] = 512

    def __post_init__(self) -> None:
        if (self.module is None) == (self.file is None):
            raise ValueError("give either `module` or `file`")


class ExecutorSettings(_Section, frozen=True, kw_only=True):
    """`executor`: how steps are run when neither the command line nor the mode says."""

    default: str = "subprocess"
    max_concurrent_steps: Annotated[int, msgspec.Meta(ge=1)] = 4


class TagLimit(_Section, frozen=True, kw_only=True):
    """At most `limit` runs at a time that have the tag `key` (with `value`, or for each value of it)."""

    key: str
    limit: Annotated[int, msgspec.Meta(ge=0)]
    value: str | None = None
    per_value: bool = False


class RunQueueSettings(_Section, frozen=True, kw_only=True):
    """`run_queue`: how many runs the daemon lets run at a time."""

    max_concurrent_runs: Annotated[int, msgspec.Meta(ge=0)] = 10
    tag_limits: tuple[TagLimit, ...] = ()


class RetentionSettings(_Section, frozen=True, kw_only=True):
    """`retention`: how long history is kept, in seconds."""

    skipped_ticks: Seconds = 7 * 86400.0
    ticks: Seconds = 90 * 86400.0
    runs: Seconds = 180 * 86400.0


class WorkspaceFile(_Section, frozen=True, kw_only=True):
    """The file as written."""

    state_dir: str = ".orchestrator"
    locations: tuple[LocationSettings, ...] = ()
    executor: ExecutorSettings = ExecutorSettings()
    run_queue: RunQueueSettings = RunQueueSettings()
    retention: RetentionSettings = RetentionSettings()


class Settings(WorkspaceFile, frozen=True, kw_only=True):
    """The file as it applies: `path` is the file, and relative paths in it are relative to its directory."""

    path: Path

    @property
    def root(self) -> Path:
        return self.path.parent

    @property
    def state_path(self) -> Path:
        return self.root / Path(self.state_dir).expanduser()

    def directory_of(self, location: LocationSettings) -> Path:
        return self.root / Path(location.working_dir).expanduser()

    def python_of(self, location: LocationSettings) -> str | None:
        """The interpreter of a location: a path relative to the workspace, or a program looked up on PATH."""
        if location.python is None or os.sep not in location.python:
            return location.python
        return str(self.root / Path(location.python).expanduser())


def find_workspace(given: str | None, environment: Mapping[str, str], start: Path) -> Path:
    """The workspace file: the one given, the one named in the environment, or the nearest going up from `start`."""
    named = given or environment.get(WORKSPACE_VARIABLE)
    if named:
        path = Path(named).expanduser().absolute()
        path = path / FILE_NAME if path.is_dir() else path
        if not path.is_file():
            by = "--workspace" if given else f"${WORKSPACE_VARIABLE}"
            raise ConfigError(f"There is no workspace file at {path}, named by {by}.")
        return path
    for directory in (start, *start.parents):
        if (directory / FILE_NAME).is_file():
            return directory / FILE_NAME
    raise ConfigError(
        f"There is no workspace here: no {FILE_NAME} in {start} or any directory above it.",
        hint="Make one with `orchestrator init`, or name one with --workspace PATH.",
    )


def load_settings(path: Path) -> Settings:
    """The settings in a workspace file. Raises ConfigError with every problem, each with its line."""
    document = read_document(path, "The workspace file", _GOES_ON)
    data = {} if document.data is None else document.data
    if not isinstance(data, dict):
        raise ConfigError(f"{path} must be a mapping with `locations:`, not {type(data).__name__}.")
    written: WorkspaceFile | None = document.record(WorkspaceFile, data)
    if written is not None:
        _refuse_twins(written, document)
    problems = document.problems()
    if problems or written is None:
        raise ConfigError(f"The workspace file {path} is not valid:", details=problems, hint=_GOES_ON)
    return Settings(**msgspec.structs.asdict(written), path=path)


def _refuse_twins(written: WorkspaceFile, document: Document) -> None:
    seen: set[str] = set()
    for index, location in enumerate(written.locations):
        if location.name in seen:
            document.refuse(("locations", index, "name"), f"two locations are called {location.name!r}")
        seen.add(location.name)
