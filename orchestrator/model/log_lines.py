"""Lines that attempts have printed and logged."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace


class Logged(Struct, frozen=True):
    """A line that an attempt logged."""

    at: datetime
    level: str
    logger: str
    text: str


class Lines(Struct, frozen=True):
    """Lines that one attempt wrote one after another: to `stdout` or `stderr`, or, with a level, through a logger
    (`log`). `at`: when it wrote them, as far as that is known."""

    step: str
    stream: str
    lines: list[str]
    level: str = ""
    logger: str = ""
    at: datetime | None = None


def last_of(found: Iterable[Lines], count: int) -> Iterator[Lines]:
    """The last `count` lines."""
    kept: deque[Lines] = deque()
    held = 0
    for lines in found:
        kept.append(lines)
        held += len(lines.lines)
        while kept and held - len(kept[0].lines) >= count:
            held -= len(kept.popleft().lines)
    for lines in kept:
        left_out = max(0, held - count)
        held -= min(left_out, len(lines.lines))
        if left_out < len(lines.lines):
            yield replace(lines, lines=lines.lines[left_out:])
