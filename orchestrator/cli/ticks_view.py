"""Ticks in tables. Looks for none: they come in, here and in `ticks_live`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from orchestrator.cli.output import Cell, table, width
from orchestrator.cli.runs_view import ago
from orchestrator.cli.styles import BOLD, DIM, GREEN, RED, YELLOW
from orchestrator.clock import format_duration
from orchestrator.cron import load_zone
from orchestrator.errors import summary_line
from orchestrator.model.automation import Automation, ScheduleInfo
from orchestrator.model.states import TickState
from orchestrator.model.tick import Tick

# From this width on there is room for an instant as the clocks of its zone show it.
_WIDE = 110

TICK_STYLES: dict[TickState, tuple[str, str]] = {
    TickState.SUCCESS: ("✓", GREEN),
    TickState.SKIPPED: ("·", DIM),
    TickState.FAILURE: ("✗", RED),
    TickState.MISSED: ("−", YELLOW),
}


def tick_table(ticks: Sequence[Tick], now: datetime) -> str:
    """One line a tick."""
    is_scheduled = any(tick.scheduled_at for tick in ticks)
    headings = ["", "WHEN", "NAME", "STATUS", *(["FOR"] if is_scheduled else []), "TOOK", "WHAT"]
    return table(headings, [_row(tick, now, is_scheduled) for tick in ticks])


def last_failure(ticks: Sequence[Tick], now: datetime) -> str:
    """The whole of the newest failure and what was printed in it; empty when there is none."""
    failed = next((tick for tick in ticks if tick.error), None)
    if failed is None or not failed.error:
        return ""
    printed = f"\nIt printed:\n{failed.output.rstrip()}" if failed.output and failed.output.strip() else ""
    return f"The last failure, {ago(failed.at, now)}:\n{failed.error.rstrip()}{printed}"


def as_json(tick: Tick) -> dict[str, object]:
    """A tick as scripts get it."""
    return {name: getattr(tick, name) for name in tick.__struct_fields__}


def tick_line(tick: Tick) -> str:
    """One tick on one line, for a log."""
    symbol, _ = TICK_STYLES[tick.status]
    at = tick.at.isoformat(timespec="seconds").replace("+00:00", "Z")
    scheduled = f" for {tick.scheduled_at:%Y-%m-%d %H:%M}Z" if tick.scheduled_at else ""
    return f"{at} {symbol} {tick.status:<7} {tick.name}{scheduled}  {what(tick)}".rstrip()


def what(tick: Tick) -> str:
    """What came of a tick, in a few words."""
    if tick.error:
        about = f"run {tick.about_run}: " if tick.about_run else ""
        return about + summary_line(tick.error)
    if tick.run_ids:
        more = f" and {len(tick.run_ids) - 3} more" if len(tick.run_ids) > 3 else ""
        return f"{len(tick.run_ids)} run{'s' if len(tick.run_ids) > 1 else ''}: {', '.join(tick.run_ids[:3])}{more}"
    if tick.about_run and not tick.skip_reason:
        return f"about run {tick.about_run}"
    return why_not_run(tick)


def why_not_run(tick: Tick) -> str:
    """The reason of a tick that asked for no run, with the run and the number of occurrences it is about."""
    about = f": run {tick.about_run}" if tick.about_run else ""
    last = f", the last of them at {tick.until:%Y-%m-%d %H:%M}Z" if tick.until else ""
    several = f" ({tick.occurrences:,} occurrences{last})" if tick.occurrences > 1 else ""
    return f"{tick.skip_reason or ''}{about}{several}"


def every(seconds: float) -> str:
    """An interval, no more exact than it was written."""
    return f"every {seconds:g}s" if seconds < 120 else f"every {format_duration(seconds)}"


def timeline(ticks: Sequence[Tick], length: int) -> list[tuple[str, str]]:
    """(symbol, colour) of the newest ticks, oldest first: legible without colour too."""
    newest = sorted(ticks, key=lambda tick: tick.at)[-length:]
    return [TICK_STYLES[tick.status] for tick in newest]


def automation_table(
    automations: Sequence[Automation], latest: dict[str, Tick], upcoming: dict[str, datetime], now: datetime
) -> str:
    """Schedules or sensors with what they did last and do next."""
    rows = [_automation_row(one, latest.get(one.id), upcoming.get(one.id), now) for one in automations]
    return table(["NAME", "STATE", "WHEN", "NEXT", "LAST", "PIPELINE"], rows)


def local(instant: datetime, timezone: str) -> str:
    """An instant as the clocks of a zone show it, with the offset."""
    return instant.astimezone(load_zone(timezone)).strftime("%a %Y-%m-%d %H:%M %z")


def until(instant: datetime, now: datetime) -> str:
    seconds = (instant - now).total_seconds()
    if seconds < 1:
        return "now"
    return f"in {seconds:.0f}s" if seconds < 60 else f"in {format_duration(seconds)}"


def _row(tick: Tick, now: datetime, is_scheduled: bool) -> list[object]:
    symbol, colour = TICK_STYLES[tick.status]
    scheduled = f"{tick.scheduled_at:%m-%d %H:%M}Z" if tick.scheduled_at else ""
    return [
        Cell(symbol, colour),
        ago(tick.at, now),
        Cell(tick.name, BOLD),
        Cell(tick.status, colour),
        *([scheduled] if is_scheduled else []),
        _took(tick.duration_s),
        what(tick),
    ]


def _took(seconds: float | None) -> str:
    if not seconds:
        return ""
    return f"{seconds * 1000:.0f}ms" if seconds < 1 else format_duration(seconds)


def _automation_row(one: Automation, last: Tick | None, next_at: datetime | None, now: datetime) -> list[object]:
    declared = one.declared
    state = Cell("on", GREEN) if one.is_on else Cell("off", DIM)
    if one.gone_at is not None:
        state = Cell("gone, still on" if one.is_on else "gone", YELLOW)
    if isinstance(declared, ScheduleInfo):
        when = f"{declared.cron} {declared.timezone}"
        there = local(next_at, declared.timezone) if next_at and width() >= _WIDE else ""
        shown_next = there or (until(next_at, now) if next_at else "")
    else:
        when = every(declared.interval) if declared else ""
        shown_next = until(next_at, now) if next_at else ""
    shown_last: object = ""
    if last is not None:
        symbol, colour = TICK_STYLES[last.status]
        shown_last = Cell(f"{symbol} {last.status.lower()} {ago(last.at, now)}", colour)
    pipeline = (declared.pipeline if declared else None) or ""
    return [Cell(one.id, BOLD), state, when, shown_next if one.is_on else "", shown_last, pipeline]
