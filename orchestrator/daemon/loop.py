"""The event loop: waits until something happens or is due, then gives each reconciler its turn."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

from orchestrator import clock
from orchestrator.daemon.log import DaemonLog
from orchestrator.daemon.reconciler import Supervised

# The longest wait. A machine that wakes from sleep goes on waiting for the rest of it: the clock that waiting goes by
# stands still meanwhile.
LONGEST_WAIT = timedelta(seconds=5)


class Loop:
    """Turns until told to stop. Before each wait, `descriptors` are those that may become readable, `writable` those
    that something is waiting to be written to; `deadline` is in monotonic seconds."""

    def __init__(
        self,
        concerns: list[Supervised],
        descriptors: Callable[[], Iterable[int]],
        deadline: Callable[[], float | None],
        log: DaemonLog,
        writable: Callable[[], Iterable[int]] = tuple,
    ) -> None:
        self._concerns = concerns
        self._descriptors = descriptors
        self._deadline = deadline
        self._writable = writable
        self._log = log
        self._clocks = clock.JumpDetector()
        self._turned_steady: float | None = None
        self.turned_at: datetime | None = None
        self.is_stopping = False
        self._is_again = False

    def again(self) -> None:
        """Somebody has made work for a concern that has had its turn already: the next turn comes without waiting."""
        self._is_again = True

    def run(self, after_turn: Callable[[datetime], None]) -> None:
        """Returns once `is_stopping` is set."""
        while not self.is_stopping:
            due = self.turn()
            assert self.turned_at is not None
            after_turn(self.turned_at)
            if not self.is_stopping and not self._is_again:
                self._wait(due)
            self._is_again = False

    def turn(self) -> datetime:
        """One turn of every concern; when the next is due, at most `LONGEST_WAIT` from now."""
        now = clock.now()
        self._notice_jump()
        due = min(_instants(self._concerns, now), default=now + LONGEST_WAIT)
        self.turned_at = now
        return min(due, now + LONGEST_WAIT)

    def _wait(self, due: datetime) -> None:
        # Between the decision and this moment the clock may have been set back: by years, for all we know.
        seconds = min((due - clock.now()).total_seconds(), LONGEST_WAIT.total_seconds())
        deadline = self._deadline()
        if deadline is not None:
            seconds = min(seconds, deadline - clock.monotonic())
        poll = select.poll()
        writable = set(self._writable())
        for descriptor in set(self._descriptors()) | writable:
            if descriptor >= 0:
                poll.register(descriptor, select.POLLIN | (select.POLLOUT if descriptor in writable else 0))
        # Rounded up: waking a fraction of a millisecond early would mean turning for nothing until it is time.
        poll.poll(max(0, int(seconds * 1000) + 1) if seconds > 0 else 0)

    def _notice_jump(self) -> None:
        steady = clock.monotonic()
        jump = self._clocks.jump(clock.now(), steady)
        turned, self._turned_steady = self._turned_steady, steady
        stood_still = timedelta(seconds=0.0 if turned is None else steady - turned) - LONGEST_WAIT
        if jump is not None:
            way = "forwards" if jump > timedelta(0) else "backwards"
            by = clock.format_duration(abs(jump).total_seconds())
            self._log.warn(f"the clock went {way} by {by}: the machine was asleep, or it was set")
        elif stood_still > clock.JumpDetector.LEAST:
            self._log.warn(f"this process stood still for {clock.format_duration(stood_still.total_seconds())}")


def _instants(concerns: list[Supervised], now: datetime) -> Iterator[datetime]:
    for concern in concerns:
        due = concern.turn(now)
        if due is not None:
            yield due
