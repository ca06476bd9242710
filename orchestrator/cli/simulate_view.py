"""How a simulation looks: a line for each schedule, then what is worth a look; every tick only when they are few or
asked for. A year of them is never in memory. Computes no tick.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from orchestrator.cli.output import Cell, painter, put, put_json, say, table
from orchestrator.cli.styles import BOLD, DIM, RED, YELLOW
from orchestrator.cli.ticks_view import TICK_STYLES, local, why_not_run
from orchestrator.clock import format_duration, format_instant
from orchestrator.cron_expression import parse_cron
from orchestrator.errors import summary_line
from orchestrator.model.automation import ScheduleInfo
from orchestrator.model.states import TickState
from orchestrator.model.tick import Requested
from orchestrator.simulation.clock_changes import ClockChange, changes_between, moved_by
from orchestrator.simulation.results import SimulatedTick
from orchestrator.simulation.simulate import Simulation

# Up to so many ticks are all listed without being asked for.
FEW = 40
# Lines of each kind of thing worth a look.
_MOST_LINES = 30
_HEADINGS = {
    TickState.SUCCESS: ("Made up for late", YELLOW),
    TickState.MISSED: ("Missed", YELLOW),
    TickState.SKIPPED: ("Skipped", BOLD),
    TickState.FAILURE: ("Failed", RED),
}


def show(simulation: Simulation, *, everything: bool, json: bool) -> None:
    """Carries the simulation out and prints it."""
    if json:
        _print_json(simulation.ticks())
    else:
        _print_for_people(simulation, everything)
    for note in simulation.notes:
        say(note)
    if not simulation.totals:
        say("Nothing is on that could do anything. Name what to treat as turned on: --set-on NAME")


def _print_json(ticks: Iterable[SimulatedTick]) -> None:
    """An array, one tick a line, as they come."""
    encode = msgspec.json.Encoder().encode
    before = "["
    for tick in ticks:
        put_json(f"{before}\n  {encode(tick).decode()}", end="")
        before = ","
    put_json("\n]" if before == "," else "[]")


def _print_for_people(simulation: Simulation, everything: bool) -> None:
    few: list[SimulatedTick] = []
    remarkable = _Remarkable(simulation.schedules)
    lines = _TickLines(simulation.schedules)
    for tick in simulation.ticks():
        if everything:
            put(lines.line(tick))
        elif simulation.wants_all:
            few.append(tick)
            simulation.wants_all = len(few) <= FEW
        remarkable.take(tick)
    if everything and simulation.totals:
        put()
    elif simulation.wants_all and few:
        put("\n".join(map(lines.line, few)) + "\n")
    put(_heading(simulation))
    if simulation.totals:
        put("\n" + _totals_table(simulation))
    for paragraph in (_clock_changes(simulation), *remarkable.paragraphs()):
        if paragraph:
            put("\n" + paragraph)
    if not simulation.wants_all and not everything:
        say("\nEvery tick: --all, or --json.")


def _heading(simulation: Simulation) -> str:
    options = simulation.options
    total = sum(totals.ticks for totals in simulation.totals.values())
    runs = sum(totals.runs for totals in simulation.totals.values())
    length = format_duration((options.end - options.start).total_seconds())
    asleep = "".join(
        f"\nAsleep from {_utc(start)} to {_utc(end)} ({format_duration((end - start).total_seconds())})."
        for start, end in options.asleep
    )
    return (
        f"From {_utc(options.start)} to {_utc(options.end)} ({length}):"
        f" {_counted(total, 'tick')}, {_counted(runs, 'run')}."
        f"{asleep}\n{_durations(simulation)}"
    )


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _durations(simulation: Simulation) -> str:
    given = simulation.options.run_duration
    if given is not None:
        return f"Each run is taken to last {format_duration(given.total_seconds())}."
    named = {}
    for id, declared in simulation.schedules.items():
        location = id.partition("/")[0]
        seconds = simulation.duration_of(location, declared.pipeline).total_seconds()
        if seconds:
            named[declared.pipeline] = format_duration(seconds)
    if not named:
        return "Runs are taken to last no time: none is recorded. Give --run-duration to see runs overlap."
    shown = ", ".join(f"{pipeline} {seconds}" for pipeline, seconds in list(named.items())[:5])
    return f"Runs are taken to last as recorded ({shown}{', ...' if len(named) > 5 else ''})."


def _totals_table(simulation: Simulation) -> str:
    rows = []
    for id, totals in simulation.totals.items():
        declared = simulation.schedules.get(id)
        when = f"{declared.cron} {declared.timezone}" if declared else "sensor"
        counts = [(totals.skipped, DIM), (totals.missed, YELLOW), (totals.failed, RED)]
        cells = [Cell(f"{count:,}", colour if count else DIM) for count, colour in counts]
        rows.append([Cell(id, BOLD), when, f"{totals.ticks:,}", f"{totals.runs:,}", *cells])
    return table(
        ["NAME", "WHEN", "TICKS", "RUNS", "SKIPPED", "MISSED", "FAILED"], rows, right=frozenset({2, 3, 4, 5, 6})
    )


# --- one tick ------------------------------------------------------------------------------------------------------


class _TickLines:
    """Ticks on a line each, schedules in their own time beside UTC."""

    def __init__(self, schedules: dict[str, ScheduleInfo]) -> None:
        self._schedules = schedules
        self._paint = painter()

    def line(self, tick: SimulatedTick) -> str:
        symbol, colour = TICK_STYLES[tick.status]
        instant = tick.scheduled_at or tick.at
        declared = self._schedules.get(tick.name)
        here = local(instant, declared.timezone if declared else "UTC")
        late = "" if tick.scheduled_at in (None, tick.at) else f", looked at {tick.at:%m-%d %H:%M}Z"
        status = self._paint(colour, f"{symbol} {tick.status.lower():<7}")
        name = self._paint(BOLD, tick.name)
        return f"{here}  {instant:%m-%d %H:%M}Z  {status}  {name}  {_what(tick)}{late}".rstrip()


def _what(tick: SimulatedTick) -> str:
    if tick.error:
        return summary_line(tick.error)
    if tick.requests:
        more = f" and {len(tick.requests) - 2} more" if len(tick.requests) > 2 else ""
        return f"{len(tick.requests)} run{'s' if len(tick.requests) > 1 else ''}{_told(tick.requests[:2])}{more}"
    return why_not_run(tick)


def _told(requests: Iterable[Requested]) -> str:
    described = []
    for request in requests:
        parts = [part for part in (request.pipeline, request.run_key) if part]
        if request.config:
            parts.append(_short(msgspec.json.encode(request.config).decode()))
        described.append(" ".join(parts))
    shown = ", ".join(one for one in described if one)
    return f": {shown}" if shown else ""


def _short(text: str, length: int = 60) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


# --- what is worth a look ------------------------------------------------------------------------------------------


class _Stretch(Struct):
    """Ticks of one schedule to which the same can be said."""

    name: str
    reason: str
    first: datetime
    last: datetime
    count: int = 1


class _Remarkable:
    """Gathers what did not simply run, in stretches."""

    def __init__(self, schedules: dict[str, ScheduleInfo]) -> None:
        self._schedules = schedules
        self._stretches: dict[str, dict[tuple[str, str], _Stretch]] = {heading: {} for heading, _ in _HEADINGS.values()}
        self._left_out = dict.fromkeys(self._stretches, 0)

    def take(self, tick: SimulatedTick) -> None:
        if tick.status is TickState.SUCCESS and not tick.is_late:
            return
        stretches = self._stretches[_HEADINGS[tick.status][0]]
        reason = self._reason(tick)
        instant = tick.scheduled_at or tick.at
        stretch = stretches.get((tick.name, reason))
        if stretch is not None:
            stretch.last, stretch.count = instant, stretch.count + 1
        elif len(stretches) < _MOST_LINES:
            stretches[tick.name, reason] = _Stretch(tick.name, reason, instant, instant)
        else:
            self._left_out[_HEADINGS[tick.status][0]] += 1

    def paragraphs(self) -> Iterator[str]:
        paint = painter()
        for heading, colour in _HEADINGS.values():
            stretches = self._stretches[heading].values()
            if not stretches:
                continue
            lines = [paint(colour, heading)]
            for one in stretches:
                when = self._local(one.name, one.first)
                if one.count > 1:
                    when = f"{one.count:,} times from {when} to {self._local(one.name, one.last)}"
                lines.append(f"  {paint(BOLD, one.name)}  {when}\n      {one.reason}")
            if self._left_out[heading]:
                lines.append(f"  ... and {self._left_out[heading]:,} more")
            yield "\n".join(lines)

    def _reason(self, tick: SimulatedTick) -> str:
        if tick.status is TickState.SUCCESS:
            return f"run at {self._local(tick.name, tick.at)}"
        if tick.error:
            return summary_line(tick.error)
        return tick.skip_reason or "no reason given"

    def _local(self, name: str, instant: datetime) -> str:
        return local(instant, self._schedules[name].timezone if name in self._schedules else "UTC")


# --- clock changes -------------------------------------------------------------------------------------------------


def _clock_changes(simulation: Simulation) -> str:
    """What happens on the days on which clocks change."""
    start, end = simulation.options.start, simulation.options.end
    zones = sorted({declared.timezone for declared in simulation.schedules.values()})
    changes = sorted((one for zone in zones for one in changes_between(zone, start, end)), key=lambda one: one.at)
    paint = painter()
    lines = [paint(BOLD, "Clock changes")] if changes else []
    for change in changes[:_MOST_LINES]:
        lines.append(f"  {_told_change(change)}")
        lines += _told_moves(change, simulation.schedules)
    if len(changes) > _MOST_LINES:
        lines.append(f"  ... and {len(changes) - _MOST_LINES} more")
    return "\n".join(lines)


def _told_change(change: ClockChange) -> str:
    before = (change.at + change.before).strftime("%H:%M")
    after = (change.at + change.after).strftime("%H:%M")
    way = "forward" if change.is_forward else "back"
    day = (change.at + change.before).strftime("%a %Y-%m-%d")
    offsets = f"{_offset(change.before)} to {_offset(change.after)}"
    return f"{day} {change.timezone}: at {before} the clocks go {way} to {after} ({offsets}), {change.at:%H:%M}Z"


def _told_moves(change: ClockChange, schedules: dict[str, ScheduleInfo]) -> Iterator[str]:
    moved, steady = 0, 0
    for id, declared in schedules.items():
        if declared.timezone != change.timezone:
            continue
        steady += parse_cron(declared.cron).is_real_time
        for instant in moved_by(change, declared):
            moved += 1
            if moved > _MOST_LINES:
                continue
            why = "its time does not exist that day" if change.is_forward else "its time comes twice; the second counts"
            yield f"    {id} ({declared.cron})  {local(instant, declared.timezone)}  {instant:%H:%M}Z  {why}"
    if moved > _MOST_LINES:
        yield f"    ... and {moved - _MOST_LINES} more"
    if steady:
        who = (
            f"{steady} schedules with a star in minute or hour follow"
            if steady > 1
            else ("1 schedule with a star in minute or hour follows")
        )
        yield f"    {who} the clock: what it skips is dropped, what it repeats runs twice"
    if not moved and not steady:
        yield "    no schedule has anything in that hour"


def _offset(offset: timedelta) -> str:
    minutes = int(offset.total_seconds()) // 60
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"


def _utc(instant: datetime) -> str:
    return format_instant(instant.replace(microsecond=0)).replace("T", " ")
