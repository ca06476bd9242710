"""Schedules and sensors: finding them, turning them on and off, forgetting them. The daemon is told by the store. Asks
none of them anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec.structs import replace

from orchestrator.engine import due
from orchestrator.errors import NotFound, NotPossible, UsageError, near_misses
from orchestrator.operations import positions
from orchestrator.operations.workspace import LoadedLocation, Workspace, broken_locations, load_locations
from orchestrator.store.instigators import forget_instigator, forget_key, list_instigators, save_instigators
from orchestrator.store.session import Store
from orchestrator.ticks import Declared, Instigator, ScheduleInfo, SensorInfo, instigator_id


def known(workspace: Workspace, store: Store, now: datetime) -> list[Instigator]:
    """Everything that is declared now or remembered from before, by id. A definition that the daemon has not seen yet
    is as it will be when it does."""
    return reconciled(load_locations(workspace), store(list_instigators), now)


def reconciled(locations: Sequence[LoadedLocation], stored: Sequence[Instigator], now: datetime) -> list[Instigator]:
    """What is remembered, brought in step with what loaded locations declare."""
    remembered = {one.id: one for one in stored}
    found = dict(remembered)
    for location, declared in _declared(locations):
        id = instigator_id(location, declared.name)
        found[id] = due.as_declared(remembered.get(id), location, declared, now)
    loaded = {location.name for location in locations if location.error is None}
    ids = {instigator_id(location, declared.name) for location, declared in _declared(locations)}
    broken = {location.name for location in locations if location.error is not None}
    for id, one in list(found.items()):
        if id not in ids and one.gone_at is None and (one.location in loaded or one.location not in broken):
            found[id] = due.gone(one, now)
    return [found[id] for id in sorted(found)]


def pick(workspace: Workspace, everything: Sequence[Instigator], name: str, *, schedules: bool) -> Instigator:
    """The one called `name`, or `location/name`. Raises NotFound, saying which are near, and which locations are
    broken: it may be in one of those."""
    right = [one for one in everything if (one.kind == "schedule") == schedules]
    found = [one for one in right if name in (one.name, one.id)]
    kind = "schedule" if schedules else "sensor"
    if len(found) == 1:
        return found[0]
    if found:
        raise NotFound(
            f"Several locations have a {kind} {name!r}.", hint=f"Say which: {' or '.join(one.id for one in found)}."
        )
    broken = broken_locations(workspace)
    hint = near_misses(name, [one.name for one in right], kind)
    if broken and not right:
        hint = "See what is wrong there: orchestrator config check"
    raise NotFound(f"There is no {kind} {name!r}.", hint=hint, details=broken)


def turn_on(store: Store, one: Instigator, now: datetime) -> Instigator:
    """Turns it on from this moment. Raises NotPossible when it is on, or its definition is gone."""
    if one.is_on and one.gone_at is None:
        raise NotPossible(f"{one.id} is on already.")
    if one.gone_at is not None:
        raise NotPossible(
            f"{one.id} is not defined any more.", hint="Bring its definition back, or `forget` it for good."
        )
    after = due.turn_on(one, now)
    if after.cursor is None and isinstance(one.declared, SensorInfo):
        after = replace(after, cursor=positions.beginning(store, one.declared))
    store(save_instigators, [after])
    return after


def turn_off(store: Store, one: Instigator, now: datetime) -> Instigator:
    """Turns it off; what it has started goes on. Raises NotPossible when it is off."""
    if not one.is_on:
        raise NotPossible(f"{one.id} is off already.")
    after = due.turn_off(one, now)
    store(save_instigators, [after])
    return after


def set_cursor(store: Store, one: Instigator, cursor: str | None) -> None:
    """Gives a sensor another cursor, or none. Raises UsageError when it would not understand it."""
    if cursor is not None and one.kind != "sensor" and positions.read(cursor) is None:
        example = positions.written({positions.ENDINGS: 12} if one.kind == "run_status_sensor" else {"orders": 12})
        raise UsageError(f"{one.id} cannot go by the cursor {cursor!r}.", hint=f"Its cursors look like {example}.")
    store(save_instigators, [replace(one, cursor=cursor)])


def forget(store: Store, one: Instigator) -> None:
    """Forgets a definition that is gone. Raises NotPossible when it is not."""
    if one.gone_at is None:
        raise NotPossible(f"{one.id} is still defined.", hint="Only what is gone can be forgotten.")
    store(forget_instigator, one.id)


def free_key(store: Store, one: Instigator, key: str) -> None:
    """Makes a run key usable again. Raises NotFound when it was never used."""
    if not store(forget_key, one.id, key):
        raise NotFound(f"{one.id} has never used the run key {key!r}.")


def next_instants(one: Instigator, now: datetime) -> list[datetime]:
    """When a schedule fires next: one instant, or none if it is no schedule."""
    return due.upcoming(one.declared, now, 1) if isinstance(one.declared, ScheduleInfo) else []


def _declared(locations: Iterable[LoadedLocation]) -> Iterable[tuple[str, Declared]]:
    for location in locations:
        if location.process is not None and location.process.loaded is not None:
            info = location.process.loaded.info
            yield from ((location.name, schedule) for schedule in info.schedules)
            yield from ((location.name, sensor) for sensor in info.sensors)
