"""`ticks --tail`: a view that people leave open. A line of symbols for each, and each tick as it comes.

Knows nothing of where ticks are found: it is given a way to look.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct, field

from orchestrator import clock
from orchestrator.cli.output import print_json_line, put
from orchestrator.cli.runs_view import ago
from orchestrator.cli.styles import BOLD, DIM, RED
from orchestrator.cli.ticks_view import TICK_STYLES, as_json, tick_line, timeline, until, what
from orchestrator.errors import OrchestratorError
from orchestrator.model.automation import Automation
from orchestrator.model.tick import Tick

if TYPE_CHECKING:
    from orchestrator.cli.live import Piece

# The newest ticks that are kept of each.
KEPT = 120
# A tick may be written a little later than it is dated: so much is looked at again.
OVERLAP = timedelta(seconds=10)
_LOOK_S = 1.0
_FIRST_LINES = 20


class Look(Struct, frozen=True):
    """What is there now: the newest ticks, newest first; what is remembered of each; when each comes next."""

    ticks: tuple[Tick, ...]
    automations: tuple[Automation, ...] = ()
    upcoming: dict[str, datetime] = field(default_factory=dict)


LookSince = Callable[[datetime | None], Look]


class Seen:
    """All ticks that were seen, as far as they are kept."""

    def __init__(self) -> None:
        self.by_name: dict[str, deque[Tick]] = defaultdict(lambda: deque(maxlen=KEPT))
        self.newest: datetime | None = None
        self._ids: dict[str, datetime] = {}

    def take(self, ticks: Sequence[Tick]) -> list[Tick]:
        """Those that are new, oldest first."""
        new = [tick for tick in reversed(ticks) if tick.tick_id not in self._ids]
        for tick in new:
            self.by_name[tick.name].append(tick)
            self._ids[tick.tick_id] = tick.at
            self.newest = max(self.newest or tick.at, tick.at)
        if self.newest is not None:
            self._ids = {id: at for id, at in self._ids.items() if at >= self.newest - 2 * OVERLAP}
        return new

    def recent(self, count: int) -> list[Tick]:
        """The newest of all, oldest first."""
        ticks = sorted((tick for some in self.by_name.values() for tick in some), key=lambda tick: tick.at)
        return ticks[-count:] if count > 0 else []


def tail(look: LookSince, *, json: bool) -> None:
    """Shows ticks until interrupted: live in a terminal, a line each otherwise."""
    seen = Seen()
    if sys.stdout.isatty() and not json:
        _live(look, seen)
        return
    is_first = True
    while True:
        new = seen.take(look(seen.newest).ticks)
        new.sort(key=lambda tick: tick.at)
        for tick in new[-_FIRST_LINES:] if is_first else new:
            if json:
                print_json_line(as_json(tick))
            else:
                put(tick_line(tick))
        sys.stdout.flush()
        is_first = False
        time.sleep(_LOOK_S)


def _live(look: LookSince, seen: Seen) -> None:
    from orchestrator.cli.live import LiveLines

    last = Look(())
    live = LiveLines(sys.stdout, transient=False)
    try:
        live.show([[("looking ...", "")]])
        while True:
            problem = ""
            try:
                last = look(seen.newest)
                seen.take(last.ticks)
            except OrchestratorError as error:
                problem = error.message
            columns, lines = live.size
            live.show(page(seen, last, problem, clock.now(), columns, lines))
            time.sleep(_LOOK_S)
    finally:
        live.close()


def page(seen: Seen, last: Look, problem: str, now: datetime, columns: int, lines: int) -> list[list[Piece]]:
    """The view, in so many lines: how many are on, each of them, the newest ticks, what the symbols mean."""
    shown = [one for one in last.automations if one.is_on or seen.by_name.get(one.id)]
    shown.sort(key=lambda one: (not one.is_on, not one.failures, one.id))
    on = sum(one.is_on for one in shown)
    failing = sum(one.is_on and one.failures > 0 for one in shown)
    head = [
        (f"{now.astimezone():%H:%M:%S}  {on} on", BOLD),
        (f", {failing} failing" if failing else "", f"{BOLD};{RED}"),
        (f"   {problem}" if problem else "", RED),
    ]
    legend = "  ".join(f"{symbol} {state.lower()}" for state, (symbol, _) in TICK_STYLES.items())
    foot = [(f"{legend}   Ctrl-C ends this view, and nothing else", DIM)]
    name_width = min(max((len(one.id) for one in shown), default=4), max(12, columns // 4))
    body: list[list[Piece]] = [[]]
    most = max(2, lines - 5)
    for number, one in enumerate(shown):
        block = _lines(one, seen.by_name.get(one.id, ()), last.upcoming.get(one.id), now, name_width, columns)
        if len(body) + len(block) > most and number < len(shown) - 1:
            more = f"... and {len(shown) - number} more: give a name, or a taller terminal"
            body.append([(more, DIM)])
            break
        body += block
    body.append([])
    body += [_event(tick, name_width) for tick in seen.recent(lines - len(body) - 2)]
    return [head, *body, foot]


def _lines(
    one: Automation, ticks: Sequence[Tick], next_at: datetime | None, now: datetime, name_width: int, columns: int
) -> list[list[Piece]]:
    """One of them: its name, its newest ticks, what they have asked for and when the next is due; then why it fails."""
    runs = sum(len(tick.run_ids) for tick in ticks)
    due = ("next " + until(next_at, now) if next_at else "on") if one.is_on else "off"
    described = f"{runs:>5} run{' ' if runs == 1 else 's'}  {due:<15}"
    length = max(8, columns - name_width - len(described) - 4)
    symbols = timeline(ticks, length)
    line: list[Piece] = [(f"{_fit(one.id, name_width)}  ", BOLD if one.is_on else DIM), *symbols]
    line.append((" " * (length - len(symbols)) + described, "" if one.is_on else DIM))
    newest = ticks[-1] if ticks else None
    if newest is None or not newest.error or not one.is_on:
        return [line]
    times = f", {one.failures} times in a row" if one.failures > 1 else ""
    return [line, [(f"{'':{name_width}}  {ago(newest.at, now)}{times}: {what(newest)}", RED)]]


def _event(tick: Tick, name_width: int) -> list[Piece]:
    symbol, code = TICK_STYLES[tick.status]
    scheduled = f"for {tick.scheduled_at:%m-%d %H:%M}Z  " if tick.scheduled_at else ""
    at = f"{tick.at.astimezone():%H:%M:%S} "
    return [(at, ""), (symbol, code), (f" {_fit(tick.name, name_width)}  {scheduled}{what(tick)}", "")]


def _fit(text: str, length: int) -> str:
    return text.ljust(length) if len(text) <= length else text[: length - 1] + "…"
