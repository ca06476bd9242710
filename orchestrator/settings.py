"""The workspace file, `.orchestrator.yaml`: finding it, what may stand in it, and how it applies. Starts nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from orchestrator.clock import parse_duration
from orchestrator.document import Document, read_document, reader
from orchestrator.errors import ConfigError
from orchestrator.locks import is_locked
from orchestrator.state_dir import StateDir
from orchestrator.trust import my_identity, objection_to_file
from orchestrator.typed import Typed, plain

FILE_NAME = ".orchestrator.yaml"
WORKSPACE_VARIABLE = "ORCHESTRATOR_WORKSPACE"
_HOW_TO_CHECK = "Correct the file; `orchestrator config check` checks it again."
_DAEMON_GOES_ON = "The daemon that is running keeps the settings it has, and reads the file again when it changes."
# Linux takes no more of a path, and of a name in one.
_LONGEST_PATH, _LONGEST_NAME = 4095, 255


def _seconds(value: Any) -> Any:
    return parse_duration(value) if isinstance(value, str) else value


def _text(value: Any) -> Any:
    if isinstance(value, str) and "\0" in value:
        raise ValueError(f"must not have a NUL character in it, got {value!r}")
    return value


def _path(value: Any) -> Any:
    if not isinstance(_text(value), str):
        return value
    if (
        len(os.fsencode(value)) > _LONGEST_PATH
        or max(len(os.fsencode(part)) for part in value.split("/")) > _LONGEST_NAME
    ):
        raise ValueError(f"is too long for a path ({len(value)} characters)")
    try:
        Path(value).expanduser()
    except RuntimeError:
        raise ValueError(f"there is no home directory for {value.split('/')[0]!r}") from None
    return value


def _name(value: Any) -> Any:
    if isinstance(value, str) and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", value):
        raise ValueError(f"must be letters, digits, `_`, `.` and `-`, at most 100 of them, got {value!r}")
    return value


def _variable(value: Any) -> Any:
    if isinstance(value, str) and (not value or "=" in value or "\0" in value):
        raise ValueError("is not the name of an environment variable")
    return value


Seconds = Annotated[float, msgspec.Meta(gt=0), reader(_seconds)]
Text = Annotated[str, reader(_text)]
PathText = Annotated[str, reader(_path)]
VariableName = Annotated[str, reader(_variable)]


class _Section(msgspec.Struct, frozen=True):
    """A mapping in the file. Its fields are the keys that it may have."""


class EnvironmentVariable(_Section, frozen=True, kw_only=True):
    """`{env: NAME}`: the value of that variable where the program runs."""

    env: str


def _environment_value(value: Any) -> str | EnvironmentVariable:
    if isinstance(value, str):
        return str(_text(value))
    if isinstance(value, dict) and value.keys() == {"env"}:
        name = value["env"].text if isinstance(value["env"], Typed) else value["env"]
        if isinstance(name, str):
            return EnvironmentVariable(env=_variable(name))
    if value is None:
        raise ValueError("has no value; write '' for an empty one")
    raise ValueError(f"must be text, a number or {{env: NAME}}, got {value!r}")


class LocationSettings(_Section, frozen=True, kw_only=True):
    """One entry of `locations`."""

    name: Annotated[str, reader(_name)]
    module: Text | None = None
    file: PathText | None = None
    working_dir: PathText = "."
    python: PathText | None = None
    isolation: Literal["fork", "spawn"] = "fork"
    # The container image with its code and this program in it, for the executor `kubernetes`.
    image: Text | None = None
    env: dict[VariableName, Annotated[Any, reader(_environment_value)]] = {}
    # A process of the location that the daemon keeps is replaced once it has grown by this much since it was loaded.
    max_growth_mb: Annotated[int, msgspec.Meta(ge=1)] = 512
    # Of what an attempt prints, so much is kept in each of stdout.log and stderr.log.
    max_log_mb: Annotated[int, msgspec.Meta(ge=1)] = 256

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


class KubernetesStorage(_Section, frozen=True, kw_only=True):
    """A volume claim that all pods mount: where the default IO manager keeps values."""

    claim: str
    mount: PathText = "/storage"


class KubernetesSettings(_Section, frozen=True, kw_only=True):
    """`kubernetes`: the cluster that the executor of that name uses, and what its Jobs have in common. Durations are in
    seconds."""

    context: str | None = None
    namespace: str | None = None
    max_concurrent_jobs: Annotated[int, msgspec.Meta(ge=1)] = 200
    start_timeout: Seconds = 600.0
    keep_failed: Seconds = 3600.0
    unit: Literal["job", "pod"] = "job"
    claim: Literal["lease", "none"] = "lease"
    env_from: Annotated[tuple[dict[str, Any], ...], reader(plain)] = ()
    storage: KubernetesStorage | None = None
    pod: Annotated[dict[str, Any], reader(plain)] = {}
    spot: Annotated[dict[str, Any] | None, reader(plain)] = None
    spot_attempts: Annotated[int, msgspec.Meta(ge=0)] = 2


class RetentionSettings(_Section, frozen=True, kw_only=True):
    """`retention`: how long history is kept, in seconds."""

    skipped_ticks: Seconds = 7 * 86400.0
    ticks: Seconds = 90 * 86400.0
    runs: Seconds = 180 * 86400.0


class WorkspaceFile(_Section, frozen=True, kw_only=True):
    """The file as written."""

    state_dir: PathText = ".orchestrator"
    locations: tuple[LocationSettings, ...] = ()
    executor: ExecutorSettings = ExecutorSettings()
    run_queue: RunQueueSettings = RunQueueSettings()
    retention: RetentionSettings = RetentionSettings()
    kubernetes: KubernetesSettings = KubernetesSettings()


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
    """The workspace file: the one given, the one named in the environment, or the nearest going up from `start`.

    One that was found by going up is refused where another user could have put it, because it was not named explicitly.
    """
    if given:
        return named_workspace(given, "--workspace")
    if environment.get(WORKSPACE_VARIABLE):
        return named_workspace(environment[WORKSPACE_VARIABLE], f"${WORKSPACE_VARIABLE}")
    for directory in (start, *start.parents):
        path = directory / FILE_NAME
        if _is_file(path):
            _require_trust(path, environment)
            return path
    raise ConfigError(
        f"There is no workspace here: no {FILE_NAME} in {start} or any directory above it.",
        hint="Make one with `orchestrator init`, or name one with --workspace PATH.",
    )


def named_workspace(name: str, by: str) -> Path:
    """The workspace file that was named: the file itself, or the directory it is in. Raises ConfigError."""
    path = Path(os.path.expanduser(name)).absolute()  # noqa: PTH111  # raises nothing for an unknown user
    is_directory = _is_directory(path)
    path = path / FILE_NAME if is_directory else path
    if _is_file(path):
        return path
    if is_directory:
        hint = f"Make one there with `orchestrator init {name}`, or name another directory."
    else:
        hint = "Name a workspace file, or the directory it is in."
    raise ConfigError(f"There is no workspace file at {path}, named by {by}.", hint=hint)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:  # a directory that may not be looked into, a name that is too long
        raise ConfigError(f"{path} cannot be looked at: {error.strerror}.") from None
    except ValueError:
        return False


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _require_trust(path: Path, environment: Mapping[str, str]) -> None:
    try:
        objection = objection_to_file(path, my_identity(environment))
    except (OSError, RuntimeError) as error:  # a link that leads nowhere or to itself
        raise ConfigError(f"The workspace file {path} cannot be looked at: {error}.") from None
    if objection is not None:
        raise ConfigError(
            f"The workspace file {path} was found here and is not trusted: {objection}.",
            hint="A workspace runs code as you. If you trust this one, name it: "
            f"`orchestrator --workspace {path.parent} ...`, or set {WORKSPACE_VARIABLE}={path.parent}.",
        )


def load_settings(path: Path) -> Settings:
    """The settings in a workspace file. Raises ConfigError with every problem, each with its line."""
    document = read_document(path, "The workspace file", _hint(path, None))
    data = {} if document.data is None else document.data
    hint = _hint(path, data)
    if not isinstance(data, dict):
        raise ConfigError(f"{path} must be a mapping with `locations:`, got {_kind_of(data)}.", hint=hint)
    written: WorkspaceFile | None = document.record(WorkspaceFile, data)
    if written is not None:
        _refuse_twins(written, document)
    problems = document.problems()
    if problems or written is None:
        raise ConfigError(f"The workspace file {path} is not valid:", details=problems, hint=hint)
    return Settings(**msgspec.structs.asdict(written), path=path)


def _kind_of(data: Any) -> str:
    return "a list" if isinstance(data, list) else f"only {data!r}"


def _hint(path: Path, data: Any) -> str:
    """What to do about a file that is not valid; more when a daemon is running with it."""
    named = data.get("state_dir") if isinstance(data, dict) else None
    state_dir = named if isinstance(named, str) else WorkspaceFile().state_dir
    try:
        runs = is_locked(StateDir(path.parent / Path(state_dir).expanduser()).daemon_lock)
    except (OSError, ValueError, RuntimeError):
        return _HOW_TO_CHECK
    return f"{_HOW_TO_CHECK} {_DAEMON_GOES_ON}" if runs else _HOW_TO_CHECK


def _refuse_twins(written: WorkspaceFile, document: Document) -> None:
    seen: set[str] = set()
    for index, location in enumerate(written.locations):
        if location.name in seen:
            document.refuse(("locations", index, "name"), f"two locations are called {location.name!r}")
        seen.add(location.name)
