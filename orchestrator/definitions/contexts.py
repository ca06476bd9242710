"""The `context` of user code: where it runs, its configuration, its resources, a logger. Everything in it is passed in.

Each context can be built by hand for a unit test: `StepContext(config=TopN(3), resources={"warehouse": fake})`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.definitions.values import AssetMaterialization, Expectation
from orchestrator.errors import near_misses
from orchestrator.model.run import Trigger


class Resources(Mapping[str, Any]):
    """The resources of a step, by attribute or by key."""

    def __init__(self, values: Mapping[str, Any] | None = None, wanted_by: str = "this step") -> None:
        self._values = dict(values or {})
        self._wanted_by = wanted_by

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._values[name]
        except KeyError:
            hint = f" {near_misses(name, self._values, 'resource')}" if self._values else ""
            raise AttributeError(
                f"{self._wanted_by} has no resource {name!r}; add it to resources={{...}}.{hint}"
            ) from None

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def silent_logger() -> logging.Logger:
    """A logger without handlers, for a context that was given none."""
    logger = logging.Logger("orchestrator.step")
    logger.addHandler(logging.NullHandler())
    return logger


def _as_resources(resources: Mapping[str, Any]) -> Resources:
    return resources if isinstance(resources, Resources) else Resources(resources)


@dataclass
class StepContext:
    """Given to a step whose first parameter is called `context`.

    `step` is the step's key in this run, `mapping_key` the key it is mapped for. `attempt` counts from 1. `log` is a
    standard `logging.Logger` whose lines are kept with the run.
    """

    config: Any = None
    resources: Resources = field(default_factory=Resources)
    run_id: str = "test"
    pipeline: str = "test"
    step: str = "test"
    attempt: int = 1
    tags: Mapping[str, str] = field(default_factory=dict)
    mapping_key: str | None = None
    trigger: Trigger = field(default_factory=Trigger)
    log: logging.Logger = field(default_factory=silent_logger)
    recorded: list[AssetMaterialization | Expectation] = field(default_factory=list)
    _record: Callable[[AssetMaterialization | Expectation], None] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.resources = _as_resources(self.resources)

    def log_asset(self, materialization: AssetMaterialization) -> None:
        """Records that an asset was written. It counts even if the step fails afterwards."""
        if not isinstance(materialization, AssetMaterialization):
            raise TypeError(f"log_asset takes an AssetMaterialization, not {materialization!r}")
        self._take(materialization)

    def log_expectation(self, expectation: Expectation) -> None:
        """Records the result of a check."""
        if not isinstance(expectation, Expectation):
            raise TypeError(f"log_expectation takes an Expectation, not {expectation!r}")
        self._take(expectation)

    def _take(self, fact: AssetMaterialization | Expectation) -> None:
        if self._record is None:
            self.recorded.append(fact)
        else:
            self._record(fact)


@dataclass
class ResourceContext:
    """Given to a resource whose first parameter is called `context`."""

    config: Any = None
    resources: Resources = field(default_factory=Resources)
    name: str = "test"
    run_id: str = "test"
    pipeline: str = "test"
    step: str = "test"
    log: logging.Logger = field(default_factory=silent_logger)

    def __post_init__(self) -> None:
        self.resources = _as_resources(self.resources)


@dataclass
class HookContext:
    """Given to a hook. `error` is the exception that failed the step; None in a success hook. When the step's process
    died (a signal, `os._exit`, a lost machine) there is no exception: `error` is then a `Failure` that says how."""

    step: str = "test"
    run_id: str = "test"
    pipeline: str = "test"
    attempt: int = 1
    resources: Resources = field(default_factory=Resources)
    tags: Mapping[str, str] = field(default_factory=dict)
    error: BaseException | None = None
    log: logging.Logger = field(default_factory=silent_logger)

    def __post_init__(self) -> None:
        self.resources = _as_resources(self.resources)


def _never(_run_id: str) -> bool:
    return False


@dataclass
class OutputContext:
    """Names one output value: given to `IOManager.handle_output`, and to `load_input` as `upstream_output`.

    `run_id`, `step`, `name` and, for dynamic outputs, `mapping_key` identify the value. In a run that reuses an
    earlier run's output, `run_id` is that earlier run; it is None for a value that no run is known to have made.
    `step_key` is the same as `step`. `partition` is the mapping key of the step itself (`load[a]` has "a"), None for a
    step that is not mapped. `type` is the declared type, `metadata` what the output declares. `attempt` counts from 1.
    `is_active` says whether a run, by its id, is under way in this workspace: its steps may still read what it has
    stored.
    """

    step: str = "test"
    name: str = "result"
    run_id: str | None = "test"
    pipeline: str = "test"
    mapping_key: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    type: Any = None
    version: str | None = None
    config: Any = None
    resources: Resources = field(default_factory=Resources)
    attempt: int = 1
    partition: str | None = None
    storage_dir: str | None = None
    log: logging.Logger = field(default_factory=silent_logger)
    is_active: Callable[[str], bool] = field(default=_never, repr=False)

    def __post_init__(self) -> None:
        self.resources = _as_resources(self.resources)

    @property
    def step_key(self) -> str:
        return self.step

    def identifier(self) -> tuple[str, ...]:
        """(run id, step, output[, mapping key]): unique to this value. Raises ValueError when no run made it."""
        if self.run_id is None:
            raise ValueError(f"no run is known to have produced {self.step}.{self.name}; name one with --rerun RUN")
        parts = (self.run_id, self.step, self.name)
        return parts if self.mapping_key is None else (*parts, self.mapping_key)

    def storage_parts(self) -> tuple[str, ...]:
        """Where to keep this value, as the parts of a path: by version when it has one, else by `identifier()`.

        A value that has a version is the same whichever run makes it, so it is kept once for all of them.
        """
        if self.version is None:
            return self.identifier()
        return ("versions", self.step, self.name, self.version)


@dataclass
class InputContext:
    """Given to `IOManager.load_input`: which input of which step wants the value of `upstream_output`.

    `type` is the annotation of the input, so that a manager can load what the step asks for.
    """

    upstream_output: OutputContext
    name: str = "test"
    step: str = "test"
    run_id: str = "test"
    pipeline: str = "test"
    type: Any = None
    config: Any = None
    resources: Resources = field(default_factory=Resources)
    log: logging.Logger = field(default_factory=silent_logger)

    def __post_init__(self) -> None:
        self.resources = _as_resources(self.resources)

    @property
    def metadata(self) -> Mapping[str, Any]:
        return self.upstream_output.metadata
