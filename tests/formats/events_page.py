"""Writes `docs/events.md` from the classes of events: python3 -m tests.formats.events_page"""

import inspect
import typing
from pathlib import Path

import msgspec

from orchestrator.model.events import AnyEvent, AttemptEvent

PAGE = Path(__file__).parents[2] / "docs" / "events.md"
HEAD = """# Events

Everything that is recorded of a run: the lines of its journal, what `orchestrator runs events RUN --json` prints, and
the rows of the table `events`. Each has `event` and `at`. Events that an attempt recorded itself (marked •) have
`step`, `attempt` and `n`, which counts from 0 within the attempt. Fields with their default are left out of the JSON.
New kinds and new fields may be added at any time.

This page is made from the classes (`python3 -m tests.formats.events_page`), and a test compares it with them.
"""


def page():
    return HEAD + "".join(section(kind) for kind in typing.get_args(AnyEvent))


def section(kind):
    info = msgspec.inspect.type_info(kind)
    inherited = {"at", "step", "attempt", "n"} if issubclass(kind, AttemptEvent) else {"at"}
    fields = [f"`{field.encode_name}`" for field in info.fields if field.name not in inherited]
    mark = " •" if issubclass(kind, AttemptEvent) else ""
    text = " ".join(inspect.getdoc(kind).split())
    return f"\n## {info.tag}{mark}\n\n{text}\n" + (f"\nFields: {', '.join(fields)}\n" if fields else "")


if __name__ == "__main__":
    PAGE.write_text(page())
