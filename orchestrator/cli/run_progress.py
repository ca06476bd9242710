"""A run while it goes on: a live view on a terminal, plain lines anywhere else. Both go to stderr. Reads nothing: it is
told each event.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime
from typing import Any, Protocol

from orchestrator import events as ev
from orchestrator.cli.events_view import event_line
from orchestrator.cli.live_steps import how_far, live_lines
from orchestrator.cli.output import is_live, say
from orchestrator.cli.styles import BLUE, BOLD, DIM, GREEN, RED, YELLOW
from orchestrator.clock import format_duration, now
from orchestrator.engine.progress import RunProgress
from orchestrator.records import RunRecord

_REFRESH_S = 0.1
# Drawing takes longer with ten thousand steps; after it there is at least this many times as long for the run itself.
_PAUSE = 20


class Display(Protocol):
    """Somebody who shows a run while it goes on."""

    def event(self, event: ev.Event) -> None: ...

    def turn(self, progress: RunProgress) -> None: ...

    def close(self) -> None: ...


def make_display(record: RunRecord) -> Display:
    """The live view if stderr is a terminal, else plain lines."""
    if is_live(sys.stderr):
        return LiveDisplay(record)
    return PlainDisplay(record)


class PlainDisplay:
    """One line for everything worth telling, as it happens."""

    def __init__(self, record: RunRecord) -> None:
        self._waiting: list[tuple[datetime, str]] = []
        self._say(now(), f"run {record.run_id} of {record.pipeline} (mode {record.mode})")

    def event(self, event: ev.Event) -> None:
        line = event_line(event)
        if line is not None:
            self._waiting.append((event.at, line[1]))

    def turn(self, progress: RunProgress) -> None:
        # Steps that ran beside each other are read one after the other: in the order of time only when sorted.
        for at, text in sorted(self._waiting, key=lambda line: line[0]):
            self._say(at, text)
        self._waiting = []

    def close(self) -> None:
        for at, text in self._waiting:
            self._say(at, text)

    def _say(self, at: datetime, text: str) -> None:
        say(f"{at.astimezone():%H:%M:%S}  {text}", flush=True)


class LiveDisplay:
    """The steps of a run in place, redrawn as they change. Ends by taking itself away: the report follows."""

    def __init__(self, record: RunRecord) -> None:
        from rich.console import Console
        from rich.live import Live

        self._record = record
        self._console = Console(stderr=True)
        self._started = time.monotonic()
        self._draw_at = 0.0
        self._notes: list[tuple[str, str]] = []
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()

    def event(self, event: ev.Event) -> None:
        if isinstance(event, (ev.AttemptStarted, ev.AttemptSucceeded, ev.StepReused, ev.StepSkipped, ev.StepAbandoned)):
            return  # the table of steps shows these
        line = event_line(event)
        if line is not None:
            self._notes.append(line)
            del self._notes[:-5]

    def turn(self, progress: RunProgress) -> None:
        started = time.monotonic()
        if started < self._draw_at and not progress.is_finished:
            return
        self._live.update(self._view(progress), refresh=True)
        drawn = time.monotonic()
        self._draw_at = max(started + _REFRESH_S, drawn + _PAUSE * (drawn - started))

    def close(self) -> None:
        self._live.stop()

    def _view(self, progress: RunProgress) -> Any:
        from rich.text import Text

        steps = progress.network.in_order()
        took = format_duration(time.monotonic() - self._started)
        verb = "canceling" if progress.canceling else "running"
        view = Text(overflow="ellipsis", no_wrap=True)
        view.append(f"▸ {verb}  ", style="blue bold")
        view.append(self._record.pipeline, style="bold")
        view.append(f"  {took:<6}  {how_far([step.state for step in steps])}")
        view.append(f"  run {self._record.run_id}\n", style="dim")
        room = max(4, self._console.size.height - len(self._notes) - 4)
        for text, code in live_lines(steps, room, now()):
            view.append(text + "\n", style=_STYLE[code])
        for code, note in self._notes:
            view.append(f"  {note}\n", style=_STYLE[code])
        return view


_STYLE = {RED: "red", GREEN: "green", YELLOW: "yellow", BLUE: "blue", DIM: "dim", BOLD: "bold"}
