"""Type-checking protocols for calls of steps, never imported at run time.

In a pipeline body a step is called with its inputs. A first parameter `context` (`_context`, `_`) and a parameter
`config` are not passed, so they are taken out of the signature here, by their names as at run time. What stands
behind a `config` that comes later than that is not checked: no protocol can take a parameter out of the middle.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from orchestrator.definitions.contexts import StepContext
from orchestrator.definitions.step import StepDefinition
from orchestrator.definitions.values import AssetMaterialization

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class _Frame(Protocol):
    """A data frame or table: where it is loaded, it becomes the kind that the step's annotation names."""

    def __dataframe__(self, *args: Any, **kwargs: Any) -> Any: ...


class _LazyFrame(Protocol):
    def lazy(self) -> Any: ...


# Results whose type says nothing about what the next step is given.
NotFollowed = (
    None | Iterator[Any] | AsyncIterator[Any] | Coroutine[Any, Any, Any] | AssetMaterialization | _Frame | _LazyFrame
)


class ContextStep(StepDefinition[P, R_co]):
    """A step whose function takes `context` first. Outside of pipelines it is called with one."""

    @overload
    def __call__(self: StepDefinition[P, NotFollowed], *args: P.args, **kwargs: P.kwargs) -> Any: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(self, context: StepContext, /, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(self, *args: Any, context: StepContext, **kwargs: Any) -> R_co: ...
    @overload
    def __call__(self, *args: Any, after: Any, **kwargs: Any) -> Any: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...  # type: ignore[misc]


class ConfigStep(StepDefinition[P, R_co]):
    """A step whose function takes `config` first, or right after `context`. Outside of pipelines it is called with
    both."""

    @overload
    def __call__(self: StepDefinition[P, NotFollowed], *args: P.args, **kwargs: P.kwargs) -> Any: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(self, context: StepContext, config: Any, /, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(self, config: Any, /, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(self, *args: Any, config: Any, **kwargs: Any) -> R_co: ...
    @overload
    def __call__(self, *args: Any, after: Any, **kwargs: Any) -> Any: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...  # type: ignore[misc]


class ContextThenConfig(Protocol[P, R_co]):
    def __call__(self, context: Any, config: Any, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class ContextThenConfig2(Protocol[P, R_co]):
    def __call__(self, _context: Any, config: Any, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class ContextThenConfig3(Protocol[P, R_co]):
    def __call__(self, _: Any, config: Any, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class ConfigFirst(Protocol[P, R_co]):
    def __call__(self, config: Any, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class ConfigSecond(Protocol[R_co]):
    def __call__(self, _a: Any, /, config: Any, *args: Any, **kwargs: Any) -> R_co: ...


class ConfigThird(Protocol[R_co]):
    def __call__(self, _a: Any, _b: Any, /, config: Any, *args: Any, **kwargs: Any) -> R_co: ...


class ConfigByName(Protocol[R_co]):
    def __call__(self, *args: Any, config: Any, **kwargs: Any) -> R_co: ...


# mypy takes a keyword-only `config` out only when it knows how many parameters stand before it.
class ConfigByName0(Protocol[R_co]):
    def __call__(self, *, config: Any) -> R_co: ...


class ConfigByName1(Protocol[R_co]):
    def __call__(self, _a: Any, /, *, config: Any) -> R_co: ...


class ConfigByName2(Protocol[R_co]):
    def __call__(self, _a: Any, _b: Any, /, *, config: Any) -> R_co: ...


class ContextFirst(Protocol[P, R_co]):
    def __call__(self, context: Any, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class ContextFirst2(Protocol[P, R_co]):
    def __call__(self, _context: Any, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class ContextFirst3(Protocol[P, R_co]):
    def __call__(self, _: Any, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class StepDecorator(Protocol):
    """What `step(...)` with options gives: it makes a function a step."""

    @overload
    def __call__(self, function: ContextThenConfig[P, R], /) -> ConfigStep[P, R]: ...
    @overload
    def __call__(self, function: ContextThenConfig2[P, R], /) -> ConfigStep[P, R]: ...
    @overload
    def __call__(self, function: ContextThenConfig3[P, R], /) -> ConfigStep[P, R]: ...
    @overload
    def __call__(self, function: ConfigFirst[P, R], /) -> ConfigStep[P, R]: ...
    @overload
    def __call__(self, function: ConfigSecond[R], /) -> StepDefinition[..., R]: ...
    @overload
    def __call__(self, function: ConfigThird[R], /) -> StepDefinition[..., R]: ...
    @overload
    def __call__(self, function: ConfigByName[R], /) -> StepDefinition[..., R]: ...
    @overload
    def __call__(self, function: ConfigByName0[R], /) -> StepDefinition[..., R]: ...
    @overload
    def __call__(self, function: ConfigByName1[R], /) -> StepDefinition[..., R]: ...
    @overload
    def __call__(self, function: ConfigByName2[R], /) -> StepDefinition[..., R]: ...
    @overload
    def __call__(self, function: ContextFirst[P, R], /) -> ContextStep[P, R]: ...
    @overload
    def __call__(self, function: ContextFirst2[P, R], /) -> ContextStep[P, R]: ...
    @overload
    def __call__(self, function: ContextFirst3[P, R], /) -> ContextStep[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> StepDefinition[P, R]: ...


class OutputsDecorator(Protocol):
    """The same with declared outputs: what calling such a step gives depends on their names."""

    @overload
    def __call__(self, function: ContextThenConfig[P, R], /) -> ConfigStep[P, Any]: ...
    @overload
    def __call__(self, function: ContextThenConfig2[P, R], /) -> ConfigStep[P, Any]: ...
    @overload
    def __call__(self, function: ContextThenConfig3[P, R], /) -> ConfigStep[P, Any]: ...
    @overload
    def __call__(self, function: ConfigFirst[P, R], /) -> ConfigStep[P, Any]: ...
    @overload
    def __call__(self, function: ConfigSecond[R], /) -> StepDefinition[..., Any]: ...
    @overload
    def __call__(self, function: ConfigThird[R], /) -> StepDefinition[..., Any]: ...
    @overload
    def __call__(self, function: ConfigByName[R], /) -> StepDefinition[..., Any]: ...
    @overload
    def __call__(self, function: ConfigByName0[R], /) -> StepDefinition[..., Any]: ...
    @overload
    def __call__(self, function: ConfigByName1[R], /) -> StepDefinition[..., Any]: ...
    @overload
    def __call__(self, function: ConfigByName2[R], /) -> StepDefinition[..., Any]: ...
    @overload
    def __call__(self, function: ContextFirst[P, R], /) -> ContextStep[P, Any]: ...
    @overload
    def __call__(self, function: ContextFirst2[P, R], /) -> ContextStep[P, Any]: ...
    @overload
    def __call__(self, function: ContextFirst3[P, R], /) -> ContextStep[P, Any]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> StepDefinition[P, Any]: ...
