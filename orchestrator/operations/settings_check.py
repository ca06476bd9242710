"""Checks whether what the workspace file names can be used. What may stand in the file is for `settings` to say."""

from __future__ import annotations

from orchestrator.errors import ConfigError, OrchestratorError
from orchestrator.execution.registry import make_executor
from orchestrator.operations.workspace import Workspace
from orchestrator.state_dir import check_usable


def settings_problems(workspace: Workspace) -> list[OrchestratorError]:
    """What the settings name and cannot be used: the default executor, the state directory. Makes nothing."""
    settings = workspace.settings
    found: list[OrchestratorError] = []
    try:
        make_executor(settings.executor.default, workspace.pool)
    except OrchestratorError as error:
        found.append(ConfigError(f"{settings.path}: executor.default: {error.message}", hint=error.hint))
    try:
        check_usable(settings.state_path)
    except OrchestratorError as error:
        found.append(error)
    return found
