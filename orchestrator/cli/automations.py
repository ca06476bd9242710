"""What `orchestrator schedule` and `orchestrator sensor` share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from orchestrator.cli.options import session_of, until_interrupted, workspace
from orchestrator.cli.output import print_json, put, say, whole
from orchestrator.errors import DaemonError, NotPossible, UsageError

if TYPE_CHECKING:
    from orchestrator.cli.ticks_live import Look
    from orchestrator.model.automation import Automation
    from orchestrator.service.automations import Known
    from orchestrator.service.session import Session
    from orchestrator.service.workspace import Workspace


def show_list(*, schedules: bool, json: bool) -> int:
    """Lists all schedules, or all sensors; the exit code is not 0 when some may be missing."""
    from orchestrator import clock
    from orchestrator.cli.ticks_view import automation_table
    from orchestrator.service.automations import look_up

    now = clock.now()
    with workspace(only_reads=True) as found:
        known = look_up(found, now)
        everything = known.of_kind(schedules=schedules)
        with session_of(found) as session:
            latest = {tick.name: tick for tick in session.latest_ticks()}
        upcoming = upcoming_of(found, everything, now)
        running = _daemon_runs(found)
    if json:
        print_json([_as_json(one, latest, upcoming) for one in everything])
    elif everything:
        put(automation_table(everything, latest, upcoming, now))
        if not running and any(one.is_on for one in everything):
            say("No daemon is running, so none of them does anything: orchestrator daemon start")
    elif not known.unknown and not known.broken:
        word = "@schedule" if schedules else "@sensor"
        say(f"None yet. Decorate a function with {word} in a module of the workspace.")
    _say_what_is_missing(known)
    return known.exit_code


def _say_what_is_missing(known: Known) -> None:
    from orchestrator.model.location import distinct_errors

    for problem in known.unknown:
        say(f"{problem} What is in it may be missing here." if known.everything else problem)
    for one in distinct_errors(one for _, one in known.broken):
        say(one.error)
    if known.exit_code:
        say("See what is wrong there: orchestrator config check")


def upcoming_of(found: Workspace, everything: list[Automation], now: datetime) -> dict[str, datetime]:
    """When each that is on comes next: as the daemon says, or, for schedules, as their cron does."""
    from orchestrator.service.automations import next_instants
    from orchestrator.service.daemon import describe_daemon

    upcoming = {}
    for one in everything:
        for instant in next_instants(one, now) if one.is_on else ():
            upcoming[one.id] = instant
    try:
        told = describe_daemon(found.state)["next"]
    except DaemonError:
        return upcoming
    ids = {one.id for one in everything}
    return upcoming | {one["id"]: datetime.fromisoformat(one["at"]) for one in told if one["id"] in ids}


def switch(names: list[str] | None, everyone: bool, *, on: bool, schedules: bool, json: bool) -> int:
    """Turns some, or all, on or off; the exit code. One that cannot be keeps none of the others from it."""
    from orchestrator import clock
    from orchestrator.cli.outcome import OK, error_json, show_error
    from orchestrator.service.automations import look_up, pick, turn_off, turn_on

    if bool(names) == everyone:
        raise UsageError("Name some, or say --all; not both.")
    now = clock.now()
    with workspace() as found:
        known = look_up(found, now, names or ())
        if everyone:
            chosen = [one for one in known.of_kind(schedules=schedules) if one.is_on != on]
            chosen = [one for one in chosen if not (on and one.gone_at)]
        else:
            chosen = [pick(known, name, schedules=schedules) for name in names or ()]
        done: list[tuple[Automation, bool]] = []
        refused: list[tuple[str, NotPossible]] = []
        with session_of(found) as session:
            for one in chosen:
                try:
                    after = turn_on(session, one, now, known.everything) if on else turn_off(session, one, now)
                except NotPossible as error:
                    refused.append((one.id, error))
                    continue
                done.append((after, one.is_on != on))
        running = _daemon_runs(found)
    if json:
        errors = [{"name": id, **error_json(refusal)} for id, refusal in refused]
        results = [_switched(after, now, changed) for after, changed in done]
        last = error_json(refused[-1][1]) if refused else None
        print_json({"results": results, "refused": errors, "daemon_running": running, "error": last})
    for after, changed in done if not json else ():
        already = "" if changed else " already"
        put(f"{after.id} is {'on' if on else 'off'}{already}.{_first(after, now) if on else ''}")
    if on and chosen and not running:
        say("No daemon is running, so nothing happens yet: orchestrator daemon start")
    for _, refusal in refused:
        show_error(refusal)
    return refused[-1][1].exit_code if refused else OK


def _switched(after: Automation, now: datetime, changed: bool) -> dict[str, Any]:
    from orchestrator.service.automations import next_instants

    next_at = next(iter(next_instants(after, now)), None) if after.is_on else None
    return {"name": after.id, "kind": after.kind, "on": after.is_on, "changed": changed, "next_at": next_at}


def show_ticks(name: str | None, status: list[str], limit: int, *, schedules: bool, follow: bool, json: bool) -> None:
    """The newest ticks, once or live."""
    from orchestrator import clock
    from orchestrator.cli.ticks_live import tail
    from orchestrator.cli.ticks_view import as_json, last_failure, tick_table
    from orchestrator.model.filters import TickFilter
    from orchestrator.service.automations import look_up, pick

    with workspace(only_reads=True) as found:
        known = look_up(found, clock.now(), [name] if name else ())
        one = pick(known, name, schedules=schedules) if name else None
        wanted = [one] if one else known.of_kind(schedules=schedules)
        kinds = ("schedule",) if schedules else ("sensor", "asset_sensor", "run_status_sensor")
        which = TickFilter(name=one.id if one else None, kinds=kinds, statuses=_states(status), limit=limit or None)

        if follow:
            with until_interrupted():
                tail(lambda seen: _look(found, wanted, which, seen), json=json)
            return
        with session_of(found) as session:
            ticks = session.ticks(which)
    now = clock.now()
    if json:
        print_json([as_json(tick) for tick in ticks])
    elif ticks:
        put(tick_table(ticks, now))
        if one is not None and (failure := last_failure(ticks, now)):
            put(f"\n{failure}")
    else:
        say("No ticks yet." if not status else "No ticks like that.")


def _look(found: Workspace, wanted: list[Automation], which: Any, seen: datetime | None) -> Look:
    """What is new since the newest tick seen, and how everything stands."""
    from msgspec.structs import replace

    from orchestrator import clock
    from orchestrator.cli.ticks_live import KEPT, OVERLAP, Look

    with session_of(found) as session:
        if seen is None:
            ticks = session.recent_ticks(which, KEPT)
        else:
            ticks = session.ticks(replace(which, since=seen - OVERLAP, limit=100_000))
        remembered = {one.id: one for one in session.automations()}
    current = [remembered.get(one.id, one) for one in wanted]
    return Look(tuple(ticks), tuple(current), upcoming_of(found, current, clock.now()))


def with_one(
    name: str, *, schedules: bool, act: Callable[[Session, Automation], None], only_reads: bool = False
) -> Automation:
    """Does something to one schedule or sensor; which one, as it was before."""
    from orchestrator import clock
    from orchestrator.service.automations import look_up, pick

    with workspace(only_reads=only_reads) as found:
        one = pick(look_up(found, clock.now(), [name]), name, schedules=schedules)
        with session_of(found) as session:
            act(session, one)
    return one


def forget_one(name: str, *, schedules: bool, json: bool) -> None:
    """Forgets a schedule or sensor whose definition is gone. Raises NotPossible when it is not gone."""
    from orchestrator import clock
    from orchestrator.service.automations import forget, look_up, pick

    with workspace() as found:
        known = look_up(found, clock.now(), [name])
        one = pick(known, name, schedules=schedules)
        with session_of(found) as session:
            undelivered = len(session.deliveries(one.id))
            renamed = forget(session, one, known.everything)
    if json:
        renamed_to = renamed.id if renamed is not None else None
        print_json({"forgotten": one.id, "alerts": undelivered, "renamed_to": renamed_to})
    else:
        put(f"{one.id} is forgotten.")
    if undelivered:
        alerts = "1 alert" if undelivered == 1 else f"{undelivered:,} alerts"
        say(f"With {alerts} that never got through." if renamed is None else f"{renamed.id} takes over {alerts}.")
    if renamed is not None:
        word, like = ("schedule", "has the same pipeline and cron") if schedules else ("sensor", "looks for the same")
        say(f"{renamed.id} is off and {like}. To turn it on: orchestrator {word} start {renamed.id}")


def _states(status: list[str]) -> tuple[Any, ...]:
    from orchestrator.errors import near_misses
    from orchestrator.model.states import TickState

    for one in status:
        if one.upper() not in TickState.__members__:
            raise UsageError(f"{one!r} is no state of a tick.", hint=near_misses(one.upper(), TickState, "state"))
    return tuple(TickState(one.upper()) for one in status)


def _first(one: Automation, now: datetime) -> str:
    from orchestrator.cli.ticks_view import local
    from orchestrator.model.automation import ScheduleInfo
    from orchestrator.service.automations import next_instants

    if not isinstance(one.declared, ScheduleInfo):
        return ""
    return "".join(f" First: {local(at, one.declared.timezone)}." for at in next_instants(one, now))


def _daemon_runs(found: Workspace) -> bool:
    from orchestrator.service.daemon import has_daemon

    return has_daemon(found.state)


def _as_json(one: Automation, latest: dict[str, Any], upcoming: dict[str, datetime]) -> dict[str, Any]:
    from orchestrator.cli.ticks_view import as_json

    last = latest.get(one.id)
    return {
        "name": one.id,
        "kind": one.kind,
        "on": one.is_on,
        "gone_at": one.gone_at,
        "next_at": upcoming.get(one.id),
        "last_tick": as_json(last) if last is not None else None,
        "failures": one.failures,
        "cursor": one.cursor,
        "definition": whole(one.declared),
    }
