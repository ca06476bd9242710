"""`orchestrator schedule`: shows and switches schedules."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from orchestrator.cli.automations import forget_one, show_list, show_ticks, switch, with_one
from orchestrator.cli.completers import automation_names, time_zones
from orchestrator.cli.options import EveryOne, FollowLogs, Json, Tail, TickId, TickLimit, TickStates, group
from orchestrator.cli.output import print_json, put, say
from orchestrator.errors import UsageError

app = group("Turn schedules on and off, look at their ticks and at what comes next.")

_complete = lambda: automation_names(schedules=True)  # noqa: E731
Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="Which; each a name, or location/name.", autocompletion=_complete),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name, or location/name.", autocompletion=_complete)]
OptionalName = Annotated[str | None, typer.Argument(metavar="NAME", help="Only this one.", autocompletion=_complete)]


@app.command("list", epilog="Example: orchestrator schedule list")
def list_(json: Json = False) -> int:
    """List the schedules: on or off, when they fire next, what they did last."""
    return show_list(schedules=True, json=json)


@app.command(epilog="Example: orchestrator schedule start nightly")
def start(names: Names = None, everyone: EveryOne = False, json: Json = False) -> int:
    """Turn schedules on, from this moment."""
    return switch(names, everyone, on=True, schedules=True, json=json)


@app.command(epilog="Example: orchestrator schedule stop nightly")
def stop(names: Names = None, everyone: EveryOne = False, json: Json = False) -> int:
    """Turn schedules off. The time they are off is never made up."""
    return switch(names, everyone, on=False, schedules=True, json=json)


@app.command(epilog="Example: orchestrator schedule ticks nightly --status MISSED")
def ticks(
    name: OptionalName = None, status: TickStates = None, limit: TickLimit = 20, tail: Tail = False, json: Json = False
) -> None:
    """List what became of each occurrence, the newest first."""
    show_ticks(name, status or [], limit, schedules=True, follow=tail, json=json)


@app.command(epilog="Example: orchestrator schedule logs nightly --follow")
def logs(
    name: OptionalName = None,
    tick: TickId = None,
    follow: FollowLogs = False,
    limit: TickLimit = 20,
    json: Json = False,
) -> None:
    """Print what schedules printed and logged when they were evaluated, and why they failed."""
    from orchestrator.cli.tick_logs import show_logs

    show_logs(name, tick, limit, schedules=True, follow=follow, json=json)


@app.command(
    "next", epilog="Example: orchestrator schedule next --cron '30 2 * * *' --timezone Europe/Berlin --count 5"
)
def next_(
    name: OptionalName = None,
    cron: Annotated[
        str | None, typer.Option(metavar="CRON", help="Any cron expression, instead of a schedule.")
    ] = None,
    timezone: Annotated[
        str, typer.Option(metavar="ZONE", help="The zone of --cron.", autocompletion=time_zones)
    ] = "UTC",
    start: Annotated[str | None, typer.Option("--from", metavar="TIME", help="From when on; now by default.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Until when.")] = None,
    count: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="How many; 10 unless --to says otherwise.")
    ] = None,
    json: Json = False,
) -> None:
    """Show when a schedule, or any cron expression, fires next, and what clock changes do to it."""
    from itertools import islice, takewhile

    from orchestrator import clock
    from orchestrator.cli.ticks_view import local
    from orchestrator.cron import instants_after, load_zone
    from orchestrator.cron_advice import warnings, zone_note
    from orchestrator.cron_expression import parse_cron

    cron, timezone = _expression(name, cron, timezone)
    try:
        first = instant_of(start) or clock.now()
        last = instant_of(end)
        found = instants_after(parse_cron(cron), load_zone(timezone), first, inclusive=start is not None)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if last is not None:
        found = takewhile(lambda instant: instant <= last, found)
    instants = list(islice(found, count or (10 if last is None else None)))
    occurrences = _described(instants, timezone)
    if json:
        print_json(occurrences)
        return
    for occurrence in occurrences:
        note = f"   {occurrence['note']}" if occurrence["note"] else ""
        put(f"{local(occurrence['at'], timezone)}   {occurrence['at']:%Y-%m-%d %H:%M}Z{note}")
    for warning in filter(None, (*warnings(cron), zone_note(timezone))):
        say(f"note: {warning}")


@app.command(epilog="Example: orchestrator schedule preview nightly --at 2026-03-29")
def preview(
    name: Name,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="For which instant; the next one by default.")] = None,
    json: Json = False,
) -> int:
    """Ask a schedule once what it would run. Nothing is run and nothing is written down."""
    from orchestrator.cli.preview import show_preview

    return show_preview(name, schedules=True, at=instant_of(at), json=json)


@app.command(epilog="Example: orchestrator schedule forget old_nightly")
def forget(name: Name, json: Json = False) -> None:
    """Forget a schedule whose definition is gone."""
    forget_one(name, schedules=True, json=json)


def instant_of(text: str | None) -> datetime | None:
    """An ISO date or time; without an offset it is UTC. Raises UsageError."""
    from orchestrator.clock import parse_instant

    if text is None:
        return None
    try:
        return parse_instant(text)
    except ValueError as error:
        raise UsageError(f"{error}.") from None


def _expression(name: str | None, cron: str | None, timezone: str) -> tuple[str, str]:
    from orchestrator.model.automation import Automation, ScheduleInfo

    if (name is None) == (cron is None):
        raise UsageError("Name a schedule, or give --cron; not both.")
    if cron is not None:
        return cron, timezone
    found: list[Automation] = []
    with_one(str(name), schedules=True, act=lambda _store, one: found.append(one), only_reads=True)
    declared = found[0].declared
    assert isinstance(declared, ScheduleInfo)
    return declared.cron, declared.timezone


def _described(instants: list[datetime], timezone: str) -> list[dict[str, Any]]:
    """Each instant with the local time it is shown as, and a note where the offset has changed since the one before."""
    from orchestrator.cron import load_zone

    zone = load_zone(timezone)
    described: list[dict[str, Any]] = []
    offset = None
    for instant in instants:
        here = instant.astimezone(zone)
        changed = offset is not None and here.utcoffset() != offset
        offset = here.utcoffset()
        note = "the clocks have changed" if changed else None
        described.append({"at": instant, "local": here.isoformat(), "note": note})
    return described
