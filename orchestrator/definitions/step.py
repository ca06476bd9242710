"""Steps: functions with declared inputs and outputs. Called inside a pipeline they become part of its graph; called
anywhere else they are the plain function again. How one is run is not known here.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, Literal, get_args, get_origin, overload

from orchestrator.clock import Duration, seconds_of
from orchestrator.definitions.broken import check_usable, decorate
from orchestrator.definitions.composition import place_step
from orchestrator.definitions.graph import composing
from orchestrator.definitions.hooks import HookDefinition, check_hooks
from orchestrator.definitions.outputs import DynamicOut, Out, read_outputs
from orchestrator.definitions.pod import Pod
from orchestrator.definitions.retry import RetryPolicy
from orchestrator.definitions.signature import NO_DEFAULT, Parameter, config_hint, read_signature, type_hints
from orchestrator.definitions.source_location import (
    Where,
    check_keys,
    check_name,
    definition_error,
    shows_options,
    where_called,
    where_is,
)
from orchestrator.model.run import SYSTEM_TAG_PREFIX
from orchestrator.typed import escaped

if TYPE_CHECKING:
    from typing_extensions import ParamSpec, TypeVar  # their defaults are in `typing` from Python 3.13 on

    from orchestrator.definitions import step_typing as _typing

    P = ParamSpec("P", default=...)
    R_co = TypeVar("R_co", covariant=True, default=Any)
    # Of a function; mypy would take a default for the answer here.
    Q = ParamSpec("Q")
    R = TypeVar("R")
else:
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    R_co = TypeVar("R_co", covariant=True)

Isolation = Literal["fork", "spawn"]
ISOLATIONS = ("fork", "spawn")


class StepDefinition(Generic[P, R_co]):
    """One step. Nothing changes it; the same definition may be used any number of times, in any number of pipelines."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        outputs: Out | Mapping[str, Out] | None = None,
        resources: Iterable[str] = (),
        retry: RetryPolicy | None = None,
        timeout: Duration | None = None,
        tags: Mapping[str, object] | None = None,
        io_manager: str | None = None,
        version: str | None = None,
        isolation: Isolation | None = None,
        executor: str | None = None,
        pod: Pod | None = None,
        hooks: Iterable[HookDefinition] = (),
        description: str | None = None,
    ) -> None:
        self.where: Where = where_is(function)
        self.name = check_name("step", function.__name__ if name is None else name, self.where)
        self.function = function
        signature = read_signature(function, str(self), self.where)
        self.context_name = signature.context_name
        self.takes_config = signature.takes_config
        self.config_default = signature.config_default
        self.inputs: dict[str, Parameter] = {p.name: p for p in signature.parameters}
        self.outputs = read_outputs(outputs, function, io_manager, str(self), self.where)
        self.resources = check_keys(resources, str(self), self.where)
        self.retry = self._check_retry(retry)
        self.timeout = self._check_timeout(timeout)
        self.tags = check_tags(tags, str(self), self.where)
        self.version = None if version is None else str(version)
        self.isolation = self._check_isolation(isolation)
        self.executor = self._check_executor(executor)
        self.pod = self._check_pod(pod)
        self.hooks = check_hooks(hooks, str(self), self.where)
        self.description = description or inspect.getdoc(function)
        # Not its attributes: other decorators leave some, and they may be called like ours.
        functools.update_wrapper(self, function, updated=())

    # A type checker takes what a call gives for the value itself, so that it can be followed from step to step.
    @overload
    def __call__(self: StepDefinition[P, _typing.NotFollowed], *args: P.args, **kwargs: P.kwargs) -> Any: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(self, *args: Any, after: Any, **kwargs: Any) -> Any: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if composing():
            return place_step(self, args, kwargs)
        return self.function(*args, **kwargs)

    def alias(self, name: str) -> StepUse[P, R_co]:
        """This step under another name, for use in a pipeline."""
        return StepUse(self).alias(name)

    def with_tags(self, tags: Mapping[str, object]) -> StepUse[P, R_co]:
        """This step with further tags, for use in a pipeline."""
        return StepUse(self).with_tags(tags)

    def with_hooks(self, hooks: Iterable[HookDefinition]) -> StepUse[P, R_co]:
        """This step with further hooks, for use in a pipeline."""
        return StepUse(self).with_hooks(hooks)

    @functools.cached_property
    def hints(self) -> dict[str, Any]:
        """The function's annotations. Evaluated when first needed: a forward reference is known by then."""
        return type_hints(self.function)

    @property
    def config_type(self) -> Any:
        """The annotation of the `config` parameter; None when there is no such parameter or no annotation."""
        return config_hint(self.function, self.hints) if self.takes_config else None

    def output_type(self, name: str) -> Any:
        """The declared type of an output: its own, or for the only output of a function the return annotation."""
        declared = self.outputs[name].type
        if declared is not NO_DEFAULT or isinstance(self.outputs[name], DynamicOut):
            return declared
        if len(self.outputs) > 1:
            return self._member_type(list(self.outputs).index(name))
        if inspect.isgeneratorfunction(inspect.unwrap(self.function)):
            return NO_DEFAULT  # annotated with what it yields, not with the value
        return self.hints.get("return", NO_DEFAULT)

    def _member_type(self, position: int) -> Any:
        """The type of one of several outputs when the function is annotated with a tuple of as many members."""
        annotation = self.hints.get("return", NO_DEFAULT)
        members = get_args(annotation) if get_origin(annotation) is tuple else ()
        return members[position] if len(members) == len(self.outputs) and Ellipsis not in members else NO_DEFAULT

    def __str__(self) -> str:
        return f"Step {self.name!r}"

    __repr__ = __str__

    def _check_retry(self, retry: RetryPolicy | None) -> RetryPolicy:
        check_usable(retry)
        if retry is None or isinstance(retry, RetryPolicy):
            return retry or RetryPolicy()
        hint = f"Write retry=RetryPolicy(max_retries={retry if isinstance(retry, int) else 3})."
        raise definition_error(str(self), self.where, f"retry={retry!r} is not a RetryPolicy.", hint)

    def _check_timeout(self, timeout: Duration | None) -> float | None:
        if timeout is None:
            return None
        with suppress(ValueError):
            if (seconds := seconds_of(timeout)) > 0:
                return seconds
        problem = f"timeout={timeout!r} is not a duration above 0."
        raise definition_error(str(self), self.where, problem, 'Write timeout=600 or timeout="10m" for ten minutes.')

    def _check_executor(self, executor: Any) -> str | None:
        if executor is None or (isinstance(executor, str) and executor):
            return executor
        hint = 'Write executor="subprocess", "kubernetes" or another name.'
        raise definition_error(str(self), self.where, f"executor={executor!r} is not the name of an executor.", hint)

    def _check_pod(self, pod: Any) -> Pod | None:
        check_usable(pod)
        if pod is None or isinstance(pod, Pod):
            return pod
        raise definition_error(str(self), self.where, f"pod={pod!r} is not a Pod.", 'Write pod=Pod(memory="8Gi").')

    def _check_isolation(self, isolation: str | None) -> str | None:
        if isolation is None or isolation in ISOLATIONS:
            return isolation
        raise definition_error(str(self), self.where, f"isolation={isolation!r} is unknown.", 'Use "fork" or "spawn".')


class StepUse(Generic[P, R_co]):
    """A step as one pipeline uses it: under an alias, with further tags or hooks. Call it as you would the step."""

    def __init__(
        self,
        step: StepDefinition[P, R_co],
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        hooks: tuple[HookDefinition, ...] = (),
    ) -> None:
        self.step = step
        self.name = name
        self.tags = dict(tags or {})
        self.hooks = hooks

    def alias(self, name: str) -> StepUse[P, R_co]:
        check_name(f"alias of step {self.step.name!r},", name, where_called())
        return StepUse(self.step, name, self.tags, self.hooks)

    def with_tags(self, tags: Mapping[str, object]) -> StepUse[P, R_co]:
        more = check_tags(tags, str(self.step), where_called())
        return StepUse(self.step, self.name, {**self.tags, **more}, self.hooks)

    def with_hooks(self, hooks: Iterable[HookDefinition]) -> StepUse[P, R_co]:
        more = check_hooks(hooks, str(self.step), where_called())
        return StepUse(self.step, self.name, self.tags, (*self.hooks, *more))

    @overload
    def __call__(self: StepUse[P, _typing.NotFollowed], *args: P.args, **kwargs: P.kwargs) -> Any: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(self, *args: Any, after: Any, **kwargs: Any) -> Any: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if composing():
            return place_step(self.step, args, kwargs, name=self.name, tags=self.tags, hooks=self.hooks)
        return self.step.function(*args, **kwargs)

    def __str__(self) -> str:
        return f"Step {self.name or self.step.name!r}"

    __repr__ = __str__


def check_tags(tags: Mapping[str, object] | None, what: str, where: Where) -> dict[str, str]:
    """Tags as strings that can be stored (see `escaped`); a name in our own namespace is refused."""
    if tags is not None and not isinstance(tags, Mapping):
        raise definition_error(what, where, f"tags={tags!r} is not a dictionary.", 'Write tags={"name": "value"}.')
    checked = {escaped(str(name)): escaped(str(value)) for name, value in (tags or {}).items()}
    for name in checked:
        if name.startswith(SYSTEM_TAG_PREFIX):
            raise definition_error(
                what, where, f"the tag {name!r} is reserved.", f"Tags may not begin with {SYSTEM_TAG_PREFIX}"
            )
    return checked


@overload
def step(function: _typing.ContextThenConfig[Q, R], /) -> _typing.ConfigStep[Q, R]: ...
@overload
def step(function: _typing.ContextThenConfig2[Q, R], /) -> _typing.ConfigStep[Q, R]: ...
@overload
def step(function: _typing.ContextThenConfig3[Q, R], /) -> _typing.ConfigStep[Q, R]: ...
@overload
def step(function: _typing.ConfigFirst[Q, R], /) -> _typing.ConfigStep[Q, R]: ...
@overload
def step(function: _typing.ConfigSecond[R], /) -> StepDefinition[..., R]: ...
@overload
def step(function: _typing.ConfigThird[R], /) -> StepDefinition[..., R]: ...
@overload
def step(function: _typing.ConfigByName[R], /) -> StepDefinition[..., R]: ...
@overload
def step(function: _typing.ConfigByName0[R], /) -> StepDefinition[..., R]: ...
@overload
def step(function: _typing.ConfigByName1[R], /) -> StepDefinition[..., R]: ...
@overload
def step(function: _typing.ConfigByName2[R], /) -> StepDefinition[..., R]: ...
@overload
def step(function: _typing.ContextFirst[Q, R], /) -> _typing.ContextStep[Q, R]: ...
@overload
def step(function: _typing.ContextFirst2[Q, R], /) -> _typing.ContextStep[Q, R]: ...
@overload
def step(function: _typing.ContextFirst3[Q, R], /) -> _typing.ContextStep[Q, R]: ...
@overload
def step(function: Callable[Q, R], /) -> StepDefinition[Q, R]: ...
@overload
def step(
    *,
    name: str | None = ...,
    outputs: None = ...,
    resources: Iterable[str] = ...,
    retry: RetryPolicy | None = ...,
    timeout: Duration | None = ...,
    tags: Mapping[str, object] | None = ...,
    io_manager: str | None = ...,
    version: str | None = ...,
    isolation: Isolation | None = ...,
    executor: str | None = ...,
    pod: Pod | None = ...,
    hooks: Iterable[HookDefinition] = ...,
    description: str | None = ...,
) -> _typing.StepDecorator: ...
@overload
def step(
    *,
    name: str | None = ...,
    outputs: Out | DynamicOut | Mapping[str, Out],
    resources: Iterable[str] = ...,
    retry: RetryPolicy | None = ...,
    timeout: Duration | None = ...,
    tags: Mapping[str, object] | None = ...,
    io_manager: str | None = ...,
    version: str | None = ...,
    isolation: Isolation | None = ...,
    executor: str | None = ...,
    pod: Pod | None = ...,
    hooks: Iterable[HookDefinition] = ...,
    description: str | None = ...,
) -> _typing.OutputsDecorator: ...


@shows_options(StepDefinition.__init__)
def step(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Makes a function a step. Raises DefinitionError at once for what cannot be right.

    A first parameter called `context` (or `_context`, or `_`, when the function does not use it) and a parameter called
    `config` are recognised by name; every other parameter is an input, and its annotation is checked at run time.

    name: what it is called; by default as its function.
    outputs: Out(type), DynamicOut(type), or several by name. By default the return value is the only output, `result`.
        Several outputs are yielded as Output(value, "name"), or returned as a tuple in the order of declaration.
    resources: the names of the resources that it uses as `context.resources`.
    retry: a RetryPolicy.
    timeout: seconds, text such as "15m", or a timedelta, for each attempt: making resources and loading inputs count,
        waiting for the attempt to begin does not. Then the step's whole process tree is ended, and the attempt failed.
    tags: for selecting and limiting; `priority` orders steps that are ready.
    io_manager: the resource that stores its outputs.
    version: lets `run --memoize` reuse outputs of the same version, inputs and configuration.
    isolation: "spawn" starts it in a fresh interpreter, instead of forking the one that has the module loaded.
    executor: the executor that runs it, whatever the run's own is.
    pod: what it needs of its container, for executors that run containers.
    hooks: called when it has succeeded or finally failed.
    description: by default the function's docstring.
    """
    return decorate("step", "@step", function, options, StepDefinition, may_wait=True)
