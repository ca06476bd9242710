"""Finds schedules and sensors, turns them on and off, and forgets them. The daemon learns of it from the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from orchestrator import clock
from orchestrator.catalog.automations import forget_automation, forget_key, list_automations, save_automations
from orchestrator.catalog.deliveries import move_deliveries
from orchestrator.catalog.session import Store, open_store
from orchestrator.engine import automation_lifecycle, renames, schedule_decisions
from orchestrator.errors import (
    DefinitionError,
    ExecutionError,
    NotFound,
    NotPossible,
    OrchestratorError,
    UsageError,
    near_misses,
)
from orchestrator.model.automation import Automation, Declared, ScheduleInfo, SensorInfo, automation_id
from orchestrator.model.location import BrokenInfo
from orchestrator.runlog.deleted import Deleted, note_deleted
from orchestrator.service import cursors
from orchestrator.service.daemon import describe_daemon
from orchestrator.service.workspace import (
    LoadedLocation,
    StillLoading,
    Workspace,
    load_locations,
    location_of,
    unknown_locations,
)
from orchestrator.state_dir import unusable


class Known(Struct, frozen=True):
    """Schedules and sensors, declared or remembered, by id. `unknown` has a line for each location of which it is not
    known what it declares: it is broken, or is still loading. `exit_code` is that of the errors among those: a location
    that is still loading is no error."""

    everything: list[Automation]
    unknown: tuple[str, ...] = ()
    broken: tuple[tuple[str, BrokenInfo], ...] = ()  # definitions that cannot be right, each with its location
    exit_code: int = 0

    def of_kind(self, *, schedules: bool) -> list[Automation]:
        """Those that are schedules, or those that are not."""
        return [one for one in self.everything if (one.kind == "schedule") == schedules]


def look_up(workspace: Workspace, now: datetime, names: Sequence[str] = (), *, patience: float | None = None) -> Known:
    """All schedules and sensors. A running daemon knows them; without one locations are loaded, for no longer than
    `patience`, and before the store is opened: others may want that meanwhile. The store is waited for as long again.

    With `names` only these are needed: what the daemon does not know yet may have been written a moment ago.
    """
    told = _told_by_daemon(workspace)
    if told is not None:
        with open_store(workspace.state, patience=patience, tell=workspace.tell) as store:
            known = Known(store(list_automations), *told)
        if all(_is_among(known.everything, name) for name in names):
            return known
    locations = _load_for(workspace, names, patience)
    with open_store(workspace.state, patience=patience, tell=workspace.tell) as store:
        stored = store(list_automations)
    broken = tuple((location.name, one) for location in locations for one in location.broken())
    errors = (error for one in locations for error in one.errors() if not isinstance(error, StillLoading))
    code = max((error.exit_code for error in errors), default=0)
    return Known(reconciled(locations, stored, now), tuple(unknown_locations(locations)), broken, code)


def _told_by_daemon(workspace: Workspace) -> tuple[tuple[str, ...], tuple[tuple[str, BrokenInfo], ...], int] | None:
    """A line for each location that the daemon has not loaded, the broken definitions of the others, and the exit code
    of both; None when no daemon answers."""
    try:
        described = describe_daemon(workspace.state)["locations"]
    except OrchestratorError:
        return None
    missing = [one for one in described if one["state"] != "loaded"]
    lines = (str(one["error"] or f"Location {one['name']!r} is still loading.").split("\n")[0] for one in missing)
    broken = tuple((one["name"], BrokenInfo(**each)) for one in described for each in one.get("broken", ()))
    is_wrong = bool(broken) or any(one["state"] == "broken" for one in described)
    return tuple(lines), broken, DefinitionError.exit_code if is_wrong else 0


def _is_among(everything: Sequence[Automation], name: str) -> bool:
    return any(name in (one.name, one.id) for one in everything)


def _load_for(workspace: Workspace, names: Sequence[str], patience: float | None) -> list[LoadedLocation]:
    """The locations in which these names may be; the others count as not known."""
    wanted = {location_of(workspace, name) for name in names}
    if len(wanted) != 1 or None in wanted:

        def is_found(loaded: list[LoadedLocation]) -> bool:
            declared = {name for location, one in _declared(loaded) for name in (one.name, f"{location}/{one.name}")}
            return bool(names) and declared.issuperset(names)

        return load_locations(workspace, patience=patience, enough=is_found)
    (only,) = load_locations(workspace, wanted.pop(), patience=patience)
    others = [name for name in workspace.pool.specs if name != only.name]
    return [only, *(LoadedLocation(name, None, ExecutionError(f"Location {name!r} was not asked.")) for name in others)]


def reconciled(locations: Sequence[LoadedLocation], stored: Sequence[Automation], now: datetime) -> list[Automation]:
    """What is remembered, brought in step with what loaded locations declare."""
    remembered = {one.id: one for one in stored}
    found = dict(remembered)
    for location, declared in _declared(locations):
        id = automation_id(location, declared.name)
        found[id] = automation_lifecycle.as_declared(remembered.get(id), location, declared, now)
    loaded = {location.name for location in locations if location.error is None}
    ids = {automation_id(location, declared.name) for location, declared in _declared(locations)}
    ids |= {
        automation_id(location.name, one.name)
        for location in locations
        for one in location.broken()
        if one.is_automation
    }
    broken = {location.name for location in locations if location.error is not None}
    for id, one in list(found.items()):
        if id not in ids and one.gone_at is None and (one.location in loaded or one.location not in broken):
            found[id] = automation_lifecycle.gone(one, now)
    return [found[id] for id in sorted(found)]


def pick(known: Known, name: str, *, schedules: bool) -> Automation:
    """The one called `name`, or `location/name`. Raises NotFound, saying which are near, and of which locations it is
    not known what they declare: it may be in one of those."""
    right = known.of_kind(schedules=schedules)
    found = [one for one in right if name in (one.name, one.id)]
    kind = "schedule" if schedules else "sensor"
    if len(found) == 1:
        return found[0]
    if found:
        raise NotFound(
            f"Several locations have a {kind} {name!r}.", hint=f"Say which: {' or '.join(one.id for one in found)}."
        )
    for location, one in known.broken:
        if one.kind == kind and name in (one.name, automation_id(location, one.name)):
            raise DefinitionError(one.error, hint=one.hint)
    hint = near_misses(name, [one.name for one in right], kind)
    if known.unknown and not right:
        hint = "See what is wrong there: orchestrator config check"
    raise NotFound(f"There is no {kind} {name!r}.", hint=hint, details=known.unknown)


def turn_on(store: Store, one: Automation, now: datetime, everything: Sequence[Automation] = ()) -> Automation:
    """Turns it on from this moment; changes nothing when it is on. One that was renamed goes on where it was under its
    old name. Raises NotPossible when its definition is gone."""
    if one.is_on and one.gone_at is None:
        return one
    if one.gone_at is not None:
        raise NotPossible(
            f"{one.id} is not defined any more.", hint="Bring its definition back, or `forget` it for good."
        )
    after = automation_lifecycle.turn_on(one, now)
    renamed = renames.predecessor_of(one, everything)
    if renamed is not None:
        after = replace(renames.take_over(after, renamed), replaces=None)
        store(move_deliveries, renamed.id, after.id)
    if after.cursor is None and isinstance(one.declared, SensorInfo):
        after = replace(after, cursor=cursors.initial(store, one.declared))
    store(save_automations, [after])
    return after


def turn_off(store: Store, one: Automation, now: datetime) -> Automation:
    """Turns it off; what it has started goes on. Changes nothing when it is off."""
    if not one.is_on and one.replaces is None:
        return one
    after = automation_lifecycle.turn_off(one, now)
    store(save_automations, [after])
    return after


def set_cursor(store: Store, one: Automation, cursor: str | None) -> None:
    """Gives a sensor another cursor, or none. Raises UsageError when it would not understand it."""
    if cursor is not None and one.kind != "sensor" and cursors.decode(cursor) is None:
        example = cursors.encode({cursors.ENDINGS: 12} if one.kind == "run_status_sensor" else {"orders": 12})
        raise UsageError(f"{one.id} cannot go by the cursor {cursor!r}.", hint=f"Its cursors look like {example}.")
    store(save_automations, [replace(one, cursor=cursor)])


def forget(store: Store, one: Automation, everything: Sequence[Automation] = ()) -> Automation | None:
    """Forgets a definition that is gone, and returns what seems to be its new name if that is off. Failed alerts go to
    the new name, or are forgotten too. Raises NotPossible when it is not gone."""
    if one.gone_at is None:
        raise NotPossible(f"{one.id} is still defined.", hint="Only what is gone can be forgotten.")
    successor = renames.successor_of(one, everything)
    if successor is not None:
        after = renames.take_over(successor, one)
        store(save_automations, [after])
        store(move_deliveries, one.id, after.id)
    store(forget_automation, one.id)
    _log_forgotten(store, one, None)
    return successor if successor is not None and not successor.is_on else None


def free_key(store: Store, one: Automation, key: str) -> None:
    """Makes a run key usable again. Raises NotFound when it was never used."""
    if not store(forget_key, one.id, key):
        raise NotFound(f"{one.id} has never used the run key {key!r}.")
    _log_forgotten(store, one, key)


def _log_forgotten(store: Store, one: Automation, key: str | None) -> None:
    """Notes it outside the database too, so that a database that is made again does not use the key again."""
    try:
        note_deleted(store.state, [Deleted(clock.now(), automation=one.id, run_key=key)])
    except OSError as error:
        raise unusable(store.state.path, error) from error


def next_instants(one: Automation, now: datetime) -> list[datetime]:
    """When a schedule fires next: one instant, or none if it is no schedule."""
    return schedule_decisions.upcoming(one.declared, now, 1) if isinstance(one.declared, ScheduleInfo) else []


def _declared(locations: Iterable[LoadedLocation]) -> Iterable[tuple[str, Declared]]:
    for location in locations:
        if location.process is not None and location.process.loaded is not None:
            info = location.process.loaded.info
            yield from ((location.name, schedule) for schedule in info.schedules)
            yield from ((location.name, sensor) for sensor in info.sensors)
