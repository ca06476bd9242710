"""The decorators of schedules and sensors, with all their options. `automations` checks what an option may be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

from orchestrator.clock import Duration
from orchestrator.definitions.automations import (
    AssetSensorDefinition,
    RunStatusSensorDefinition,
    ScheduleDefinition,
    SensorDefinition,
)
from orchestrator.definitions.broken import defined, named_options
from orchestrator.definitions.pipeline import PipelineDefinition
from orchestrator.definitions.source_location import check_function
from orchestrator.definitions.values import AssetKey
from orchestrator.model.automation import DEFAULT_INTERVAL_S, DEFAULT_TIMEOUT_S

AssetName = str | list[str] | AssetKey
CatchUp = Literal["latest", "all", "none"]
Overlap = Literal["skip", "allow", "buffer_one", "buffer_all", "cancel_other"]
Start = Literal["now", "beginning"]
Status = Literal["SUCCESS", "FAILURE", "CANCELED"]


@named_options("schedule", "@schedule(cron='30 2 * * *', pipeline=...)")
def schedule(
    *,
    cron: str,
    pipeline: PipelineDefinition | str,
    timezone: str = "UTC",
    mode: str | None = None,
    catch_up: CatchUp | int = "latest",
    catch_up_window: Duration | None = "24h",
    overlap: Overlap = "skip",
    jitter: Duration = 0,
    timeout: Duration = DEFAULT_TIMEOUT_S,
    default_on: bool = False,
    tags: Mapping[str, object] | None = None,
    name: str | None = None,
    description: str | None = None,
) -> Callable[[Callable[..., Any]], ScheduleDefinition]:
    """Runs a pipeline at the instants of a cron expression.

    The function returns or yields configuration, RunRequests, a SkipReason, or nothing (a run without configuration).

    timezone: an IANA name, such as Europe/Berlin.
    catch_up: of the occurrences that were missed, run the "latest", "all", "none", or at most so many.
    catch_up_window: how far back missed occurrences are looked for; None for as far as they go.
    overlap: what to do while an earlier run goes on: "skip", "allow", "buffer_one", "buffer_all" or "cancel_other".
    jitter: starts each run up to that much later, always the same for one schedule.
    timeout: how long the function may take.
    default_on: whether it is on when it is first seen.

    Durations are seconds, or text such as "90s", "15m" or "24h".
    """
    return _decorator("schedule", ScheduleDefinition, locals())


@named_options("sensor", "@sensor(pipeline=...)")
def sensor(
    *,
    pipeline: PipelineDefinition | str | None = None,
    interval: Duration = DEFAULT_INTERVAL_S,
    timeout: Duration = DEFAULT_TIMEOUT_S,
    mode: str | None = None,
    default_on: bool = False,
    tags: Mapping[str, object] | None = None,
    name: str | None = None,
    description: str | None = None,
) -> Callable[[Callable[..., Any]], SensorDefinition]:
    """Asks a function every `interval` whether something is to be run.

    The function yields or returns RunRequests, a SkipReason, or nothing.

    interval: seconds, or text such as "5s" or "10m".
    timeout: how long the function may take.
    default_on: whether it is on when it is first seen.
    """
    return _decorator("sensor", SensorDefinition, locals())


@named_options("asset_sensor", "@asset_sensor(asset='orders', pipeline=...)")
def asset_sensor(
    *,
    asset: AssetName | Collection[AssetName],
    pipeline: PipelineDefinition | str | None = None,
    read: Literal["latest", "every"] = "latest",
    start: Start = "now",
    require: Literal["any", "all"] = "any",
    interval: Duration = DEFAULT_INTERVAL_S,
    timeout: Duration = DEFAULT_TIMEOUT_S,
    mode: str | None = None,
    default_on: bool = False,
    tags: Mapping[str, object] | None = None,
    name: str | None = None,
    description: str | None = None,
) -> Callable[[Callable[..., Any]], AssetSensorDefinition]:
    """Asks a function when assets were materialized: `def f(context, materialization)`.

    asset: a key, or a list of keys.
    read: "latest" (only the newest since the last look) or "every" (each, in order).
    start: from "now" on, or from the "beginning".
    require: with several assets, "any", or "all" of them new: the function then gets a dictionary of materializations
        by the name of the asset.

    The other options are those of `sensor`.
    """
    return _decorator("asset_sensor", AssetSensorDefinition, locals())


@named_options("run_status_sensor", "@run_status_sensor(status='FAILURE')")
def run_status_sensor(
    *,
    status: Status | Collection[Status] = "FAILURE",
    pipelines: PipelineDefinition | str | Collection[PipelineDefinition | str] = (),
    start: Start = "now",
    pipeline: PipelineDefinition | str | None = None,
    interval: Duration = DEFAULT_INTERVAL_S,
    timeout: Duration = DEFAULT_TIMEOUT_S,
    mode: str | None = None,
    default_on: bool = False,
    tags: Mapping[str, object] | None = None,
    name: str | None = None,
    description: str | None = None,
) -> Callable[[Callable[..., Any]], RunStatusSensorDefinition]:
    """Calls a function for each run that ends with a status: `def alert(context, run)`. For alerts.

    `pipelines` restricts it to those. Each run is delivered at least once: a function that raises, hangs or dies is
    called again about that run, with growing pauses, for three days. `context.delivery_key` is the same each time,
    `context.attempt` counts. It may give RunRequests. It does not get a run that it has requested itself, nor one
    that another alert has asked for because of such a run, and so on: alerts that react to each other come to an end.

    status: SUCCESS, FAILURE or CANCELED, or several of them.
    pipelines: only runs of these.
    start: from "now" on, or from the "beginning".

    The other options are those of `sensor`; `pipeline` is what a RunRequest without one asks for.
    """
    return _decorator("run_status_sensor", RunStatusSensorDefinition, locals())


def _decorator(kind: str, cls: Any, options: dict[str, Any]) -> Callable[[Callable[..., Any]], Any]:
    def make(function: Callable[..., Any]) -> Any:
        def define() -> Any:
            check_function(f"@{kind}", function)
            return cls(function, **options)

        return defined(kind, function, define, options["name"])

    return make
