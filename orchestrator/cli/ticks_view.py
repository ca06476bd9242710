"""Ticks in tables, and the live view of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from orchestrator.cli.output import Cell, table
from orchestrator.cli.runs_view import ago
from orchestrator.cli.styles import BLUE, BOLD, DIM, GREEN, RED, YELLOW
from orchestrator.clock import format_duration
from orchestrator.cron import load_zone
from orchestrator.states import TickState
from orchestrator.ticks import Instigator, ScheduleInfo, Tick

TICK_STYLES: dict[TickState, tuple[str, str]] = {
    TickState.STARTED: ("▸", BLUE),
    TickState.SUCCESS: ("✓", GREEN),
    TickState.SKIPPED: ("·", DIM),
    TickState.FAILURE: ("✗", RED),
    TickState.MISSED: ("−", YELLOW),
}


def tick_table(ticks: Sequence[Tick], now: datetime) -> str:
    """One line a tick."""
    return table(["", "WHEN", "NAME", "STATUS", "FOR", "TOOK", "WHAT"], [_row(tick, now) for tick in ticks])


def tick_line(tick: Tick) -> str:
    """One tick on one line, for a log."""
    symbol, _ = TICK_STYLES[tick.status]
    at = tick.at.isoformat(timespec="seconds").replace("+00:00", "Z")
    scheduled = f" for {tick.scheduled_at:%Y-%m-%d %H:%M}Z" if tick.scheduled_at else ""
    return f"{at} {symbol} {tick.status:<7} {tick.name}{scheduled}  {what(tick)}".rstrip()


def what(tick: Tick) -> str:
    """What came of a tick, in a few words."""
    if tick.error:
        return tick.error.strip().splitlines()[-1]
    if tick.run_ids:
        more = f" and {len(tick.run_ids) - 3} more" if len(tick.run_ids) > 3 else ""
        return f"{len(tick.run_ids)} run{'s' if len(tick.run_ids) > 1 else ''}: {', '.join(tick.run_ids[:3])}{more}"
    return tick.skip_reason or ""


def timeline(ticks: Sequence[Tick], length: int) -> list[tuple[str, str]]:
    """(symbol, colour) of the newest ticks, oldest first: legible without colour too."""
    newest = sorted(ticks, key=lambda tick: tick.at)[-length:]
    return [TICK_STYLES[tick.status] for tick in newest]


def instigator_table(
    instigators: Sequence[Instigator], latest: dict[str, Tick], upcoming: dict[str, datetime], now: datetime
) -> str:
    """Schedules or sensors with what they did last and do next."""
    rows = [_instigator_row(one, latest.get(one.id), upcoming.get(one.id), now) for one in instigators]
    return table(["NAME", "STATE", "WHEN", "NEXT", "LAST", "PIPELINE"], rows)


def local(instant: datetime, timezone: str) -> str:
    """An instant as the clocks of a zone show it, with the offset."""
    return instant.astimezone(load_zone(timezone)).strftime("%a %Y-%m-%d %H:%M %z")


def until(instant: datetime, now: datetime) -> str:
    seconds = (instant - now).total_seconds()
    return f"in {format_duration(seconds)}" if seconds > 0 else "now"


def _row(tick: Tick, now: datetime) -> list[object]:
    symbol, colour = TICK_STYLES[tick.status]
    scheduled = f"{tick.scheduled_at:%m-%d %H:%M}Z" if tick.scheduled_at else ""
    took = format_duration(tick.duration_s) if tick.duration_s else ""
    status = Cell(tick.status, colour)
    return [Cell(symbol, colour), ago(tick.at, now), Cell(tick.name, BOLD), status, scheduled, took, what(tick)]


def _instigator_row(one: Instigator, last: Tick | None, next_at: datetime | None, now: datetime) -> list[object]:
    declared = one.declared
    state = Cell("on", GREEN) if one.is_on else Cell("off", DIM)
    if one.gone_at is not None:
        state = Cell("gone, still on" if one.is_on else "gone", YELLOW)
    if isinstance(declared, ScheduleInfo):
        when = f"{declared.cron} {declared.timezone}"
        shown_next = local(next_at, declared.timezone) if next_at else ""
    else:
        when = f"every {format_duration(declared.interval)}" if declared else ""
        shown_next = until(next_at, now) if next_at else ""
    shown_last: object = ""
    if last is not None:
        symbol, colour = TICK_STYLES[last.status]
        shown_last = Cell(f"{symbol} {last.status.lower()} {ago(last.at, now)}", colour)
    pipeline = (declared.pipeline if declared else None) or ""
    return [Cell(one.id, BOLD), state, when, shown_next if one.is_on else "", shown_last, pipeline]
