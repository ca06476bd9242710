"""Renders the status page: one screen, the verdict first, then what it rests on."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from orchestrator.cli.output import Cell, Painter, has_width, table, width
from orchestrator.cli.runs_view import ago, run_table
from orchestrator.cli.styles import BOLD, DIM, GREEN, RED, YELLOW
from orchestrator.cli.ticks_view import TICK_STYLES, until
from orchestrator.clock import format_duration, now
from orchestrator.model.executor_health import ExecutorHealth
from orchestrator.model.run import RunSummary
from orchestrator.service.status_report import AutomationStatus, DaemonStatus, LocationStatus, Status

# One screen: of more than this the rest is counted.
MOST_RUNS = 8
_MOST_AUTOMATIONS = 16
_MOST_WAITING = 5
_TRACEBACK_LINES = 8
_WIDE = 110


def status_lines(status: Status, paint: Painter) -> Iterator[str]:
    """The page, line by line."""
    instant = now()
    yield from _verdict(status, paint)
    yield from _daemon(status.daemon, paint, instant)
    yield from _locations(status.locations, paint, instant)
    if status.daemon.silence is not None:
        yield paint(DIM, "\nThe daemon has the state: schedules, sensors and runs are shown once it answers.")
    yield from _automations(status.automations, paint, instant)
    yield from _not_run(status, paint, instant)
    yield from _waiting(status, paint)
    yield from _runs("running", status.active_runs, status, paint, instant)
    yield from _runs("interrupted", status.interrupted_runs, status, paint, instant)
    total = max(status.failed_count, len(status.failed_runs))
    yield from _runs("failed in the last day", status.failed_runs, status, paint, instant, total)


def _verdict(status: Status, paint: Painter) -> Iterator[str]:
    count = len(status.problems)
    verdict = "✓ all is well" if status.ok else f"✗ {count} problem{'' if count == 1 else 's'}"
    where = _cut_front(status.workspace, _columns() - len(verdict) - 3)
    yield f"{paint(f'{BOLD};{GREEN if status.ok else RED}', verdict)}   {paint(DIM, where)}"
    for problem in status.problems:
        first, *more = textwrap.wrap(problem.text, _columns() - 4, break_long_words=False, break_on_hyphens=False) or [
            ""
        ]
        yield f"  {paint(RED, '-')} {first}"
        yield from (f"    {line}" for line in more)


def _daemon(daemon: DaemonStatus, paint: Painter, instant: datetime) -> Iterator[str]:
    yield _title("daemon", paint)
    if not daemon.running:
        died = f"; the last one died {ago(daemon.turned_at, instant)}" if daemon.turned_at else ""
        yield f"  {paint(DIM, '·')} not running{died}"
        return
    if daemon.silence is not None:
        turned = f"; its loop last turned {ago(daemon.turned_at, instant)}" if daemon.turned_at else ""
        yield f"  {paint(RED, '✗')} process {daemon.pid} {paint(RED, 'does not answer')}{turned}"
        return
    fine = [one for one in daemon.concerns if one["alive"] and not one["erroring"]]
    age = f", up {format_duration((instant - daemon.started_at).total_seconds())}" if daemon.started_at else ""
    symbol = paint(GREEN, "✓") if len(fine) == len(daemon.concerns) else paint(RED, "✗")
    runs = f"{daemon.running_runs} running, {daemon.queued} queued"
    yield f"  {symbol} process {daemon.pid}{age}   {paint(DIM, 'runs:')} {runs}"
    if daemon.backlog:
        yield f"    {paint(YELLOW, '…')} indexing {daemon.backlog:,} more finished runs"
    for executor in daemon.executors:
        yield from _executor(executor, paint, instant)
    for concern in daemon.concerns:
        if concern not in fine:
            alive = "alive" if concern["alive"] else paint(RED, "gets no turns")
            erroring = paint(RED, "erroring") if concern["erroring"] else "not erroring"
            yield f"    {paint(RED, '✗')} {concern['name']}: {alive}, {erroring}"


def _executor(executor: ExecutorHealth, paint: Painter, instant: datetime) -> Iterator[str]:
    if executor.problem:
        age = f" for {format_duration((instant - executor.since).total_seconds())}" if executor.since else ""
        away = f"{executor.name}: {paint(RED, 'unreachable')}{age}"
        yield f"    {paint(RED, '✗')} {away}   {paint(DIM, executor.place)}"
        return
    waiting = f", {executor.waiting} waiting" if executor.waiting else ""
    yield f"    {paint(GREEN, '✓')} {executor.name}: {executor.running} running{waiting}   {paint(DIM, executor.place)}"
    for reason, count in executor.reasons.items():
        yield f"      {paint(YELLOW, '…')} {count} waiting: {reason}"


def _locations(locations: Sequence[LocationStatus], paint: Painter, instant: datetime) -> Iterator[str]:
    if not locations:
        return
    yield _title("locations", paint)
    pad = max(len(location.name) for location in locations)
    for location in locations:
        name = location.name.ljust(pad)
        if location.loaded:
            names = ", ".join(location.pipelines) or "no pipelines"
            yield f"  {paint(GREEN, '✓')} {name}  {paint(DIM, _cut(names, _columns() - pad - 6))}"
            if location.restarted_because:
                yield f"      {paint(YELLOW, f'restarted: {location.restarted_because}')}"
            for one in location.broken:
                yield f"      {paint(RED, f'✗ {one.kind} {one.name} broken')}"
                for line in filter(None, (one.error, one.hint)):
                    yield f"        {line}"
        elif location.state == "loading":
            yield f"  {paint(YELLOW, '…')} {name}  loading"
        else:
            since = f" {_age(location.since, instant)}" if location.since else ""
            yield f"  {paint(RED, '✗')} {name}  {paint(RED, f'broken{since}')}"
            for line in (location.traceback or location.error or "").splitlines()[-_TRACEBACK_LINES:]:
                yield f"      {line}"


def _automations(automations: Sequence[AutomationStatus], paint: Painter, instant: datetime) -> Iterator[str]:
    if not automations:
        return
    yield _title("schedules and sensors", paint)
    on = sorted((one for one in automations if one.is_on), key=lambda one: _urgency(one, instant))
    off = [one.name for one in automations if not one.is_on]
    headings = ["NAME", "NEXT", "LAST"]
    rows = [_row(one, instant) for one in on[:_MOST_AUTOMATIONS]]
    if width() >= _WIDE:
        headings.insert(1, "WHEN")
    else:
        rows = [[name, next_at, last] for name, _, next_at, last in rows]
    if rows:
        yield from (f"  {line}" for line in table(headings, rows, margin=2).split("\n"))
    if len(on) > _MOST_AUTOMATIONS:
        yield paint(DIM, f"  and {len(on) - _MOST_AUTOMATIONS} more that are on: orchestrator sensor list")
    if off:
        yield paint(DIM, _cut(f"  {len(off)} off: {', '.join(off)}", _columns()))


def _urgency(one: AutomationStatus, instant: datetime) -> tuple[bool, float]:
    """What needs attention first, then what comes next."""
    wanted = one.gone or one.failures > 0
    return not wanted, (one.next_at - instant).total_seconds() if one.next_at else float("inf")


def _row(one: AutomationStatus, instant: datetime) -> list[object]:
    due = Cell("gone, still on", YELLOW) if one.gone else Cell(until(one.next_at, instant) if one.next_at else "")
    last: object = ""
    if one.last is not None:
        symbol, colour = TICK_STYLES[one.last.status]
        row = f", {one.failures:,} in a row" if one.failures > 1 else ""
        last = Cell(f"{symbol} {one.last.status.lower()} {ago(one.last.at, instant)}{row}", colour)
    return [Cell(one.name, BOLD), Cell(one.when, DIM), due, last]


def _not_run(status: Status, paint: Painter, instant: datetime) -> Iterator[str]:
    if not status.not_run:
        return
    yield _title("not run", paint)
    pad = max(len(one.name) for one in status.not_run)
    for one in status.not_run[:MOST_RUNS]:
        count = f"{one.count:,} occurrence{'' if one.count == 1 else 's'}"
        noticed = paint(DIM, f"(noticed {ago(one.noticed_at, instant)})")
        yield f"  {paint(YELLOW, '−')} {one.name.ljust(pad)}  {count}, {_span(one.first, one.last, instant)} {noticed}"
        reason = f"{one.reason}: run {one.about_run}" if one.about_run else one.reason
        yield f"      {paint(DIM, _cut(reason, _columns() - 6))}"


def _waiting(status: Status, paint: Painter) -> Iterator[str]:
    daemon, in_terminals = status.daemon, status.waiting_in_terminals
    if not (daemon.queued or daemon.waiting or in_terminals or status.queue_paused):
        return
    yield _title("queue", paint)
    if status.queue_paused:
        yield "  paused: run_queue.max_concurrent_runs is 0"
    shown = [*list(in_terminals.items())[:_MOST_WAITING], *list(daemon.waiting.items())[:_MOST_WAITING]]
    yield from (f"  {run_id}  {reason}" for run_id, reason in shown)
    others = daemon.queued - min(_MOST_WAITING, len(daemon.waiting))
    if others > 0:
        more = "more " if daemon.waiting else ""
        yield f"  {others} {more}queued" + ("" if daemon.running else ", until a daemon runs")


def _runs(
    title: str, runs: Sequence[RunSummary], status: Status, paint: Painter, instant: datetime, total: int | None = None
) -> Iterator[str]:
    if not runs:
        return
    yield _title(title, paint)
    interrupted = {run.run_id for run in status.interrupted_runs}
    yield from (f"  {line}" for line in run_table(runs[:MOST_RUNS], instant, interrupted, margin=2).split("\n"))
    more = (len(runs) if total is None else total) - min(len(runs), MOST_RUNS)
    if more > 0:
        which = "" if total is None else " --status FAILURE --since 1d --limit 0"
        yield paint(DIM, f"  and {more:,} more: orchestrator runs list{which}")


def _title(text: str, paint: Painter) -> str:
    return f"\n{paint(BOLD, text)}"


def _age(since: datetime, instant: datetime) -> str:
    words = ago(since, instant)
    return f"for {words.removesuffix(' ago')}" if words.endswith(" ago") else words


def _columns() -> int:
    """What fits on a line. In a pipe everything does: one problem a line."""
    return width() if has_width() else sys.maxsize


def _span(first: datetime, last: datetime, instant: datetime) -> str:
    """From when to when, in the reader's time zone."""
    begin, end = first.astimezone(), last.astimezone()
    day = "%a %H:%M" if instant - first < timedelta(days=6) else "%Y-%m-%d %H:%M"
    if first == last:
        return f"{begin:{day}}"
    return f"{begin:{day}} to {end:{'%H:%M' if begin.date() == end.date() else day}}"


def _cut(text: str, columns: int) -> str:
    return text if len(text) <= columns else text[: max(0, columns - 1)] + "…"


def _cut_front(path: str, columns: int) -> str:
    """A path whose end is what tells it from others."""
    return path if len(path) <= columns else f"…{path[len(path) - columns + 1 :]}"
