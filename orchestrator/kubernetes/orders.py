"""Carries out what must be done in the end, stopping a pod or deleting a Job: again until the server answers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta

from msgspec import Struct

from orchestrator.errors import ClusterUnreachable

# An API server that could not be asked is asked again after this long.
AGAIN = timedelta(seconds=2)


class _Order(Struct):
    work: Callable[[], None]
    due: datetime
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


def _is_done(order: _Order, now: datetime) -> bool:
    if order.under_way is None or not order.under_way.done():
        return False
    if not isinstance(order.under_way.exception(), ClusterUnreachable):
        return True
    order.under_way, order.due = None, now + AGAIN
    return False
