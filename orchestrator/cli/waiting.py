"""What a foreground run says while it waits for a slot: one line kept up to date on a terminal, a line for each new
reason anywhere else. Decides nothing about the wait.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from orchestrator.cli.output import painter, say
from orchestrator.clock import format_duration

_ADVICE = "Ctrl-C stops waiting; --no-wait refuses to wait; --ignore-limits starts at once."


@contextmanager
def wait_display() -> Iterator[Callable[[str, float], None]]:
    """What to call with the reason, and how many seconds the run has waited."""
    told: list[str] = []
    in_place = painter(sys.stderr).enabled

    def tell(reason: str, seconds: float) -> None:
        if not told:
            say(f"This run waits for a slot. {_ADVICE}")
        if in_place:
            line = f"waiting {format_duration(seconds)}: {reason}"
            print(f"\r\x1b[K{_fitting(line)}", end="", file=sys.stderr, flush=True)
        elif told[-1:] != [reason]:
            say(f"waiting: {reason}")
        if told[-1:] != [reason]:
            told.append(reason)

    try:
        yield tell
    finally:
        if in_place and told:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _fitting(line: str) -> str:
    columns = shutil.get_terminal_size((100, 24)).columns
    return line if len(line) < columns else line[: max(0, columns - 2)] + "…"
