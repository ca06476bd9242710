"""Writing to the terminal, to a pipe, or as JSON. Without a terminal there is no colour and nothing is cut off. Knows
nothing of what it writes.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

import msgspec

MOST_COLUMNS = 160
# Less of a column tells nothing.
_NARROWEST = 8


@dataclass(frozen=True)
class Painter:
    """Puts ANSI colours around text, or does not."""

    enabled: bool

    def __call__(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.enabled and text else text


def painter(stream: IO[str] | None = None) -> Painter:
    """The painter for a stream (stdout by default): paints on a terminal, unless NO_COLOR is set."""
    stream = stream or sys.stdout
    return Painter(stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb")


def width() -> int:
    """How many columns there are; many when nobody looks."""
    return shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else MOST_COLUMNS


def print_json(value: Any) -> None:
    """The records as JSON: instants in ISO 8601 (UTC), ids as strings, indented for reading."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def say(text: str) -> None:
    """A remark that is not part of the result."""
    print(text, file=sys.stderr)


@dataclass(frozen=True)
class Cell:
    """Text in a table with a colour. `code` is an ANSI code; empty for none."""

    text: str
    code: str = ""


def table(
    headings: Sequence[str], rows: Sequence[Sequence[object]], *, right: frozenset[int] = frozenset(), margin: int = 0
) -> str:
    """Rows under headings, in aligned columns without lines. On a terminal the last column is cut to fit, then the
    widest ones, with a margin for what the caller puts before each line."""
    cells = [[cell if isinstance(cell, Cell) else Cell(str(cell)) for cell in row] for row in rows]
    widths = [max([len(heading), *(len(row[column].text) for row in cells)]) for column, heading in enumerate(headings)]
    paint = painter()
    if sys.stdout.isatty():
        widths = _narrowed(widths, width() - margin - 2 * (len(widths) - 1))
    lines = [paint("2", _line([Cell(heading) for heading in headings], widths, right, Painter(False)))]
    lines += [_line(row, widths, right, paint) for row in cells]
    return "\n".join(lines)


def _line(row: Sequence[Cell], widths: Sequence[int], right: frozenset[int], paint: Painter) -> str:
    parts = []
    for column, cell in enumerate(row):
        text = cell.text if len(cell.text) <= widths[column] else cell.text[: widths[column] - 1] + "…"
        gap = " " * (widths[column] - len(text))
        shown = paint(cell.code, text) if cell.code else text
        parts.append(gap + shown if column in right else shown + gap)
    return "  ".join(parts).rstrip()


def _narrowed(widths: Sequence[int], room: int) -> list[int]:
    """Widths that fit into the room: the last column gives way down to a third of it, then the widest ones do."""
    narrowed = list(widths)
    narrowed[-1] = max(min(widths[-1], room // 3), min(widths[-1], room - sum(widths[:-1])))
    while sum(narrowed) > room and max(narrowed) > _NARROWEST:
        widest = max(range(len(narrowed)), key=lambda column: (narrowed[column], column))
        narrowed[widest] -= 1
    return narrowed
