"""The live resources of an attempt: made in the order of their needs, torn down in reverse, whatever happens."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from orchestrator import clock
from orchestrator.definitions.contexts import ResourceContext, Resources
from orchestrator.definitions.io_manager import IOManager
from orchestrator.definitions.resource import ResourceDefinition
from orchestrator.definitions.type_checks import type_name, with_article
from orchestrator.definitions.values import Failure, RetryRequested
from orchestrator.errors import DefinitionError
from orchestrator.model.events import ResourceFailed, ResourceInitialized, ResourceTornDown
from orchestrator.worker.errors import error_info
from orchestrator.worker.recorder import Recorder


class ResourceInitFailed(Exception):
    """A resource could not be made; the cause is what its function raised."""


class ResourceScope:
    """The live resources of one attempt.

    `quiet` names those that are not worth an event unless they fail (IO managers). `config_of` gives a resource's
    configuration with secrets filled in.
    """

    def __init__(
        self,
        definitions: Mapping[str, ResourceDefinition],
        config_of: Callable[[str], Any],
        quiet: Iterable[str] = (),
    ) -> None:
        self._definitions = definitions
        self._config_of = config_of
        self._quiet = frozenset(quiet)
        self._values: dict[str, Any] = {}
        self._generators: list[tuple[str, Any]] = []

    def provide(self, keys: Iterable[str], record: Recorder, context: ResourceContext) -> None:
        """Makes the resources that are not there yet, those they need first. Raises ResourceInitFailed."""
        wanted = set(keys)
        for key in self._definitions:  # in the order in which the mode binds them
            if key in wanted:
                self._make(key, record, context)

    def values(self, keys: Iterable[str], wanted_by: str) -> Resources:
        """The named resources, as user code sees them."""
        return Resources({key: self._values[key] for key in keys}, wanted_by)

    def io_manager(self, key: str) -> tuple[IOManager, Resources]:
        """The IO manager under that name, and the resources it asked for."""
        manager = self._values[key]
        if not (hasattr(manager, "handle_output") and hasattr(manager, "load_input")):
            raise DefinitionError(
                f"The IO manager {key!r} is {with_article(type_name(type(manager)))}, which has no handle_output"
                " and load_input.",
                hint="Return a subclass of orchestrator.IOManager from the function decorated with @io_manager.",
            )
        return manager, self.values(self._definitions[key].resources, f"IO manager {key!r}")

    def tear_down(self, record: Recorder) -> None:
        """Ends all resources in reverse order. One that fails to end is recorded, and keeps no other from ending."""
        while self._generators:
            key, generator = self._generators.pop()
            self._values.pop(key, None)
            try:
                if _ended(generator):
                    record(ResourceTornDown, resource=key)
                else:
                    raise DefinitionError(f"Resource {key!r} yields more than once; it may yield one value.")
            except BaseException as error:  # also SystemExit: teardown is user code and changes no result
                record(ResourceFailed, resource=key, phase="teardown", error=error_info(error))

    def _make(self, key: str, record: Recorder, context: ResourceContext) -> None:
        if key in self._values:
            return
        definition = self._definitions[key]
        for needed in definition.resources:
            self._make(needed, record, context)
        started = clock.monotonic()
        try:
            self._values[key] = self._made(key, definition, context)
        except Exception as error:
            info = error_info(error)
            record(ResourceFailed, resource=key, phase="init", error=info)
            if issubclass(type(error), (Failure, RetryRequested)):
                raise
            raise ResourceInitFailed(f"resource {key!r} could not be made: {info.headline()}") from error
        if key not in self._quiet:
            record(ResourceInitialized, resource=key, seconds=round(clock.monotonic() - started, 6))

    def _made(self, key: str, definition: ResourceDefinition, shared: ResourceContext) -> Any:
        arguments: dict[str, Any] = {}
        config = self._config_of(key) if definition.takes_config else None
        if definition.takes_config:
            arguments["config"] = config
        if definition.context_name:
            arguments[definition.context_name] = ResourceContext(
                config=config,
                resources=self.values(definition.resources, f"Resource {key!r}"),
                name=key,
                run_id=shared.run_id,
                pipeline=shared.pipeline,
                step=shared.step,
                log=shared.log,
            )
        made = definition.function(**arguments)
        if isinstance(made, contextlib._GeneratorContextManager):
            made = made.gen  # of a function that is decorated with @contextmanager as well
        if not inspect.isgenerator(made):
            return made
        # On the list before it starts: interrupted anywhere inside, it is closed like all others.
        self._generators.append((key, made))
        try:
            return next(made)
        except StopIteration:
            self._generators.pop()
            raise DefinitionError(f"Resource {key!r} is a generator that yields nothing.") from None
        except Exception:
            self._generators.pop()
            raise


def _ended(generator: Any) -> bool:
    """Runs what follows the yield; False when the generator yields again instead of ending."""
    if inspect.getgeneratorstate(generator) != inspect.GEN_SUSPENDED:
        generator.close()
        return True
    try:
        next(generator)
    except StopIteration:
        return True
    generator.close()
    return False
