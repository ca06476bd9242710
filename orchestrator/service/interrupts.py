"""Interrupts: how a foreground command learns that its user wants it to stop. Sets no signal handler."""

from __future__ import annotations

import os
import selectors

from msgspec import Struct, field


class Interrupts(Struct):
    """How often the user asked to stop. The first time cancels, the second kills. `wake` ends a wait at once. While
    `is_raising`, it raises KeyboardInterrupt: for waits that cannot be woken."""

    is_raising: bool = False
    count: int = 0
    handled: int = 0
    by: str = "Ctrl-C"
    _pipe: tuple[int, int] = field(default_factory=os.pipe)

    def __call__(self, by: str = "Ctrl-C") -> None:
        self.count += 1
        self.by = by
        if self.is_raising:
            raise KeyboardInterrupt
        os.write(self._pipe[1], b"!")

    @property
    def wake(self) -> int:
        return self._pipe[0]

    def wait(self, seconds: float) -> bool:
        """Whether the user asked to stop, now or within that time."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.wake, selectors.EVENT_READ)
            if self.count <= self.handled:
                selector.select(seconds)
        return self.count > self.handled

    def close(self) -> None:
        for descriptor in self._pipe:
            os.close(descriptor)
