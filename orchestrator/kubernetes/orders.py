"""Carries out what must be done in the end, stopping a pod or deleting a Job: again until the server answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta

from msgspec import Struct

from orchestrator import clock
from orchestrator.errors import ClusterUnreachable

# An API server that could not be asked is asked again after this long.
AGAIN = timedelta(seconds=2)
_SOON_S = 0.2


class _Order(Struct, eq=False):
    work: Callable[[], None]
    due: datetime
    tries: int = 0
    under_way: Future[None] | None = None


class Orders:
    """For the owner's thread alone; the work itself is done by `threads`, and must be safe to repeat."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._orders: list[_Order] = []

    def give(self, work: Callable[[], None], now: datetime, *, due: datetime | None = None) -> None:
        """Has `work` done, at `due` if that is given."""
        self._orders.append(_Order(work, due or now))
        self.turn(now)

    def turn(self, now: datetime) -> None:
        """Starts what is due, and again what came to nothing. Anything but an answer that never came is an answer."""
        self._orders = [order for order in self._orders if not _is_done(order, now)]
        for order in self._orders:
            if order.under_way is None and order.due <= now:
                order.under_way = self._threads.submit(order.work)
                order.tries += 1

    def finish(self, seconds: float) -> int:
        """Returns when all that is due is done, at the latest after about so many seconds; how much of it is not done.
        What is due later, and was never tried, is left."""
        until = clock.monotonic() + seconds
        left = [order for order in self._orders if order.tries or order.due <= clock.now()]
        while left and (rest := until - clock.monotonic()) > 0:
            for order in left:
                order.due = min(order.due, clock.now())
            self.turn(clock.now())
            wait([order.under_way for order in left if order.under_way is not None], timeout=rest)
            left = [order for order in left if not _is_done(order, clock.now())]
            time.sleep(_SOON_S if left else 0)
        return len(left)


def _is_done(order: _Order, now: datetime) -> bool:
    if order.under_way is None or not order.under_way.done():
        return False
    if not isinstance(order.under_way.exception(), ClusterUnreachable):
        return True
    order.under_way, order.due = None, now + AGAIN
    return False
