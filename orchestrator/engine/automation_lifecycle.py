"""Decides what is remembered of a schedule or sensor that is new, turned on or off, edited, removed or back. Pure."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from orchestrator.model.automation import Automation, Declared, Kind, ScheduleInfo, automation_id


def as_declared(remembered: Automation | None, location: str, declared: Declared, now: datetime) -> Automation:
    """What is remembered of a definition once it was seen as it is now: new, back, edited, or itself if it is none of
    these."""
    if remembered is None:
        return first_seen(location, declared, now)
    if remembered.gone_at is not None:
        return returned(remembered, declared, now)
    return remembered if remembered.declared == declared else on_change(remembered, declared, now)


def first_seen(location: str, declared: Declared, now: datetime) -> Automation:
    """What is remembered of a definition from the moment it is first seen."""
    return Automation(
        id=automation_id(location, declared.name),
        location=location,
        name=declared.name,
        kind=kind_of(declared),
        is_on=declared.default_on,
        changed_at=now,
        since=now if declared.default_on else None,
        declared=declared,
    )


def turn_on(remembered: Automation, now: datetime) -> Automation:
    """On from this moment, inclusive. The time it was off is never made up."""
    return replace(
        remembered, is_on=True, changed_at=now, since=now, since_inclusive=True, ahead=(), failures=0, replaces=None
    )


def turn_off(remembered: Automation, now: datetime) -> Automation:
    """Off from this moment. Its cursor and its keys stay."""
    return replace(remembered, is_on=False, changed_at=now, since=None, since_inclusive=True, ahead=(), replaces=None)


def on_change(remembered: Automation, declared: Declared, now: datetime) -> Automation:
    """The definition was edited. Another cron or zone counts from now; everything else is kept."""
    before = remembered.declared
    after = replace(remembered, declared=declared, kind=kind_of(declared))
    other_times = (
        isinstance(declared, ScheduleInfo)
        and isinstance(before, ScheduleInfo)
        and (before.cron, before.timezone) != (declared.cron, declared.timezone)
    )
    if kind_of(declared) != remembered.kind:
        return replace(after, cursor=None, since=now if remembered.is_on else None, since_inclusive=True, ahead=())
    if other_times and remembered.is_on:
        return replace(after, since=now, since_inclusive=True, ahead=())
    return after


def gone(remembered: Automation, now: datetime) -> Automation:
    """Its location no longer has it."""
    return replace(remembered, gone_at=now)


def returned(remembered: Automation, declared: Declared, now: datetime) -> Automation:
    """Its location has it again: it counts from now."""
    back = replace(remembered, gone_at=None, declared=declared, kind=kind_of(declared))
    return replace(back, since=now, since_inclusive=True, ahead=()) if back.is_on else back


def kind_of(declared: Declared) -> Kind:
    return "schedule" if isinstance(declared, ScheduleInfo) else declared.kind
