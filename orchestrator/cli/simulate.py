"""`orchestrator simulate`: what schedules and sensors would do, before they do it. Virtual time is known to
`simulation` only.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.completers import automation_names
from orchestrator.cli.options import Json, single, workspace
from orchestrator.cli.output import say
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.simulation.downtime import Span
    from orchestrator.simulation.simulate import Simulation

app = single()
_WAYS = "Write 2026-03-29, 2026-03-29T01:00+01:00, or +7d for that much later."


@app.command(
    epilog="Example: orchestrator simulate --from 2026-03-27 --to 2026-03-30 --asleep 2026-03-28T18:00Z..+14h"
    " --set-on nightly"
)
def simulate(
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="From when on, everything before dealt with; by default from now."),
    ] = None,
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="Until when; +7d is from the beginning on.")] = "+7d",
    asleep: Annotated[
        list[str] | None, typer.Option(metavar="A..B", help="The machine is off or asleep then; may be repeated.")
    ] = None,
    set_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="As if this schedule or sensor were turned on then; may be repeated.",
            autocompletion=lambda: [*automation_names(schedules=True), *automation_names(schedules=False)],
        ),
    ] = None,
    run_duration: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="How long each run takes; by default as recorded for its pipeline, else 0."),
    ] = None,
    sensors: Annotated[
        bool, typer.Option("--sensors", help="Sensors too, asked for real: they see the world as it is today.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="List every tick, not only what is worth a look.")] = False,
    json: Json = False,
) -> int:
    """Show what schedules would do: around a clock change, after a weekend asleep, over a year.

    The real decisions against a clock that is set, on a copy of the state: nothing is run and nothing is changed.
    Times without an offset are UTC."""
    import gc

    from orchestrator import clock
    from orchestrator.cli.simulate_view import show
    from orchestrator.simulation.simulate import Options, Simulation

    now = clock.now()
    begin = _moment("--from", start or "+0s", now, now)
    until = _moment("--to", end, now, begin)
    if until <= begin:
        raise UsageError(f"--to ({_written(until)}) is not after --from ({_written(begin)}).", hint=_WAYS)
    options = Options(
        start=begin,
        end=until,
        now=now,
        is_from_now=start is None,
        asleep=tuple(_span(text, now, begin) for text in asleep or ()),
        set_on=tuple(set_on or ()),
        run_duration=_duration(run_duration),
        sensors=sensors,
    )
    gc.disable()  # a year makes millions of records and no cycles among them; looking for some doubles the time
    with workspace() as found:
        simulation = Simulation(found, options)
        try:
            show(simulation, everything=everything, json=json)
            return _missing(simulation)
        finally:
            simulation.close()


def _missing(simulation: Simulation) -> int:
    """Says which locations are missing, and what with them; the exit code."""
    code = 0
    for name, error in simulation.broken.items():
        lost = [one.id for one in simulation.automations if one.location == name and one.gone_at is None]
        what = ", ".join(lost) or "whatever it defines"
        say(f"warning: {str(error).splitlines()[0]}\nMissing here, and known of it: {what}.")
        code = max(code, error.exit_code)
    return code


def _moment(option: str, text: str, now: datetime, base: datetime) -> datetime:
    from orchestrator.clock import parse_moment

    try:
        return parse_moment(text, now=now, base=base)
    except ValueError:
        raise UsageError(f"{option}: {text!r} is not a time.", hint=_WAYS) from None


def _span(text: str, now: datetime, begin: datetime) -> Span:
    first, dots, last = text.partition("..")
    if not dots or not first or not last:
        raise UsageError(
            f"--asleep: {text!r} is no span of time.",
            hint="Write from..to, like 2026-03-28T18:00Z..2026-03-29T08:00Z; +1d..+8h is eight hours from tomorrow.",
        )
    start = _moment("--asleep", first, now, begin)
    end = _moment("--asleep", last, now, start)
    if end <= start:
        raise UsageError(f"--asleep: {text!r} ends before it begins.")
    return start, end


def _duration(text: str | None) -> timedelta | None:
    from orchestrator.clock import parse_duration

    if text is None:
        return None
    try:
        return timedelta(seconds=parse_duration(text))
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--run-duration: {error}.") from None


def _written(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M}Z"
