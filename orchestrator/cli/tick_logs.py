"""`sensor logs` and `schedule logs`: what user code printed in each evaluation, once or live."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.cli.options import session_of, until_interrupted, workspace
from orchestrator.cli.output import Painter, painter, print_json, print_json_line, put, say
from orchestrator.cli.styles import BOLD, DIM
from orchestrator.cli.ticks_view import TICK_STYLES, what
from orchestrator.errors import NotFound

if TYPE_CHECKING:
    from orchestrator.model.tick import Tick

_LOOK_S = 1.0


def show_logs(name: str | None, tick_id: str | None, limit: int, *, schedules: bool, follow: bool, json: bool) -> None:
    """The newest ticks that printed something or failed, oldest first; of one tick, also when it printed nothing."""
    from orchestrator import clock
    from orchestrator.model.filters import TickFilter
    from orchestrator.service.automations import look_up, pick

    kinds = ("schedule",) if schedules else ("sensor", "asset_sensor", "run_status_sensor")
    with workspace() as found:
        if name is not None:
            name = pick(look_up(found, clock.now(), [name]), name, schedules=schedules).id
        which = TickFilter(name=name, kinds=kinds, with_output=tick_id is None, tick_id=tick_id, limit=limit or None)

        def look() -> list[Tick]:
            with session_of(found) as session:
                return session.ticks(which)

        if follow and tick_id is None:
            with until_interrupted():
                _follow(look, json=json)
            return
        ticks = look()
    if tick_id is not None and not ticks:
        raise NotFound(f"There is no tick {tick_id!r}.", hint="`ticks --json` lists their ids.")
    if json:
        print_json([log_json(tick) for tick in reversed(ticks)])
    elif ticks:
        put("\n".join(line for tick in reversed(ticks) for line in log_lines(tick, painter())))
    else:
        say("Nothing was printed yet.")


def log_lines(tick: Tick, paint: Painter) -> Iterator[str]:
    """A heading for the tick, then its output and its error, indented."""
    symbol, colour = TICK_STYLES[tick.status]
    at = tick.at.isoformat(timespec="seconds").replace("+00:00", "Z")
    yield f"{at} {paint(colour, symbol)} {paint(BOLD, tick.name)}  {what(tick)}  {paint(DIM, tick.tick_id)}"
    for text in (tick.output, tick.error):
        yield from (f"    {line}" for line in (text or "").rstrip().splitlines())


def log_json(tick: Tick) -> dict[str, object]:
    """A tick with what it printed."""
    names = ("tick_id", "name", "kind", "status", "at", "scheduled_at", "about_run", "run_ids", "output", "error")
    return {name: getattr(tick, name) for name in names}


def _follow(look: Callable[[], list[Tick]], *, json: bool) -> None:
    """Prints what is new until interrupted."""
    shown: Sequence[str] = ()
    newest: datetime | None = None
    while True:
        ticks = look()
        for tick in reversed(ticks):
            if tick.tick_id in shown or (newest is not None and tick.at < newest):
                continue
            if json:
                print_json_line(log_json(tick))
            else:
                put("\n".join(log_lines(tick, painter())))
        sys.stdout.flush()
        shown = [tick.tick_id for tick in ticks]
        newest = ticks[-1].at if ticks else None
        time.sleep(_LOOK_S)
