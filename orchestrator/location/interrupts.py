"""Being told to stop: a signal becomes an exception in user code, but never in the middle of cleaning up. Why, and by
whom, is not known here.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StepInterrupted(KeyboardInterrupt):
    """Raised in user code when its attempt is to stop. A KeyboardInterrupt: libraries know how to let one pass."""


class Interruption:
    """Whether this process was asked to stop, and whether user code may be interrupted at this moment."""

    def __init__(self) -> None:
        self.requested = False
        self._interruptible = False

    def install(self) -> None:
        """Takes SIGTERM and SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
        self._deliver()

    def _deliver(self) -> None:
        if self._interruptible:
            self._interruptible = False  # once: a second signal must not cut the cleaning up short
            raise StepInterrupted("the attempt was told to stop")

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Around user code that may be interrupted; a request that came before is honoured on entering."""
        self._interruptible = True
        try:
            if self.requested:
                raise StepInterrupted("the attempt was told to stop")
            yield
        finally:
            self._interruptible = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Around a few lines that must not be torn apart, such as writing an event and counting it."""
        before, self._interruptible = self._interruptible, False
        try:
            yield
        finally:
            self._interruptible = before
        if self.requested:
            self._deliver()
