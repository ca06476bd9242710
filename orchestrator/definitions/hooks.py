"""Hooks: functions called after a step succeeded or finally failed. They change nothing for the step."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, Literal, overload

from orchestrator.definitions.broken import check_usable, decorate
from orchestrator.definitions.signature import read_signature
from orchestrator.definitions.source_location import (
    Where,
    check_keys,
    check_name,
    definition_error,
    where_is,
)


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
        self.name = check_name("hook", function.__name__ if name is None else name, self.where)
        self.function = function
        self.event = event
        self.resources = check_keys(resources, str(self), self.where)
        signature = read_signature(function, str(self), self.where)
        if not signature.takes_context or signature.takes_config or signature.parameters:
            hint = f"Write `def {self.name}(context):`."
            raise definition_error(str(self), self.where, "a hook takes one parameter, `context`.", hint)
        # Not its attributes: other decorators leave some, and they may be called like ours.
        functools.update_wrapper(self, function, updated=())

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
    return decorate("hook", f"@{event}_hook", function, options, HookDefinition, event=event)


def check_hooks(hooks: Iterable[HookDefinition], what: str, where: Where) -> tuple[HookDefinition, ...]:
    """The hooks, each once, in the order of their names."""
    hooks = list(hooks) if isinstance(hooks, Iterable) else [hooks]
    for hook in hooks:
        check_usable(hook)
        if not isinstance(hook, HookDefinition):
            raise definition_error(
                what, where, f"{hook!r} is not a hook.", "Decorate it with @success_hook or @failure_hook."
            )
    return tuple(sorted(set(hooks), key=lambda hook: hook.name))
