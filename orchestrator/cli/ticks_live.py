"""`ticks --tail`: a view that people leave open. A line of symbols for each sensor, and each tick as it comes."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from orchestrator import clock
from orchestrator.cli.output import print_json
from orchestrator.cli.ticks_view import TICK_STYLES, tick_line, timeline, until, what
from orchestrator.errors import OrchestratorError
from orchestrator.ticks import Tick

_LOOK_S = 1.0
_TIMELINE = 40
_NEWEST = 12
_NAMES = {"31": "red", "32": "green", "33": "yellow", "34": "blue", "2": "dim", "1": "bold"}

Look = Callable[[], tuple[list[Tick], dict[str, Any]]]


def tail(look: Look, *, json: bool) -> None:
    """Shows ticks until interrupted: live in a terminal, a line each otherwise. `look` gives the newest ticks, newest
    first, and when each is next."""
    if sys.stdout.isatty() and not json:
        _live(look)
        return
    seen: set[str] = set()
    first = True
    while True:
        ticks, _ = look()
        for tick in reversed(ticks[:20] if first else ticks):
            if tick.tick_id not in seen:
                print_json(tick) if json else print(tick_line(tick), flush=True)
        seen = {tick.tick_id for tick in ticks}
        first = False
        time.sleep(_LOOK_S)


def _live(look: Look) -> None:
    from rich.live import Live
    from rich.text import Text

    with Live(Text("looking ..."), refresh_per_second=4, screen=False) as live:
        while True:
            try:
                ticks, upcoming = look()
                live.update(_page(ticks, upcoming))
            except OrchestratorError as error:
                live.update(Text(str(error), style="red"))
            time.sleep(_LOOK_S)


def _page(ticks: list[Tick], upcoming: dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    now = clock.now()
    by_name: dict[str, list[Tick]] = defaultdict(list)
    for tick in ticks:
        by_name[tick.name].append(tick)
    grid = Table.grid(padding=(0, 2))
    for name in sorted({*by_name, *upcoming}):
        own = by_name[name]
        line = Text()
        for symbol, colour in timeline(own, _TIMELINE):
            line.append(symbol, style=_NAMES[colour])
        failed = next((tick for tick in own if tick.error), None)
        runs = sum(len(tick.run_ids) for tick in own)
        due = f"next {until(upcoming[name], now)}" if name in upcoming else ""
        grid.add_row(Text(name, style="bold"), line, f"{runs} runs", due)
        if failed is not None and own and own[0].error:
            grid.add_row("", Text(what(failed), style="red"))
    recent = Text()
    for tick in reversed(ticks[:_NEWEST]):
        recent.append(tick_line(tick) + "\n", style=_NAMES[TICK_STYLES[tick.status][1]])
    legend = "  ".join(f"{symbol} {state.lower()}" for state, (symbol, _) in TICK_STYLES.items())
    return Group(grid, Text(), recent, Text(f"{legend}   Ctrl-C ends this view, and nothing else", style="dim"))
