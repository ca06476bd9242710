"""Recognizes a schedule or sensor that was renamed: one is gone, and another one does the same. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from orchestrator.model.automation import Automation, Declared, ScheduleInfo


def successor_of(gone: Automation, everything: Iterable[Automation]) -> Automation | None:
    """What a definition that is gone seems to be called now; None when there is nothing like it, or several."""
    found = [one for one in everything if one.gone_at is None and is_renamed(gone, one)]
    return found[0] if len(found) == 1 else None


def predecessor_of(one: Automation, everything: Iterable[Automation]) -> Automation | None:
    """What was on, is gone, and seems to have been the name of this one until now; None when there is nothing like it,
    or several."""
    found = [other for other in everything if other.is_on and other.gone_at is not None and is_renamed(other, one)]
    return found[0] if len(found) == 1 else None


def is_renamed(before: Automation, after: Automation) -> bool:
    """Whether both do the same: another name in the same location, or the same name in another one."""
    if before.id == after.id or before.declared is None or after.declared is None:
        return False
    is_near = before.location == after.location or before.name == after.name
    return is_near and _what_it_does(before.declared) == _what_it_does(after.declared)


def take_over(after: Automation, before: Automation) -> Automation:
    """The new name with what is remembered under the old one, as far as it has not begun by itself. An ordinary sensor
    keeps its keys under its name, so its cursor stays with them."""
    has_place = before.kind == after.kind in ("asset_sensor", "run_status_sensor")
    cursor = before.cursor if has_place and after.cursor is None else after.cursor
    return replace(after, cursor=cursor, replaces=None if after.is_on else before.id)


def _what_it_does(declared: Declared) -> tuple[Any, ...]:
    if isinstance(declared, ScheduleInfo):
        return declared.pipeline, declared.cron, declared.timezone
    return (
        declared.kind,
        declared.pipeline,
        declared.interval,
        declared.assets,
        declared.read,
        declared.statuses,
        declared.pipelines,
    )
