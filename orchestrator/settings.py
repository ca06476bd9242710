"""The workspace file, `.orchestrator.yaml`: finding it, reading it, and saying at once everything wrong with it.

pydantic checks the values; the lines in error messages come from the YAML nodes. Nothing here starts anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    model_validator,
)

from orchestrator.clock import parse_duration
from orchestrator.errors import ConfigError, near_misses

FILE_NAME = ".orchestrator.yaml"
WORKSPACE_VARIABLE = "ORCHESTRATOR_WORKSPACE"
# The first question of whoever has just spoilt it.
_GOES_ON = "A daemon that runs goes on with what it said before, and with what it says once it is mended."


def _seconds(value: Any) -> Any:
    if isinstance(value, str):
        return parse_duration(value)
    return value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EnvironmentVariable(_Section):
    """`{env: NAME}`: the value of that variable where the program runs."""

    env: str


def _environment_value(value: Any) -> str | EnvironmentVariable:
    if isinstance(value, EnvironmentVariable):
        return value
    if isinstance(value, dict) and value.keys() == {"env"} and isinstance(value["env"], str):
        return EnvironmentVariable(env=value["env"])
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise ValueError(f"must be text, a number or {{env: NAME}}, got {value!r}")


class LocationSettings(_Section):
    """One entry of `locations`."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=100)]
    module: str | None = None
    file: str | None = None
    working_dir: str = "."
    python: str | None = None
    isolation: Literal["fork", "spawn"] = "fork"
    env: dict[str, Annotated[Any, PlainValidator(_environment_value)]] = {}
    # A process of the location that the daemon keeps is replaced once it has grown by this much since it was loaded.
    max_growth_mb: Annotated[int, Field(ge=1)] = 512

    @model_validator(mode="after")
    def _module_or_file(self) -> LocationSettings:
        if (self.module is None) == (self.file is None):
            raise ValueError("give either `module` or `file`")
        return self


class ExecutorSettings(_Section):
    """`executor`: how steps are run when neither the command line nor the mode says."""

    default: str = "subprocess"
    max_concurrent_steps: Annotated[int, Field(ge=1)] = 4


class TagLimit(_Section):
    """At most `limit` runs at a time that have the tag `key` (with `value`, or for each value of it)."""

    key: str
    limit: Annotated[int, Field(ge=0)]
    value: str | None = None
    per_value: bool = False


class RunQueueSettings(_Section):
    """`run_queue`: how many runs the daemon lets run at a time."""

    max_concurrent_runs: Annotated[int, Field(ge=0)] = 10
    tag_limits: tuple[TagLimit, ...] = ()


class RetentionSettings(_Section):
    """`retention`: how long history is kept, in seconds."""

    skipped_ticks: Seconds = 7 * 86400.0
    ticks: Seconds = 90 * 86400.0
    runs: Seconds = 180 * 86400.0


class WorkspaceFile(_Section):
    """The file as written."""

    state_dir: str = ".orchestrator"
    locations: tuple[LocationSettings, ...] = ()
    executor: ExecutorSettings = ExecutorSettings()
    run_queue: RunQueueSettings = RunQueueSettings()
    retention: RetentionSettings = RetentionSettings()


class Settings(WorkspaceFile):
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
    document = _read(path)
    problems = list(document.duplicates())
    data = document.data
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path} must be a mapping with `locations:`, not {type(data).__name__}.")
    settings = None
    try:
        settings = Settings.model_validate({**data, "path": path})
    except ValidationError as error:
        problems += [document.problem(detail) for detail in error.errors(include_url=False)]
    if settings is not None:
        problems += list(_twice_named(settings, document))
    if problems or settings is None:
        problems.sort(key=_line_number)
        raise ConfigError(f"The workspace file {path} is not valid:", details=problems, hint=_GOES_ON)
    return settings


def _line_number(problem: str) -> int:
    return int(problem.removeprefix("line ").partition(":")[0])


def _twice_named(settings: Settings, document: _Document) -> Iterator[str]:
    seen: set[str] = set()
    for index, location in enumerate(settings.locations):
        if location.name in seen:
            yield document.at(("locations", index, "name"), f"two locations are called {location.name!r}")
        seen.add(location.name)


class _Document:
    """A parsed YAML document with the lines its values stand on."""

    def __init__(self, path: Path, node: yaml.Node | None, data: Any) -> None:
        self.path = path
        self.data = data
        self._lines: dict[tuple[Any, ...], int] = {}
        self._duplicates: list[str] = []
        if node is not None:
            self._note(node, ())

    def at(self, where: tuple[Any, ...], message: str) -> str:
        """The message with line and path in front."""
        line = next((self._lines[where[:n]] for n in range(len(where), -1, -1) if where[:n] in self._lines), 1)
        name = _dotted(where)
        return f"line {line}: {name}: {message}" if name else f"line {line}: {message}"

    def duplicates(self) -> Iterator[str]:
        yield from self._duplicates

    def problem(self, detail: Any) -> str:
        """A pydantic error as a line for people."""
        where = tuple(detail["loc"])
        if detail["type"] == "extra_forbidden":
            known = _fields_at(where[:-1])
            return self.at(where, f"unknown key. {near_misses(str(where[-1]), known, 'key')}")
        if detail["type"] == "missing":
            return self.at(where, "required, and missing")
        message = str(detail["msg"]).removeprefix("Value error, ")
        if detail["type"] in ("value_error", "model_type"):
            return self.at(where, message)
        return self.at(where, f"{message}, got {detail['input']!r}")

    def _note(self, node: yaml.Node, where: tuple[Any, ...]) -> None:
        self._lines.setdefault(where, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._note(item, (*where, index))
        elif isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                name = str(key.value)
                here = (*where, name)
                if name in seen:
                    self._duplicates.append(f"line {key.start_mark.line + 1}: {_dotted(here)}: given twice")
                seen.add(name)
                self._lines[here] = key.start_mark.line + 1
                self._note(value, here)


def _read(path: Path) -> _Document:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The workspace file {path} cannot be read: {error}.") from error
    loader = _LOADER(text)
    try:
        node = loader.get_single_node()
        data = loader.construct_document(node) if node is not None else None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        said = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"The workspace file {path}{where} is not YAML: {said}.", hint=_GOES_ON) from error
    finally:
        loader.dispose()
    return _Document(path, node, data)


# The C parser is ten times as fast, and part of every wheel; a build from source may lack it.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _fields_at(where: tuple[Any, ...]) -> list[str]:
    models: dict[str, type[BaseModel]] = {
        "locations": LocationSettings,
        "executor": ExecutorSettings,
        "run_queue": RunQueueSettings,
        "retention": RetentionSettings,
    }
    if "tag_limits" in where:
        return list(TagLimit.model_fields)
    return list(models[where[0]].model_fields) if where else list(WorkspaceFile.model_fields)


def _dotted(where: tuple[Any, ...]) -> str:
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
