"""Resources: things a step needs and should not create itself, bound to names by a pipeline's modes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, overload

from orchestrator.definitions.broken import decorate
from orchestrator.definitions.signature import config_hint, read_signature, type_hints
from orchestrator.definitions.source_location import (
    Where,
    capitalized,
    check_keys,
    check_name,
    definition_error,
    shows_options,
    where_is,
)
from orchestrator.errors import DefinitionError
from orchestrator.model.reach import CHOICES, Reach


class ResourceDefinition:
    """How to make a resource. Its function returns the resource, or yields it once and cleans up after the yield.

    Other resources it needs are named in `resources` and found on `context.resources`.
    """

    kind = "resource"

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        resources: Iterable[str] = (),
        description: str | None = None,
        version: str | None = None,
    ) -> None:
        self.where: Where = where_is(function)
        self.name = check_name(self.kind, function.__name__ if name is None else name, self.where)
        self.function = function
        self.resources = check_keys(resources, str(self), self.where)
        self.description = description or inspect.getdoc(function)
        self.version = version
        signature = read_signature(function, str(self), self.where)
        self.context_name = signature.context_name
        self.takes_config = signature.takes_config
        self.config_default = signature.config_default
        unknown = [p.name for p in signature.parameters if not p.has_default]
        if unknown:
            raise definition_error(
                str(self),
                self.where,
                f"it takes {', '.join(unknown)}; only `context` and `config` are provided.",
                "Take what it needs from `config`, or name other resources in resources={...}.",
            )
        # Not its attributes: other decorators leave some, and they may be called like ours.
        functools.update_wrapper(self, function, updated=())

    @functools.cached_property
    def hints(self) -> dict[str, Any]:
        return type_hints(self.function)

    @property
    def config_type(self) -> Any:
        """The annotation of the `config` parameter; None when there is no such parameter or no annotation."""
        return config_hint(self.function, self.hints) if self.takes_config else None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __str__(self) -> str:
        return capitalized(f"{self.kind} {self.name!r}")

    __repr__ = __str__


class IOManagerDefinition(ResourceDefinition):
    """How to make an IO manager. `reach` says how far apart the steps may be that store and load a value: in one
    "process", on one "machine", or "anywhere" (object storage, a database server, a shared volume). A run whose
    executor spreads steps further is refused before it exists. `in_process_only=True` is `reach="process"`. `preload`
    names modules that are imported once, before steps are forked. `in_storage`: it stores values in the place that the
    run's executor offers (`context.storage_dir`), and so reaches as far as that."""

    kind = "IO manager"

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        resources: Iterable[str] = (),
        description: str | None = None,
        version: str | None = None,
        in_process_only: bool = False,
        reach: Reach | None = None,
        preload: Iterable[str] = (),
        in_storage: bool = False,
    ) -> None:
        super().__init__(function, name=name, resources=resources, description=description, version=version)
        self.in_storage = in_storage
        if reach is not None and reach not in CHOICES:
            raise DefinitionError(f"The reach of {self} is one of {', '.join(sorted(CHOICES))}, not {reach!r}.")
        if in_process_only and reach not in (None, "process"):
            raise DefinitionError(f"{self} is in_process_only, so its reach cannot be {reach!r}.")
        self.reach: Reach = reach or ("process" if in_process_only else "machine")
        self.preload = tuple(preload)


def constant_resource(name: str, value: Any) -> ResourceDefinition:
    """A resource that is simply `value`; an IO manager if `value` is one."""

    def constant() -> Any:
        return value

    constant.__name__ = name
    is_io_manager = hasattr(value, "handle_output") and hasattr(value, "load_input")
    cls = IOManagerDefinition if is_io_manager else ResourceDefinition
    return cls(constant, description=f"The constant {type(value).__name__}.")


@overload
def resource(function: Callable[..., Any], /) -> ResourceDefinition: ...


@overload
def resource(
    *, name: str | None = ..., resources: Iterable[str] = ..., description: str | None = ..., version: str | None = ...
) -> Callable[[Callable[..., Any]], ResourceDefinition]: ...


@shows_options(ResourceDefinition.__init__)
def resource(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Makes a function a resource. Options: `name`, `resources` (other resources it needs), `description`, `version`.

    The function may take `context` and `config`, and may yield instead of returning: what follows the yield runs
    when the step is over, however it ended.
    """
    return _decorate("@resource", ResourceDefinition, function, options)


@overload
def io_manager(function: Callable[..., Any], /) -> IOManagerDefinition: ...


@overload
def io_manager(
    *,
    name: str | None = ...,
    resources: Iterable[str] = ...,
    description: str | None = ...,
    version: str | None = ...,
    in_process_only: bool = ...,
    reach: Reach = ...,
    preload: Iterable[str] = ...,
    in_storage: bool = ...,
) -> Callable[[Callable[..., Any]], IOManagerDefinition]: ...


@shows_options(IOManagerDefinition.__init__)
def io_manager(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Makes a function that returns an `IOManager` usable as a resource. Options as for `resource`."""
    return _decorate("@io_manager", IOManagerDefinition, function, options)


def _decorate(decorator: str, cls: type[ResourceDefinition], function: Any, options: dict[str, Any]) -> Any:
    return decorate(cls.kind, decorator, function, options, cls)
