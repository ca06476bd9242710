"""Schedules and sensors as users write them: a decorator, checked at once, and the function behind it. When one is due,
and who asks it, is not known here.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from orchestrator.clock import seconds_of
from orchestrator.cron import load_zone
from orchestrator.cron_expression import parse_cron
from orchestrator.definitions.broken import BrokenDefinition
from orchestrator.definitions.pipeline import PipelineDefinition
from orchestrator.definitions.signature import CONTEXT_NAMES
from orchestrator.definitions.source_location import (
    Where,
    check_name,
    definition_error,
    where_is,
)
from orchestrator.definitions.step import check_tags
from orchestrator.definitions.values import AssetKey
from orchestrator.errors import DefinitionError, near_misses
from orchestrator.model.automation import DEFAULT_INTERVAL_S, DEFAULT_TIMEOUT_S, Declared, ScheduleInfo, SensorInfo
from orchestrator.model.states import TERMINAL_RUN_STATES, RunState

_CATCH_UP = ("latest", "all", "none")
_STARTS = ("now", "beginning")
_OVERLAP = ("skip", "allow", "buffer_one", "buffer_all", "cancel_other")


class AutomationDefinition:
    """A schedule or sensor: what it declares, and the function to ask. Calling it calls that function."""

    kind = "Automation"
    takes: tuple[str, ...] = ("context",)

    def __init__(self, function: Callable[..., Any], name: str | None, pipeline: Any, description: str | None) -> None:
        self.where: Where = where_is(function)
        self.name = check_name(self.kind.lower(), function.__name__ if name is None else name, self.where)
        self.function = function
        told = description if isinstance(description, str) else inspect.getdoc(function)
        self.description = (told or "").strip().split("\n")[0] or None
        self.pipeline = pipeline
        self.info: Declared
        self._check_pipeline()
        self._check_texts(description=description)
        self.takes_context = self._check_parameters()
        functools.update_wrapper(self, function, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}"

    __repr__ = __str__

    @property
    def pipeline_name(self) -> str | None:
        return self.pipeline.name if isinstance(self.pipeline, PipelineDefinition) else self.pipeline

    def check(self, pipelines: Mapping[str, PipelineDefinition], broken_pipelines: Collection[str] = ()) -> None:
        """Refuses a pipeline that its location does not have, or a mode that the pipeline does not have."""
        if self.pipeline_name is None:
            return
        if self.pipeline_name in broken_pipelines:
            raise self.definition_error(
                f"its pipeline {self.pipeline_name!r} is broken.", "Correct the pipeline first."
            )
        if self.pipeline_name not in pipelines:
            hint = near_misses(self.pipeline_name, pipelines, "pipeline")
            raise self.definition_error(
                f"its location has no pipeline {self.pipeline_name!r} as a module attribute.", hint
            )
        modes = pipelines[self.pipeline_name].modes
        if self.info.mode is not None and self.info.mode not in modes:
            hint = near_misses(self.info.mode, modes, "mode")
            raise self.definition_error(f"pipeline {self.pipeline_name!r} has no mode {self.info.mode!r}.", hint)

    def definition_error(self, problem: str, hint: str | None = None) -> Exception:
        return definition_error(str(self), self.where, problem, hint)

    def seconds(self, name: str, value: Any, *, least: float = 0.0, or_none: bool = False) -> Any:
        """The seconds of a duration (see `seconds_of`)."""
        if value is None and or_none:
            return None
        try:
            found = seconds_of(value)
        except ValueError:
            raise self.definition_error(
                f"{name}={value!r} is not a duration.", "Write seconds, text like '90s', '15m', '24h', or a timedelta."
            ) from None
        if found < least:
            raise self.definition_error(f"{name}={value!r} must be at least {least:g} seconds.")
        return found

    def _check_pipeline(self) -> None:
        if isinstance(self.pipeline, BrokenDefinition):
            raise self.definition_error(
                f"its pipeline {self.pipeline.name!r} is broken.", "Correct the pipeline first."
            )
        if self.pipeline is not None and not isinstance(self.pipeline, (PipelineDefinition, str)):
            raise self.definition_error(
                f"pipeline={self.pipeline!r} is not a pipeline.", "Give the pipeline itself, or its name."
            )

    def _check_texts(self, **given: Any) -> None:
        for option, value in given.items():
            if value is not None and not isinstance(value, str):
                raise self.definition_error(f"{option}={value!r} is not text.")

    def _check_parameters(self) -> bool:
        names = [p.name for p in inspect.signature(self.function).parameters.values() if p.default is p.empty]
        wanted = ", ".join(self.takes)
        alone = self.takes == ("context",)
        if len(names) != len(self.takes) if not alone else names and (len(names) > 1 or names[0] not in CONTEXT_NAMES):
            raise self.definition_error(
                f"its function takes ({', '.join(names)}).", f"Write `def {self.name}({wanted}):`."
            )
        return bool(names)


class ScheduleDefinition(AutomationDefinition):
    """A schedule."""

    kind = "Schedule"
    info: ScheduleInfo

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        cron: str,
        pipeline: Any,
        timezone: str = "UTC",
        name: str | None = None,
        mode: str | None = None,
        catch_up: str | int = "latest",
        catch_up_window: str | float | None = "24h",
        overlap: str = "skip",
        jitter: str | float = 0,
        timeout: str | float = DEFAULT_TIMEOUT_S,
        default_on: bool = False,
        tags: Mapping[str, object] | None = None,
        description: str | None = None,
    ) -> None:
        super().__init__(function, name, pipeline, description)
        if pipeline is None:
            raise self.definition_error("it names no pipeline.", "Add pipeline=...")
        if cron is None:
            raise self.definition_error(
                "it has no cron expression.", "Add cron='30 2 * * *', for every night at half past two."
            )
        self._check_texts(cron=cron, timezone=timezone, mode=mode)
        for check, value in ((parse_cron, cron), (load_zone, timezone)):
            try:
                check(value)
            except (ValueError, TypeError) as error:
                raise self.definition_error(str(error)) from None
        if isinstance(catch_up, bool) or not (catch_up in _CATCH_UP or (isinstance(catch_up, int) and catch_up > 0)):
            hint = "Give 'latest', 'all', 'none', or the most occurrences to run (1 or more)."
            raise self.definition_error(f"catch_up={catch_up!r} is not a policy.", hint)
        if overlap not in _OVERLAP:
            raise self.definition_error(
                f"overlap={overlap!r} is not a policy.", near_misses(str(overlap), _OVERLAP, "policy")
            )
        self.info = ScheduleInfo(
            name=self.name,
            cron=cron,
            timezone=timezone,
            pipeline=self.pipeline_name or "",
            mode=mode,
            catch_up=catch_up,  # type: ignore[arg-type]
            catch_up_window=self.seconds("catch_up_window", catch_up_window, least=1.0, or_none=True),
            overlap=overlap,  # type: ignore[arg-type]
            jitter=self.seconds("jitter", jitter),
            timeout=self.seconds("timeout", timeout, least=0.01),
            default_on=bool(default_on),
            tags=check_tags(tags, str(self), self.where),
            description=self.description,
            where=str(self.where),
        )


class SensorDefinition(AutomationDefinition):
    """A sensor of any kind."""

    kind = "Sensor"
    info: SensorInfo

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        pipeline: Any = None,
        name: str | None = None,
        mode: str | None = None,
        interval: str | float = DEFAULT_INTERVAL_S,
        timeout: str | float = DEFAULT_TIMEOUT_S,
        default_on: bool = False,
        tags: Mapping[str, object] | None = None,
        description: str | None = None,
        **special: Any,
    ) -> None:
        super().__init__(function, name, pipeline, description)
        self._check_texts(mode=mode)
        self.info = SensorInfo(
            name=self.name,
            pipeline=self.pipeline_name,
            mode=mode,
            interval=self.seconds("interval", interval, least=0.01),
            timeout=self.seconds("timeout", timeout, least=0.01),
            default_on=bool(default_on),
            tags=check_tags(tags, str(self), self.where),
            description=self.description,
            where=str(self.where),
            **special,
        )


class AssetSensorDefinition(SensorDefinition):
    """A sensor that is asked about new materializations of assets."""

    takes = ("context", "materialization")

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        asset: Any,
        read: str = "latest",
        start: str = "now",
        require: str = "any",
        **options: Any,
    ) -> None:
        keys = () if asset is None else asset if isinstance(asset, (list, set)) or asset == () else [asset]
        where = where_is(function)
        _check_choice(function, "read", read, ("latest", "every"))
        _check_choice(function, "start", start, _STARTS)
        _check_choice(function, "require", require, ("any", "all"))
        try:
            assets = tuple(AssetKey(key).parts for key in keys)
        except (DefinitionError, TypeError, ValueError) as error:
            raise definition_error(
                f"Sensor {function.__name__!r}", where, f"asset={asset!r} names no asset: {error}"
            ) from None
        if not assets:
            raise definition_error(f"Sensor {function.__name__!r}", where, "it names no asset.")
        super().__init__(
            function, kind="asset_sensor", assets=assets, read=read, start=start, require=require, **options
        )


class RunStatusSensorDefinition(SensorDefinition):
    """A sensor that is called for runs that have ended."""

    takes = ("context", "run")

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        status: str | Iterable[str] = "FAILURE",
        pipelines: Any = (),
        start: str = "now",
        **options: Any,
    ) -> None:
        wanted: list[Any] = list(status) if isinstance(status, (list, tuple, set, frozenset)) else [status]
        which = list(pipelines) if isinstance(pipelines, (list, tuple, set, frozenset)) else [pipelines]
        _check_choice(function, "start", start, _STARTS)
        if not wanted:
            raise definition_error(f"Sensor {function.__name__!r}", where_is(function), "it names no status.")
        for one in which:
            if not isinstance(one, (PipelineDefinition, str)):
                hint = "Give pipelines, or their names."
                raise definition_error(
                    f"Sensor {function.__name__!r}", where_is(function), f"{one!r} is not a pipeline.", hint
                )
        for one in wanted:
            if one not in TERMINAL_RUN_STATES:
                hint = near_misses(str(one), [str(state) for state in sorted(TERMINAL_RUN_STATES)], "status")
                raise definition_error(
                    f"Sensor {function.__name__!r}", where_is(function), f"status={one!r} ends no run.", hint
                )
        super().__init__(
            function,
            kind="run_status_sensor",
            statuses=tuple(RunState(one) for one in wanted),
            pipelines=tuple(one if isinstance(one, str) else one.name for one in which),
            start=start,
            **options,
        )


def _check_choice(function: Callable[..., Any], option: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        hint = near_misses(str(value), allowed, "choice")
        raise definition_error(
            f"Sensor {function.__name__!r}", where_is(function), f"{option}={value!r} is not a choice.", hint
        )
