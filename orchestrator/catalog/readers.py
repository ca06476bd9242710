"""Threads that read the database, so that a long query holds up nothing else. Each piece of work has a connection of
its own and a time limit, and can be interrupted.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from queue import SimpleQueue
from types import MappingProxyType

from orchestrator.catalog.database import Database
from orchestrator.catalog.memory import bounded
from orchestrator.clock import format_duration, monotonic
from orchestrator.errors import StoreError

# How many threads there are for each kind of work. Slow work must not take those that quick work waits for.
LANES: Mapping[str, int] = MappingProxyType({"reads": 2, "slow": 2})
# A statement that was interrupted before it began does not notice: it is interrupted again after this long.
_AGAIN_S = 0.05

Work = Callable[[Database], bytes]


class Task:
    """One piece of work. `result` or `error` is set once `is_over`."""

    def __init__(self, work: Work, seconds: float, memory: int | None = None) -> None:
        self._work = work
        self._memory = memory
        self._seconds = seconds
        self._reader: Database | None = None
        self._lock = threading.Lock()
        self.deadline = monotonic() + seconds
        self.stopped: str | None = None  # why, once it is not wanted any more
        self.result: bytes = b""
        self.error: Exception | None = None
        self.is_over = False

    def cancel(self, why: str) -> None:
        """Stops it as soon as possible. It ends with a StoreError that says `why`."""
        self.stopped = self.stopped or why
        with self._lock:
            if self._reader is not None:
                self._reader.interrupt()

    def expire(self, now: float) -> None:
        """Stops it when its time is up, and again when it did not notice."""
        if self.stopped is not None:
            self.cancel(self.stopped)
        elif now >= self.deadline:
            self.cancel(f"It took longer than {format_duration(self._seconds)} and was stopped.")

    def run(self, database: Database) -> None:
        """Does the work, in this thread."""
        reader = database.cursor()
        with self._lock:
            self._reader = reader
        try:
            if self.stopped is None:
                with nullcontext() if self._memory is None else bounded(self._memory, self.cancel):
                    self.result = self._work(reader)
        except Exception as error:
            self.error = error
        finally:
            with self._lock:
                self._reader = None
            reader.close()
            if self.stopped is not None:
                self.error = StoreError(self.stopped, hint="Ask for less: fewer rows, a shorter time, fewer joins.")
            self.is_over = True


class Readers:
    """A bounded number of threads for one database; they are started when they are first needed."""

    def __init__(self, database: Database, lanes: Mapping[str, int] = LANES) -> None:
        self._database = database
        self._lanes = {name: _Lane(most) for name, most in lanes.items()}
        self._tasks: list[Task] = []
        self._over: deque[Task] = deque()
        self._wake_in, self._wake_out = os.pipe()
        for descriptor in (self._wake_in, self._wake_out):
            os.set_blocking(descriptor, False)

    def fileno(self) -> int:
        """What becomes readable when work is over."""
        return self._wake_in

    def submit(self, lane: str, work: Work, *, seconds: float, memory: int | None = None) -> Task:
        """Has `work` done with a connection of its own. Time spent waiting for a thread counts. `memory`: by how many
        bytes this process may grow by it."""
        task = Task(work, seconds, memory)
        self._lanes[lane].put(task, self._serve)
        self._tasks.append(task)
        return task

    def look(self) -> None:
        """Takes note of what is over, and stops what takes too long."""
        try:
            os.read(self._wake_in, 4096)
        except BlockingIOError:
            pass
        if not self._tasks:
            return
        self._tasks = [task for task in self._tasks if not task.is_over]
        now = monotonic()
        for task in self._tasks:
            task.expire(now)

    def next_deadline(self) -> float | None:
        """When to look again at the latest, on the monotonic clock."""
        if any(task.stopped is not None for task in self._tasks):
            return monotonic() + _AGAIN_S
        return min((task.deadline for task in self._tasks), default=None)

    def close(self, why: str, patience: float = 5.0) -> None:
        """Stops everything, and returns once it has stopped or patience has run out."""
        until = monotonic() + patience
        for lane in self._lanes.values():
            lane.end()
        threads = [thread for lane in self._lanes.values() for thread in lane.threads]
        while any(thread.is_alive() for thread in threads) and monotonic() < until:
            for task in self._tasks:
                if not task.is_over:
                    task.cancel(why)
            for thread in threads:
                thread.join(_AGAIN_S)
        if not any(thread.is_alive() for thread in threads):
            os.close(self._wake_in)
            os.close(self._wake_out)

    def _serve(self, lane: _Lane) -> None:
        while (task := lane.take()) is not None:
            task.run(self._database)
            lane.done()
            try:
                os.write(self._wake_out, b".")
            except BlockingIOError:
                pass  # it is readable as it is


class _Lane:
    """A queue and the threads that serve it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._queue: SimpleQueue[Task | None] = SimpleQueue()
        self._load = 0  # tasks that wait or are worked on
        self._lock = threading.Lock()
        self.threads: list[threading.Thread] = []

    def put(self, task: Task, serve: Callable[[_Lane], None]) -> None:
        """Raises StoreError when there is no thread for it, and none can be started."""
        with self._lock:
            if len(self.threads) < min(self._load + 1, self._most):
                self._start_thread(serve)
            self._load += 1
        self._queue.put(task)

    def _start_thread(self, serve: Callable[[_Lane], None]) -> None:
        thread = threading.Thread(target=serve, args=(self,), name="reader", daemon=True)
        try:
            thread.start()
        except (RuntimeError, MemoryError) as error:  # RuntimeError: that is how Python says that it is refused
            if not self.threads:
                raise StoreError(
                    "This cannot be answered now: the system allows no more threads.",
                    hint="Raise the limit (`ulimit -u`), or run less at a time.",
                ) from error
        else:
            self.threads.append(thread)

    def take(self) -> Task | None:
        return self._queue.get()

    def done(self) -> None:
        with self._lock:
            self._load -= 1

    def end(self) -> None:
        for _ in self.threads:
            self._queue.put(None)
