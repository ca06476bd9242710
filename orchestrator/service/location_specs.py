"""How the location processes of a workspace are started, and the start ahead of them that `orchestrator run` makes."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from orchestrator.code_locations.location_process import LocationSpec
from orchestrator.code_locations.pool import LocationPool
from orchestrator.errors import ConfigError
from orchestrator.settings import EnvironmentVariable, LocationSettings, Settings, find_workspace, load_settings

# What `start_ahead` has started, until the workspace that it belongs to takes it over.
_ahead: dict[Path, LocationPool] = {}


def specs_of(settings: Settings) -> dict[str, LocationSpec]:
    """How to start each location."""
    return {location.name: _spec(settings, location) for location in settings.locations}


def _spec(settings: Settings, location: LocationSettings) -> LocationSpec:
    environment, missing = _environment(location)
    return LocationSpec(
        name=location.name,
        working_dir=settings.directory_of(location),
        module=location.module,
        file=location.file,
        python=settings.python_of(location) or sys.executable,
        isolation=location.isolation,
        environment=environment,
        max_growth_mb=location.max_growth_mb,
        max_log_mb=location.max_log_mb,
        secrets=tuple(name for name, value in location.env.items() if isinstance(value, EnvironmentVariable)),
        missing=missing,
    )


def _environment(location: LocationSettings) -> tuple[dict[str, str], tuple[str, ...]]:
    """The variables of a location, and what is missing for them."""
    values = {}
    missing = []
    for name, value in location.env.items():
        if not isinstance(value, EnvironmentVariable):
            values[name] = str(value)
        elif value.env in os.environ:
            values[name] = os.environ[value.env]
        else:
            missing.append(f"locations.{location.name}.env.{name}: the environment variable {value.env} is not set")
    return values, tuple(missing)


def working_directory() -> Path:
    """The current directory. Raises ConfigError when it was deleted."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise ConfigError("The working directory was deleted.", hint="Change to one that exists.") from None


def start_ahead(pipeline: str) -> None:
    """Starts the locations that may have this pipeline in the workspace of the working directory, for the `Workspace`
    that this process will make. Whatever is wrong is reported then, when all of this is done again."""
    with suppress(Exception):
        settings = load_settings(find_workspace(None, os.environ, working_directory()))
        pool = LocationPool(specs_of(settings).values())
        start_for(pool, pipeline)
        _ahead[settings.path] = pool


def start_for(pool: LocationPool, pipeline: str) -> None:
    """Has the locations that may have this pipeline load, without waiting for them. A wrong name is reported later."""
    location, slash, _ = pipeline.rpartition("/")
    pool.start_all(None if not slash else [location] if location in pool.specs else [])


def make_pool(settings: Settings) -> LocationPool:
    """The location processes of a workspace: those started ahead, else new ones of which none is started yet."""
    return _ahead.pop(settings.path, None) or LocationPool(specs_of(settings).values())
