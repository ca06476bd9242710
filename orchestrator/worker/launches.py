"""The queue of attempts that wait for room for another process. Waiting costs the step nothing: the attempt has not
begun.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from msgspec import Struct

from orchestrator.clock import format_duration
from orchestrator.limits import what_ran_out
from orchestrator.protocol.messages import LaunchAttempt

# Between two tries. Each costs a failed system call.
_AGAIN_S = 0.25
# An attempt that could not be started for this long counts as lost: its run says so, and decides how to go on.
PATIENCE_S = 60.0


class _Waiting(Struct, frozen=True):
    message: LaunchAttempt
    since: float


class Launches:
    """A queue that is empty unless the system refuses. `start` starts an attempt, and raises the system's error when
    there is no room; `give_up` records why one was not started."""

    def __init__(self, start: Callable[[LaunchAttempt], None], give_up: Callable[[LaunchAttempt, str], None]) -> None:
        self._start = start
        self._give_up = give_up
        self._waiting: deque[_Waiting] = deque()
        self._again_at = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: LaunchAttempt, now: float) -> None:
        """Starts the attempt now if that is possible, and after those that wait already."""
        self._waiting.append(_Waiting(message, now))
        if len(self._waiting) == 1:
            self._again_at = now
        self.turn(now)

    def timeout(self, now: float) -> float | None:
        """Seconds until the next try; None when nothing waits."""
        return max(0.0, self._again_at - now) if self._waiting else None

    def turn(self, now: float) -> None:
        """Starts what waits, in order, until the system refuses again."""
        if now < self._again_at:
            return
        try:
            while self._waiting:
                self._try(self._waiting[0], now)
                self._waiting.popleft()
        except (OSError, MemoryError):
            self._again_at = now + _AGAIN_S

    def retry_now(self) -> None:
        """A process has ended: there may be room now."""
        self._again_at = 0.0

    def clear(self) -> None:
        """Forgets what waits. Its owner is gone, and the next one sees that it has not begun."""
        self._waiting.clear()

    def _try(self, waiting: _Waiting, now: float) -> None:
        try:
            self._start(waiting.message)
        except (OSError, MemoryError) as error:
            if now - waiting.since < PATIENCE_S:
                raise
            why = what_ran_out(error) or str(error)
            self._give_up(waiting.message, f"{why}, for {format_duration(PATIENCE_S)} and longer")
