"""Executors by name. Runs nothing."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from orchestrator.errors import ConfigError, near_misses
from orchestrator.execution.base import Executor
from orchestrator.execution.pool import LocationPool
from orchestrator.execution.subprocess import InProcessExecutor, SubprocessExecutor

_SHIPPED: dict[str, Callable[[LocationPool], Executor]] = {
    "subprocess": SubprocessExecutor,
    "in_process": InProcessExecutor,
}


def make_executor(name: str, pool: LocationPool) -> Executor:
    """The executor of that name: a shipped one, or a class named by its dotted path (`package.module.Class`), which
    is called with the location pool. Raises ConfigError."""
    if name in _SHIPPED:
        return _SHIPPED[name](pool)
    module, _, attribute = name.rpartition(".")
    if not module:
        raise ConfigError(f"There is no executor {name!r}.", hint=near_misses(name, _SHIPPED, "executor"))
    try:
        made: Executor = getattr(importlib.import_module(module), attribute)(pool)
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigError(f"The executor {name!r} cannot be used: {error}.") from error
    return made
