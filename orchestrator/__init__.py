"""The public API: everything that pipelines are written with. All other modules of this package are private."""

from __future__ import annotations

import importlib

from orchestrator._version import __version__

# As in `typing`, which takes longer to import than all of this: a command cannot handle Ctrl-C before it is through.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from orchestrator.definitions.automation_contexts import ScheduleContext, SensorContext
    from orchestrator.definitions.automation_decorators import asset_sensor, run_status_sensor, schedule, sensor
    from orchestrator.definitions.contexts import (
        HookContext,
        InputContext,
        OutputContext,
        ResourceContext,
        StepContext,
    )
    from orchestrator.definitions.hooks import failure_hook, success_hook
    from orchestrator.definitions.io_manager import IOManager
    from orchestrator.definitions.outputs import DynamicOut, Out
    from orchestrator.definitions.pipeline import Mode, Preset
    from orchestrator.definitions.pod import Pod
    from orchestrator.definitions.requests import RunRequest, SkipReason
    from orchestrator.definitions.resource import io_manager, resource
    from orchestrator.definitions.retry import RetryPolicy
    from orchestrator.definitions.step import step
    from orchestrator.definitions.values import (
        AssetKey,
        AssetMaterialization,
        DynamicOutput,
        Expectation,
        Failure,
        Metadata,
        Output,
        RetryRequested,
    )
    from orchestrator.errors import ConfigError, DefinitionError, OrchestratorError
    from orchestrator.in_process import InProcessResult, pipeline
    from orchestrator.io_managers.duckdb import duckdb_io_manager
    from orchestrator.io_managers.filesystem import filesystem_io_manager
    from orchestrator.io_managers.memory import memory_io_manager
    from orchestrator.io_managers.parquet import parquet_io_manager
    from orchestrator.model.asset import Materialization
    from orchestrator.model.delivery import RunEnding

# Where each name is defined. They are imported when first used: the command line imports this package too, and has
# no use for any of them.
_HOME = {
    "AssetKey": "definitions.values",
    "AssetMaterialization": "definitions.values",
    "ConfigError": "errors",
    "DefinitionError": "errors",
    "DynamicOut": "definitions.outputs",
    "DynamicOutput": "definitions.values",
    "Expectation": "definitions.values",
    "Failure": "definitions.values",
    "HookContext": "definitions.contexts",
    "IOManager": "definitions.io_manager",
    "InProcessResult": "in_process",
    "InputContext": "definitions.contexts",
    "Materialization": "model.asset",
    "Metadata": "definitions.values",
    "Mode": "definitions.pipeline",
    "OrchestratorError": "errors",
    "Out": "definitions.outputs",
    "Output": "definitions.values",
    "OutputContext": "definitions.contexts",
    "Pod": "definitions.pod",
    "Preset": "definitions.pipeline",
    "ResourceContext": "definitions.contexts",
    "RetryPolicy": "definitions.retry",
    "RetryRequested": "definitions.values",
    "RunEnding": "model.delivery",
    "RunRequest": "definitions.requests",
    "ScheduleContext": "definitions.automation_contexts",
    "SensorContext": "definitions.automation_contexts",
    "SkipReason": "definitions.requests",
    "StepContext": "definitions.contexts",
    "asset_sensor": "definitions.automation_decorators",
    "duckdb_io_manager": "io_managers.duckdb",
    "failure_hook": "definitions.hooks",
    "filesystem_io_manager": "io_managers.filesystem",
    "io_manager": "definitions.resource",
    "memory_io_manager": "io_managers.memory",
    "parquet_io_manager": "io_managers.parquet",
    "pipeline": "in_process",
    "resource": "definitions.resource",
    "run_status_sensor": "definitions.automation_decorators",
    "schedule": "definitions.automation_decorators",
    "sensor": "definitions.automation_decorators",
    "step": "definitions.step",
    "success_hook": "definitions.hooks",
}

__all__ = [
    "AssetKey",
    "AssetMaterialization",
    "ConfigError",
    "DefinitionError",
    "DynamicOut",
    "DynamicOutput",
    "Expectation",
    "Failure",
    "HookContext",
    "IOManager",
    "InProcessResult",
    "InputContext",
    "Materialization",
    "Metadata",
    "Mode",
    "OrchestratorError",
    "Out",
    "Output",
    "OutputContext",
    "Pod",
    "Preset",
    "ResourceContext",
    "RetryPolicy",
    "RetryRequested",
    "RunEnding",
    "RunRequest",
    "ScheduleContext",
    "SensorContext",
    "SkipReason",
    "StepContext",
    "__version__",
    "asset_sensor",
    "duckdb_io_manager",
    "failure_hook",
    "filesystem_io_manager",
    "io_manager",
    "memory_io_manager",
    "parquet_io_manager",
    "pipeline",
    "resource",
    "run_status_sensor",
    "schedule",
    "sensor",
    "step",
    "success_hook",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'orchestrator' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"orchestrator.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
