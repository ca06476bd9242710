"""Shows a running run: a live view on a terminal, plain lines elsewhere. Both go to stderr."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from orchestrator.cli.events_view import event_line
from orchestrator.cli.live_steps import how_far, live_lines
from orchestrator.cli.output import is_live, say
from orchestrator.cli.styles import BOLD, CYAN, DIM
from orchestrator.clock import format_duration, now
from orchestrator.engine.progress import RunProgress
from orchestrator.model import events as ev
from orchestrator.model.run import RunRecord

if TYPE_CHECKING:
    from orchestrator.cli.live import Piece

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
        from orchestrator.cli.live import LiveLines

        self._record = record
        self._started = time.monotonic()
        self._draw_at = 0.0
        self._notes: list[tuple[str, str]] = []
        self._live = LiveLines(sys.stderr, transient=True)

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
        self._live.show(self._view(progress))
        drawn = time.monotonic()
        self._draw_at = max(started + _REFRESH_S, drawn + _PAUSE * (drawn - started))

    def close(self) -> None:
        self._live.close()

    def _view(self, progress: RunProgress) -> list[list[Piece]]:
        steps = progress.network.in_order()
        took = format_duration(time.monotonic() - self._started)
        verb = "canceling" if progress.canceling else "running"
        head: list[Piece] = [
            (f"▸ {verb}  ", f"{BOLD};{CYAN}"),
            (self._record.pipeline, BOLD),
            (f"  {took:<6}  {how_far([step.state for step in steps])}", ""),
            (f"  run {self._record.run_id}", DIM),
        ]
        _, lines = self._live.size
        notes = self._notes[-max(1, lines // 4) :]
        room = max(1, lines - 1 - len(notes))
        return [head, *live_lines(steps, room, now()), *([(f"  {note}", code)] for code, note in notes)]
