"""Executors by name: the shipped ones, those that installed packages register, and classes by their dotted path."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from orchestrator.errors import ConfigError, near_misses
from orchestrator.executors.base import Executor, ExecutorContext
from orchestrator.executors.local import InProcessExecutor, SubprocessExecutor

# Packages register a class here, in the group of this name: `mine = "package.module:Class"`.
ENTRY_POINTS = "orchestrator.executors"

_SHIPPED: dict[str, Callable[[ExecutorContext], Executor]] = {
    "subprocess": SubprocessExecutor,
    "in_process": InProcessExecutor,
}
# Shipped too, and imported only when it is used: not everybody has a cluster.
_WHEN_USED = {"kubernetes": "orchestrator.kubernetes.executor.KubernetesExecutor"}
# What an executor of another package must have; see `Executor`.
_MEMBERS = ("name", "capabilities", "launch", "adopt", "poll", "cancel", "end_run", "close", "descriptors")


def make_executor(name: str, context: ExecutorContext) -> Executor:
    """The executor of that name: a shipped one, one that an installed package registers, or a class named by its dotted
    path (`package.module.Class`). It is called with the context. Raises ConfigError."""
    if name in _SHIPPED:
        return _SHIPPED[name](context)
    try:
        made = _found(name)(context)
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigError(f"The executor {name!r} cannot be used: {error}.") from error
    missing = [member for member in _MEMBERS if not hasattr(made, member)]
    if missing:
        raise ConfigError(
            f"The executor {name!r} cannot be used: it has no {', '.join(missing)}.",
            hint="docs/executors.md has the interface.",
        )
    return made


def _found(name: str) -> Callable[[ExecutorContext], Executor]:
    from importlib import metadata  # takes as long to import as everything else here

    name = _WHEN_USED.get(name, name)
    registered = {point.name: point for point in metadata.entry_points(group=ENTRY_POINTS)}
    if name in registered:
        loaded: Callable[[ExecutorContext], Executor] = registered[name].load()
        return loaded
    module, _, attribute = name.rpartition(".")
    if not module:
        raise ConfigError(
            f"There is no executor {name!r}.", hint=near_misses(name, [*_SHIPPED, *_WHEN_USED, *registered], "executor")
        )
    cls: Callable[[ExecutorContext], Executor] = getattr(importlib.import_module(module), attribute)
    return cls
