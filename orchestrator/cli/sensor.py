"""`orchestrator sensor`: what watches the outside world. When one looks, and at what, is not known here."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.automations import forget_one, show_list, show_ticks, switch, with_one
from orchestrator.cli.completers import automation_names
from orchestrator.cli.options import EveryOne, FollowLogs, Json, Tail, TickId, TickLimit, TickStates, group
from orchestrator.cli.output import print_json, put
from orchestrator.errors import NotPossible, UsageError

app = group("Turn sensors on and off, look at their ticks, cursors, keys and failed alerts.")

_complete = lambda: automation_names(schedules=False)  # noqa: E731
Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="Which; each a name, or location/name.", autocompletion=_complete),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name, or location/name.", autocompletion=_complete)]
FailedRun = Annotated[
    str | None, typer.Argument(metavar="RUN-ID", help="Only the alert about this run: its id, or a beginning of it.")
]
OptionalName = Annotated[str | None, typer.Argument(metavar="NAME", help="Only this one.", autocompletion=_complete)]


@app.command("list", epilog="Example: orchestrator sensor list")
def list_(json: Json = False) -> int:
    """List the sensors: on or off, when they look next, what they saw last."""
    return show_list(schedules=False, json=json)


@app.command(epilog="Example: orchestrator sensor start new_files")
def start(names: Names = None, everyone: EveryOne = False, json: Json = False) -> int:
    """Turn sensors on."""
    return switch(names, everyone, on=True, schedules=False, json=json)


@app.command(epilog="Example: orchestrator sensor stop new_files")
def stop(names: Names = None, everyone: EveryOne = False, json: Json = False) -> int:
    """Turn sensors off. They keep their cursors and keys."""
    return switch(names, everyone, on=False, schedules=False, json=json)


@app.command(epilog="Example: orchestrator sensor ticks --tail")
def ticks(
    name: OptionalName = None, status: TickStates = None, limit: TickLimit = 20, tail: Tail = False, json: Json = False
) -> None:
    """List what came of each look, the newest first; with --tail, live."""
    show_ticks(name, status or [], limit, schedules=False, follow=tail, json=json)


@app.command(epilog="Example: orchestrator sensor logs alert --follow")
def logs(
    name: OptionalName = None,
    tick: TickId = None,
    follow: FollowLogs = False,
    limit: TickLimit = 20,
    json: Json = False,
) -> None:
    """Print what sensors and alerts printed and logged when they were evaluated, and why they failed."""
    from orchestrator.cli.tick_logs import show_logs

    show_logs(name, tick, limit, schedules=False, follow=follow, json=json)


@app.command(epilog="Example: orchestrator sensor deliveries alert")
def deliveries(name: OptionalName = None, json: Json = False) -> None:
    """List the alerts that have failed and not got through: of which run, why, and when each is tried again."""
    from orchestrator.cli.deliveries import show_deliveries

    show_deliveries(name, json=json)


@app.command(epilog="Example: orchestrator sensor retry alert 7k2m")
def retry(name: Name, run: FailedRun = None, json: Json = False) -> None:
    """Try failed alerts again now, also those that were given up: all of a sensor, or the one about a run."""
    from orchestrator.cli.deliveries import retry_alerts

    retry_alerts(name, run, json=json)


@app.command(epilog="Example: orchestrator sensor acknowledge alert 7k2m")
def acknowledge(name: Name, run: FailedRun = None, json: Json = False) -> None:
    """Dismiss failed alerts, all of a sensor or the one about a run: they are not tried again."""
    from orchestrator.cli.deliveries import acknowledge_alerts

    acknowledge_alerts(name, run, json=json)


@app.command(epilog="Example: orchestrator sensor preview new_files")
def preview(name: Name, json: Json = False) -> int:
    """Ask a sensor once what it would run. Nothing is run and nothing is written down."""
    from orchestrator.cli.preview import show_preview

    return show_preview(name, schedules=False, at=None, json=json)


@app.command(epilog="Example: orchestrator sensor cursor new_files --clear")
def cursor(
    name: Name,
    set_: Annotated[str | None, typer.Option("--set", metavar="CURSOR", help="Give it this cursor.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Have it start from the beginning.")] = False,
    json: Json = False,
) -> None:
    """Show how far a sensor has got, or change that."""
    from orchestrator.service.automations import set_cursor

    if set_ is not None and clear:
        raise UsageError("Give --set or --clear, not both.")
    if set_ is None and not clear:
        one = with_one(name, schedules=False, act=lambda _store, _one: None, only_reads=True)
        print_json({"name": one.id, "cursor": one.cursor}) if json else put(one.cursor or "")
        return
    one = with_one(name, schedules=False, act=lambda store, one: set_cursor(store, one, set_))
    if json:
        print_json({"name": one.id, "cursor": set_})
    else:
        put(f"{name} starts from the beginning." if clear else f"{name} continues from there.")


@app.command(epilog="Example: orchestrator sensor forget new_files 2026-11-01.csv")
def forget(
    name: Name,
    key: Annotated[str | None, typer.Argument(metavar="KEY", help="A run key, to make it usable again.")] = None,
    json: Json = False,
) -> None:
    """Make a run key usable again; without a key, forget a sensor whose definition is gone."""
    from orchestrator.service.automations import free_key

    if key is None:
        try:
            forget_one(name, schedules=False, json=json)
        except NotPossible as error:
            raise NotPossible(error.message, hint="Name the run key that is to be usable again.") from None
        return
    one = with_one(name, schedules=False, act=lambda store, one: free_key(store, one, key))
    if json:
        print_json({"name": one.id, "forgotten_key": key})
        return
    put(f"The next time {name} asks for {key!r}, it runs.")
