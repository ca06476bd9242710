"""`ticks --tail`: a view that people leave open. A line of symbols for each, and each tick as it comes.

Knows nothing of where ticks are found: it is given a way to look.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from orchestrator import clock
from orchestrator.cli.output import print_json, put
from orchestrator.cli.runs_view import ago
from orchestrator.cli.ticks_view import TICK_STYLES, as_json, tick_line, timeline, until, what
from orchestrator.errors import OrchestratorError
from orchestrator.ticks import Instigator, Tick

if TYPE_CHECKING:
    from rich.text import Text

# The newest ticks that are kept of each.
KEPT = 120
# A tick may be written a little later than it is dated: so much is looked at again.
OVERLAP = timedelta(seconds=10)
_LOOK_S = 1.0
_FIRST_LINES = 20
_NAMES = {"31": "red", "32": "green", "33": "yellow", "34": "blue", "2": "dim", "1": "bold"}


@dataclass(frozen=True)
class Look:
    """What is there now: the newest ticks, newest first; what is remembered of each; when each comes next."""

    ticks: tuple[Tick, ...]
    instigators: tuple[Instigator, ...] = ()
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
                print_json(as_json(tick))
            else:
                put(tick_line(tick))
        sys.stdout.flush()
        is_first = False
        time.sleep(_LOOK_S)


def _live(look: LookSince, seen: Seen) -> None:
    from rich.live import Live
    from rich.text import Text

    last = Look(())
    with Live(Text("looking ..."), auto_refresh=False) as live:
        while True:
            problem = ""
            try:
                last = look(seen.newest)
                seen.take(last.ticks)
            except OrchestratorError as error:
                problem = error.message
            size = live.console.size
            live.update(_page(seen, last, problem, clock.now(), size.width, size.height), refresh=True)
            time.sleep(_LOOK_S)


def _page(seen: Seen, last: Look, problem: str, now: datetime, width: int, height: int) -> Text:
    from rich.text import Text

    page = Text(no_wrap=True, overflow="ellipsis")
    shown = [one for one in last.instigators if one.is_on or seen.by_name.get(one.id)]
    shown.sort(key=lambda one: (not one.is_on, not one.failures, one.id))
    on = sum(one.is_on for one in shown)
    failing = sum(one.is_on and one.failures > 0 for one in shown)
    page.append(f"{now.astimezone():%H:%M:%S}  {on} on", style="bold")
    page.append(f", {failing} failing" if failing else "", style="bold red")
    page.append(f"   {problem}" if problem else "", style="red")
    page.append("\n\n")
    name_width = min(max((len(one.id) for one in shown), default=4), max(12, width // 4))
    used = 4
    for number, one in enumerate(shown):
        lines = _lines(one, seen.by_name.get(one.id, ()), last.upcoming.get(one.id), now, name_width, width)
        if used + len(lines) > height - 4 and number < len(shown) - 1:
            page.append(f"... and {len(shown) - number} more: give a name, or a taller terminal\n", style="dim")
            used += 1
            break
        used += len(lines)
        for line in lines:
            page.append_text(_cut(line, width)).append("\n")
    page.append("\n")
    for tick in seen.recent(height - used - 2):
        page.append_text(_cut(_event(tick, name_width), width)).append("\n")
    legend = "  ".join(f"{symbol} {state.lower()}" for state, (symbol, _) in TICK_STYLES.items())
    page.append_text(_cut(Text(f"{legend}   Ctrl-C ends this view, and nothing else", style="dim"), width))
    return page


def _lines(
    one: Instigator, ticks: Sequence[Tick], next_at: datetime | None, now: datetime, name_width: int, width: int
) -> list[Text]:
    """One of them: its name, its newest ticks, what they have asked for and when the next is due; then why it fails."""
    from rich.text import Text

    runs = sum(len(tick.run_ids) for tick in ticks)
    due = ("next " + until(next_at, now) if next_at else "on") if one.is_on else "off"
    told = f"{runs:>5} run{' ' if runs == 1 else 's'}  {due:<15}"
    length = max(8, width - name_width - len(told) - 4)
    line = Text(_fit(one.id, name_width), style="bold" if one.is_on else "dim").append("  ")
    symbols = timeline(ticks, length)
    for symbol, colour in symbols:
        line.append(symbol, style=_NAMES[colour])
    line.append(" " * (length - len(symbols)) + told, style="" if one.is_on else "dim")
    newest = ticks[-1] if ticks else None
    if newest is None or not newest.error or not one.is_on:
        return [line]
    times = f", {one.failures} times in a row" if one.failures > 1 else ""
    return [line, Text(f"{'':{name_width}}  {ago(newest.at, now)}{times}: {what(newest)}", style="red")]


def _event(tick: Tick, name_width: int) -> Text:
    from rich.text import Text

    symbol, colour = TICK_STYLES[tick.status]
    scheduled = f"for {tick.scheduled_at:%m-%d %H:%M}Z  " if tick.scheduled_at else ""
    at = f"{tick.at.astimezone():%H:%M:%S}"
    return Text(f"{at} {symbol} {_fit(tick.name, name_width)}  {scheduled}{what(tick)}", style=_NAMES[colour])


def _fit(text: str, length: int) -> str:
    return text.ljust(length) if len(text) <= length else text[: length - 1] + "…"


def _cut(line: Any, width: int) -> Any:
    line.truncate(width, overflow="ellipsis")
    return line
