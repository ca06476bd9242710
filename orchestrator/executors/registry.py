"""Executors by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from orchestrator.errors import ConfigError, near_misses
from orchestrator.executors.base import Executor, ExecutorContext
from orchestrator.executors.local import InProcessExecutor, SubprocessExecutor

_SHIPPED: dict[str, Callable[[ExecutorContext], Executor]] = {
    "subprocess": SubprocessExecutor,
    "in_process": InProcessExecutor,
}


def make_executor(name: str, context: ExecutorContext) -> Executor:
    """The executor of that name: a shipped one, or a class named by its dotted path (`package.module.Class`), which
    is called with an ExecutorContext. Raises ConfigError."""
    if name in _SHIPPED:
        return _SHIPPED[name](context)
    module, _, attribute = name.rpartition(".")
    if not module:
        raise ConfigError(f"There is no executor {name!r}.", hint=near_misses(name, _SHIPPED, "executor"))
    try:
        made: Executor = getattr(importlib.import_module(module), attribute)(context)
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigError(f"The executor {name!r} cannot be used: {error}.") from error
    return made
