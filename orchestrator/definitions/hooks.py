"""Hooks: functions called after a step succeeded or finally failed. What they do changes nothing for the step."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, Literal, overload

from orchestrator.definitions.signature import read_signature
from orchestrator.definitions.where import Where, broken, check_name, check_options, where_called, where_is


class HookDefinition:
    """A hook and the event it waits for. `resources` are those its function uses as `context.resources`."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        event: Literal["success", "failure"],
        name: str | None = None,
        resources: Iterable[str] = (),
    ) -> None:
        self.where = where_is(function)
        self.name = check_name("hook", name or function.__name__, self.where)
        self.function = function
        self.event = event
        self.resources = tuple(sorted(set(resources)))
        signature = read_signature(function, str(self), self.where)
        if not signature.takes_context or signature.takes_config or signature.parameters:
            raise broken(str(self), self.where, "a hook takes one parameter, `context`.")
        functools.update_wrapper(self, function)

    def __call__(self, context: Any) -> Any:
        return self.function(context)

    def __str__(self) -> str:
        return f"Hook {self.name!r}"

    __repr__ = __str__


@overload
def success_hook(function: Callable[..., Any], /) -> HookDefinition: ...


@overload
def success_hook(
    *, name: str | None = ..., resources: Iterable[str] = ...
) -> Callable[[Callable[..., Any]], HookDefinition]: ...


def success_hook(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Makes a function a hook that is called after a step succeeded. Options: `name`, `resources`."""
    return _hook("success", function, options)


@overload
def failure_hook(function: Callable[..., Any], /) -> HookDefinition: ...


@overload
def failure_hook(
    *, name: str | None = ..., resources: Iterable[str] = ...
) -> Callable[[Callable[..., Any]], HookDefinition]: ...


def failure_hook(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Makes a function a hook that is called once a step has failed and will not be tried again; the exception is
    `context.error`. Options: `name`, `resources`."""
    return _hook("failure", function, options)


def _hook(event: Literal["success", "failure"], function: Any, options: dict[str, Any]) -> Any:
    check_options(f"@{event}_hook", HookDefinition.__init__, options)
    if function is None:
        return lambda f: HookDefinition(f, event=event, **options)
    if not inspect.isfunction(function):
        raise broken(f"@{event}_hook", where_called(), "it decorates a function; options go by name.")
    return HookDefinition(function, event=event, **options)


def check_hooks(hooks: Iterable[HookDefinition], what: str, where: Where) -> tuple[HookDefinition, ...]:
    """The hooks, each once, in the order of their names."""
    hooks = [hooks] if isinstance(hooks, HookDefinition) else list(hooks)
    for hook in hooks:
        if not isinstance(hook, HookDefinition):
            raise broken(what, where, f"{hook!r} is not a hook.", "Decorate it with @success_hook or @failure_hook.")
    return tuple(sorted(set(hooks), key=lambda hook: hook.name))
