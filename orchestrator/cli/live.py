"""Redraws lines of a terminal in place. The only module that uses rich."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Any

from orchestrator.cli.output import fitted
from orchestrator.terminal import on_one_line

# Text with its ANSI code, such as "1;31"; without color it is empty.
Piece = tuple[str, str]
_STYLES = {"1": "bold", "2": "dim", "31": "red", "32": "green", "33": "yellow", "36": "cyan"}


class LiveLines:
    """Shows lines in place of those that it showed before. With `transient` they are gone in the end."""

    def __init__(self, stream: IO[str], *, transient: bool) -> None:
        from rich.console import Console
        from rich.live import Live

        self._stream = stream
        self._console = Console(file=stream)
        self._live = Live(console=self._console, auto_refresh=False, transient=transient)
        self._live.start()

    @property
    def size(self) -> tuple[int, int]:
        """How many columns and how many lines there are to fill. One line stays free: the cursor is in it."""
        size = self._console.size
        return size.width, max(1, size.height - 1)

    def show(self, lines: Sequence[Sequence[Piece]]) -> None:
        """Draws the lines. What is too long or too many for the terminal is left out: it could not be redrawn."""
        from rich.text import Text

        columns, most = self.size
        view = Text(no_wrap=True, overflow="crop")
        for number, line in enumerate(lines[:most]):
            view.append("\n" if number else "")
            view.append_text(self._drawn(line, columns))
        self._live.update(view, refresh=True)

    def close(self) -> None:
        self._live.stop()

    def _drawn(self, line: Sequence[Piece], columns: int) -> Any:
        from rich.cells import cell_len
        from rich.text import Text

        drawn = Text()
        for text, code in line:
            drawn.append(fitted(on_one_line(text), self._stream), style=style_of(code))
        if cell_len(drawn.plain) > columns:
            mark = fitted("…", self._stream)
            drawn.truncate(max(0, columns - len(mark)))
            drawn.append(mark)
        return drawn


def style_of(code: str) -> str:
    """What rich calls an ANSI code."""
    return " ".join(_STYLES[one] for one in code.split(";") if one)
