"""One event on one line. Knows nothing of the run around it."""

from __future__ import annotations

from typing import Any

import msgspec

from orchestrator.cli.output import Painter
from orchestrator.cli.run_progress import event_line
from orchestrator.cli.styles import DIM
from orchestrator.events import ErrorInfo, Event, kind_of

_SHOWN_ALREADY = frozenset({"at", "step", "attempt", "n"})


def event_row(event: Event, paint: Painter) -> str:
    """When, what, which step, and the rest of the event in words."""
    line = event_line(event)
    code = line[0] if line else DIM
    step = getattr(event, "step", "")
    attempt = getattr(event, "attempt", None)
    where = f"{step}" + (f"/{attempt}" if attempt and attempt > 1 else "")
    return f"{paint(DIM, _time(event))}  {paint(code, kind_of(event).ljust(22))} {where:<20} {_rest(event)}".rstrip()


def _time(event: Event) -> str:
    return f"{event.at.astimezone():%H:%M:%S.%f}"[:-3]


def _rest(event: Event) -> str:
    parts = []
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if name in _SHOWN_ALREADY or value is None or value in ("", (), {}):
            continue
        parts.append(f"{name}={_words(value)}")
    text = "  ".join(parts)
    return text if len(text) <= 300 else text[:299] + "…"


def _words(value: Any) -> str:
    if isinstance(value, ErrorInfo):
        return value.headline()
    if isinstance(value, msgspec.Struct):
        return ",".join(f"{name}:{getattr(value, name)}" for name in value.__struct_fields__)
    if isinstance(value, tuple):
        return "/".join(map(str, value))
    return str(value).replace("\n", "\\n")
