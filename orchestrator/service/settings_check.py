"""Checks whether what the workspace file names can be used: executors, the state directory."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.errors import ConfigError, OrchestratorError
from orchestrator.service.workspace import LoadedLocation, Workspace
from orchestrator.state_dir import check_usable


def settings_problems(workspace: Workspace) -> list[OrchestratorError]:
    """What the settings name and cannot be used: the default executor, the state directory. Makes nothing."""
    settings = workspace.settings
    found: list[OrchestratorError] = []
    try:
        workspace.executor(settings.executor.default)
    except OrchestratorError as error:
        found.append(ConfigError(f"{settings.path}: executor.default: {error.message}", hint=error.hint))
    try:
        check_usable(settings.state_path)
    except OrchestratorError as error:
        found.append(error)
    return found


def executor_problems(workspace: Workspace, locations: Iterable[LoadedLocation]) -> list[OrchestratorError]:
    """The modes of pipelines that name an executor which cannot be used, as a run in that mode would say."""
    found: list[OrchestratorError] = []
    for location in locations:
        for pipeline in location.pipelines():
            for mode, executor in pipeline.executors.items():
                try:
                    workspace.executor(executor)
                except OrchestratorError as error:
                    what = f"Pipeline {pipeline.name!r}, mode {mode!r}, at {pipeline.where}"
                    found.append(ConfigError(f"{what}: {error.message}", hint=error.hint))
    return found
