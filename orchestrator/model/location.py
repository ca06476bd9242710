"""What a code location defines, and what in it is broken."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from orchestrator.model.automation import ScheduleInfo, SensorInfo


class PipelineInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """What there is to know of a pipeline without planning a run of it."""

    name: str
    description: str | None = None
    modes: tuple[str, ...] = ()
    presets: tuple[str, ...] = ()
    steps: int = 0
    tags: dict[str, str] = {}
    where: str = ""
    executors: dict[str, str] = {}  # by mode, where a mode names one


class BrokenInfo(msgspec.Struct, frozen=True):
    """A definition that cannot be right, in a module whose others can be used."""

    kind: str  # step, pipeline, schedule, sensor, resource, "IO manager" or hook
    name: str
    error: str
    hint: str | None = None

    @property
    def is_automation(self) -> bool:
        """Whether it is a schedule or a sensor: names of other kinds are names of other things."""
        return self.kind in ("schedule", "sensor")


def distinct_errors(broken: Iterable[BrokenInfo]) -> list[BrokenInfo]:
    """The first definition with each error, in order: a pipeline of a broken step has the error of that step."""
    firsts: dict[str, BrokenInfo] = {}
    for one in broken:
        firsts.setdefault(one.error, one)
    return list(firsts.values())


class LocationInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a location defines."""

    pipelines: tuple[PipelineInfo, ...] = ()
    schedules: tuple[ScheduleInfo, ...] = ()
    sensors: tuple[SensorInfo, ...] = ()
    broken: tuple[BrokenInfo, ...] = ()
