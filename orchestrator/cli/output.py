"""Writes to the terminal, to a pipe, or as JSON: the only module of the commands that prints. Control characters in
foreign text are removed. Without a terminal there is no color, and nothing is cut off.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from typing import IO, Any

from msgspec import Struct

from orchestrator.terminal import SUBSTITUTE, encodable, on_one_line, printable, safe_json, wants_color

MOST_COLUMNS = 160
# Less of a column tells nothing.
_NARROWEST = 8
# Begins our own escape sequences until they are written. Nobody else's text can contain it.
_OURS = f"\x1b{os.urandom(8).hex()}"


class Painter(Struct, frozen=True):
    """Puts ANSI colors around text, or does not. Only the functions of this module can show what it has painted."""

    enabled: bool

    def __call__(self, code: str, text: str) -> str:
        return f"{_OURS}[{code}m{text}{_OURS}[0m" if self.enabled and text else text


def painter(stream: IO[str] | None = None) -> Painter:
    """The painter for a stream (stdout by default)."""
    return Painter(wants_color(os.environ, is_terminal=(stream or sys.stdout).isatty()))


def is_live(stream: IO[str]) -> bool:
    """Whether lines can be redrawn in place: only on a terminal, and not where plain output is asked for."""
    return stream.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")


def prepare_streams() -> None:
    """Lets stdout and stderr take any text, whatever their encoding."""
    if sys.stdout is None or sys.stderr is None:  # closed by the parent process (`>&-`)
        nowhere = open(os.devnull, "w")  # noqa: PTH123, SIM115 (until the process ends)
        sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=SUBSTITUTE)


def width() -> int:
    """How many columns there are: those of the terminal or of COLUMNS, and many without a terminal."""
    return shutil.get_terminal_size((100 if sys.stdout.isatty() else MOST_COLUMNS, 24)).columns


def has_width() -> bool:
    """Whether lines are cut to fit: on a terminal, and where COLUMNS says how wide they may be."""
    return sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal()


def put(text: str = "", *, end: str = "\n", flush: bool = False) -> None:
    """Prints a part of the result."""
    print(shown(text), end=end, flush=flush)


def say(text: str, *, flush: bool = False) -> None:
    """A remark that is not part of the result."""
    print(shown(text), file=sys.stderr, flush=flush)


def replace_line(text: str = "") -> None:
    """Puts text in place of the last line on stderr, which must be a terminal. Empty text removes the line."""
    columns = shutil.get_terminal_size((100, 24)).columns
    line = fitted(on_one_line(text), sys.stderr)
    line = line if len(line) < columns else line[: max(0, columns - 4)] + "..."
    print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """The records as JSON: instants in ISO 8601 (UTC), ids as strings, indented for reading."""
    import msgspec

    put_json(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode())


def whole(record: Any) -> Any:
    """A record as JSON values with every field: also those that are left out of files when they have their default."""
    import msgspec

    if isinstance(record, msgspec.Struct):
        tag = record.__struct_config__.tag
        tagged = {record.__struct_config__.tag_field or "type": tag} if tag is not None else {}
        return tagged | {name: whole(getattr(record, name)) for name in record.__struct_fields__}
    if isinstance(record, dict):
        return {name: whole(value) for name, value in record.items()}
    return [whole(one) for one in record] if isinstance(record, (list, tuple)) else record


def print_json_line(value: Any) -> None:
    """One record of many on a line of its own, at once: the next may come much later."""
    import msgspec

    put_json(msgspec.json.encode(value, enc_hook=str).decode(), flush=True)


def put_json(text: str, *, end: str = "\n", flush: bool = False) -> None:
    """Prints JSON. It decodes to the same values, whatever the encoding of stdout."""
    print(safe_json(text, only_ascii=not _is_unicode(sys.stdout)), end=end, flush=flush)


def shown(text: str) -> str:
    """The text as it is written: our own colors, and nothing else that a terminal would act on."""
    if _OURS not in text:
        return printable(text)
    return "\x1b".join(map(printable, text.split(_OURS)))


def fitted(text: str, stream: IO[str] | None = None) -> str:
    """The text with plain marks where the encoding of the stream (stdout by default) lacks ours: to be measured."""
    stream = sys.stdout if stream is None else stream
    return text if _is_unicode(stream) else encodable(text, getattr(stream, "encoding", None) or "ascii")


def _is_unicode(stream: IO[str]) -> bool:
    encoding = getattr(stream, "encoding", None)
    return not encoding or encoding.lower().replace("_", "-").startswith(("utf-", "utf8"))


class Cell(Struct, frozen=True):
    """Text in a table with a color. `code` is an ANSI code; empty for none."""

    text: str
    code: str = ""


def table(
    headings: Sequence[str], rows: Sequence[Sequence[object]], *, right: frozenset[int] = frozenset(), margin: int = 0
) -> str:
    """Rows under headings, in aligned columns without lines. Where the width is known the last column is cut to fit,
    then the widest ones, with a margin for what the caller puts before each line. Where not even that fits, each row
    becomes a block of lines."""
    cells = [[_cell(cell) for cell in row] for row in rows]
    widths = [max([len(heading), *(len(row[column].text) for row in cells)]) for column, heading in enumerate(headings)]
    paint = painter()
    if has_width():
        room = width() - margin - 2 * (len(widths) - 1)
        widths = _narrowed(widths, room)
        if cells and sum(widths) > room:
            return "\n".join(_block(headings, row, paint) for row in cells)
    lines = [paint("2", _line([Cell(heading) for heading in headings], widths, right, Painter(False)))]
    lines += [_line(row, widths, right, paint) for row in cells]
    return "\n".join(lines)


def _cell(value: object) -> Cell:
    text, code = (value.text, value.code) if isinstance(value, Cell) else (str(value), "")
    return Cell(fitted(on_one_line(text)), code)


def _line(row: Sequence[Cell], widths: Sequence[int], right: frozenset[int], paint: Painter) -> str:
    parts = []
    for column, cell in enumerate(row):
        text = _cut(cell.text, widths[column])
        gap = " " * (widths[column] - len(text))
        painted = paint(cell.code, text) if cell.code else text
        parts.append(gap + painted if column in right else painted + gap)
    return "  ".join(parts).rstrip()


def _cut(text: str, columns: int) -> str:
    mark = fitted("…")
    return text if len(text) <= columns else text[: max(0, columns - len(mark))] + mark


def _block(headings: Sequence[str], row: Sequence[Cell], paint: Painter) -> str:
    """A row as lines, on a screen too narrow for a table: its first cell, then each other one with its heading."""
    first, *others = zip(headings, row, strict=True)
    lines = [paint(first[1].code, first[1].text) if first[1].code else first[1].text]
    for heading, cell in others:
        if cell.text:
            lines.append(f"  {paint('2', heading.lower())} {paint(cell.code, cell.text) if cell.code else cell.text}")
    return "\n".join(lines)


def _narrowed(widths: Sequence[int], room: int) -> list[int]:
    """Widths that fit into the room, if any do: the last column gives way down to a third of it, then the widest ones.
    The first gives way least: it has the name or id that is typed next."""
    narrowed = list(widths)
    narrowed[-1] = max(min(widths[-1], room // 3), min(widths[-1], room - sum(widths[:-1])))
    floors = [max(_NARROWEST, room // 3), *(_NARROWEST for _ in widths[1:])]
    while sum(narrowed) > room:
        wide = [column for column, width in enumerate(narrowed) if width > floors[column]]
        if not wide:
            break
        narrowed[max(wide, key=lambda column: (narrowed[column], column))] -= 1
    return narrowed
