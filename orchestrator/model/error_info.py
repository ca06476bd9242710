"""An exception as data, as it stands in events."""

from __future__ import annotations

from typing import Any

import msgspec

from orchestrator.errors import shortened

# The kind of an error that says that a process was killed for the memory it took.
OUT_OF_MEMORY = "OutOfMemory"


class Frame(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of user code on the way to an error."""

    file: str
    line: int
    function: str
    source: str = ""


class ErrorInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """An exception as data: what a person needs to see of it. `frames` holds user code only, outermost first."""

    kind: str
    message: str
    frames: tuple[Frame, ...] = ()
    cause: ErrorInfo | None = None
    metadata: dict[str, Any] = {}
    signal: int | None = None  # the process was ended by this signal
    exit_code: int | None = None  # the process ended with this code, without an outcome

    def headline(self) -> str:
        """The first line of the message, shortened, with the class of the error in front."""
        first = shortened(self.message.strip().split("\n", 1)[0])
        return f"{self.kind}: {first}" if first else self.kind
