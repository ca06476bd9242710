"""Shows what a foreground run waits for: one line kept up to date on a terminal, a line for each new reason
elsewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from orchestrator.cli.output import is_live, replace_line, say
from orchestrator.clock import format_duration

_ADVICE = "Ctrl-C stops waiting; --no-wait refuses to wait; --ignore-limits starts at once."


@contextmanager
def wait_display() -> Iterator[Callable[[str, float], None]]:
    """What to call with the reason, and how many seconds the run has waited."""
    told: list[str] = []
    in_place = is_live(sys.stderr)

    def tell(reason: str, seconds: float) -> None:
        if not told:
            say(f"This run waits for a slot. {_ADVICE}")
        if in_place:
            replace_line(f"waiting {format_duration(seconds)}: {reason}")
        elif told[-1:] != [reason]:
            say(f"waiting: {reason}")
        if told[-1:] != [reason]:
            told.append(reason)

    try:
        yield tell
    finally:
        if in_place and told:
            replace_line()
