"""Puts the daemon together: its reconcilers, the order of their turns, and the requests it answers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from orchestrator import clock
from orchestrator._version import __version__
from orchestrator.catalog.queue import unfinished_runs
from orchestrator.catalog.session import LocalStore
from orchestrator.daemon.collaborators import Collaborators
from orchestrator.daemon.evaluations import Evaluations
from orchestrator.daemon.file_watcher import Watcher
from orchestrator.daemon.locations import Locations
from orchestrator.daemon.log import DaemonLog
from orchestrator.daemon.loop import LONGEST_WAIT, Loop
from orchestrator.daemon.queue import Queue
from orchestrator.daemon.reconciler import Supervised
from orchestrator.daemon.registry import Registry
from orchestrator.daemon.retention import Retention
from orchestrator.daemon.runs import Runs
from orchestrator.daemon.schedules import Schedules
from orchestrator.daemon.sensors import Sensors
from orchestrator.daemon.write_buffer import FlushWrites, WriteBuffer
from orchestrator.engine.overlap import Active, active_runs
from orchestrator.errors import FirstError
from orchestrator.model.automation import ScheduleInfo
from orchestrator.service.cancel_run import CancelOutcome, cancel_run
from orchestrator.service.workspace import Workspace

# A concern that has not had a turn for this long is not alive.
_TOLERANCE = LONGEST_WAIT * 6


class ServeSocket:
    """The concern that serves commands. While it works for one, what it reads is up to date."""

    name = "socket"

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def turn(self, now: datetime) -> datetime | None:
        if self._daemon.server.serve_ready():
            self._daemon.registry.changed()
            self._daemon.queue.changed()
        return None


class SyncDefinitions:
    """The concern that keeps what is remembered in step with what is declared."""

    name = "definitions"

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def turn(self, now: datetime) -> datetime | None:
        self._registry.refresh(now)
        return None


class TakeAnswers:
    """Delivers the answers of user code."""

    name = "evaluations"

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def turn(self, now: datetime) -> datetime | None:
        errors = FirstError()
        for answered in self._daemon.evaluations.answers():
            try:
                answered.deliver(now)
            except Exception as error:  # one that cannot be taken, when the disk is full, takes no other with it
                self._daemon.reschedule_all()
                errors.keep(error)
        errors.raise_if_any()
        return None


class Daemon:
    """Everything that is always on, around one open store."""

    def __init__(self, workspace: Workspace, store: LocalStore, server: Any, log: DaemonLog) -> None:
        self.workspace = workspace
        self.store = store
        self.server = server
        self.log = log
        self.started_at = clock.now()
        self.watcher = Watcher()
        self.buffer = WriteBuffer(store)
        self.locations = Locations(workspace, log, self.watcher)
        self.registry = Registry(store, self.locations, self.buffer, log)
        self.evaluations = Evaluations(workspace, self.locations, store, on_lost=self.reschedule_all)
        shared = Collaborators(workspace, store, log, self.locations, self.buffer, self.registry, self.evaluations)
        self.runs = Runs(workspace.state, store, workspace.executor, self.locations.can_launch, log)
        self.queue = Queue(workspace, self.locations, store, self.runs, log)
        self.commits = FlushWrites(self.buffer, log, self.queue.changed, self._decide_again)
        self.schedules = Schedules(shared, self._active_of, self.cancel)
        self.sensors = Sensors(shared)
        self.runs.on_end = self._on_end
        self.runs.admission = self.queue.resume
        self.is_draining = False
        self.extra_descriptors: tuple[int, ...] = ()
        self.concerns = [
            Supervised(concern, log)
            for concern in (
                ServeSocket(self),
                self.locations,
                SyncDefinitions(self.registry),
                TakeAnswers(self),
                Pausable(self, self.schedules),
                Pausable(self, self.sensors),
                self.commits,
                self.queue,
                self.runs,
                Retention(workspace, store, log),
            )
        ]
        self.loop = Loop(self.concerns, self._descriptors, self._next_deadline, log, self._writable)

    def reschedule_all(self) -> None:
        """Something was decided and not carried out: everything that is due is looked at again."""
        self.schedules.due_queue.invalidate()
        self.sensors.due_queue.invalidate()

    def _decide_again(self) -> None:
        """What was decided rests on something that is not so: the registry is read again."""
        self.evaluations.forget_all()
        self.registry.changed()

    def before_operation(self) -> None:
        """Called before a command's operation: it sees, and may change, what is true now."""
        self.commits.flush()
        self.runs.catch_up()

    def cancel(self, run_id: str, by: str) -> None:
        """Cancels a run in whatever state it is."""
        if cancel_run(self.store, run_id, by, clock.now()) is CancelOutcome.DEQUEUED:
            self.queue.changed()

    def drain(self) -> None:
        """Starts nothing any more; the loop ends once what runs has ended."""
        self.is_draining = True
        self.queue.is_paused = True

    def is_idle(self) -> bool:
        return not self.runs.active

    def make_one_pass(self) -> None:
        """Does only what is due by now, and what comes of that: then it is settled."""
        self.schedules.until = clock.now()
        self.sensors.is_spread_out = False
        self.sensors.is_single_pass = True

    def is_settled(self) -> bool:
        """Whether everything that is due has been asked, committed, run and ended."""
        loading = any(location.is_loading for location in self.locations.all.values())
        asking = self.evaluations.is_busy or not self.buffer.is_empty
        due = [*self.schedules.due_queue.upcoming(), *self.sensors.due_queue.upcoming()]
        late = any(at <= clock.now() for _, at in due)
        return not (loading or asking or late or self.queue.is_busy or self.runs.active or self.runs.backlog)

    def describe(self) -> dict[str, Any]:
        """What `status` and `daemon status` show."""
        now = clock.now()
        return {
            "pid": os.getpid(),
            "started_at": self.started_at,
            "version": __version__,
            "loop_at": self.loop.turned_at,
            "executors": self.runs.executor_health(),
            "workspace_error": str(self.locations.settings_error) if self.locations.settings_error else None,
            "concerns": [concern.describe(now, _TOLERANCE) for concern in self.concerns],
            "locations": self.locations.describe(),
            "next": [*self.schedules.due_queue.describe(), *self.sensors.due_queue.describe()],
            "queue": {
                "queued": self.queue.size,
                "running": len(self.runs.active),
                "backlog": self.runs.backlog,
                "waiting": {**self.runs.held_back, **self.queue.waiting},
            },
        }

    def close(self) -> None:
        """Lets go of everything. What runs goes on, and the next daemon finds it."""
        try:
            self.commits.flush()
            self.runs.catch_up()
        finally:
            self.runs.close()
            self.locations.close()
            self.watcher.close()

    def _on_end(self) -> None:
        self.sensors.evaluate_now(clock.now())
        self.loop.again()

    def _active_of(self, id: str) -> Active:
        """The unfinished runs that a schedule's `overlap` counts, and those that are about to be committed."""
        declared, remembered = self.registry.declared.get(id), self.registry.remembered.get(id)
        if not isinstance(declared, ScheduleInfo) or remembered is None:
            return Active()
        self.runs.catch_up()
        runs = self.store(unfinished_runs)
        known = {run.run_id for run in runs}
        runs += [run for run in self.buffer.runs() if run.run_id not in known]
        modes = self.locations.modes_of(remembered.location, declared.pipeline)
        return active_runs(remembered.location, declared, modes, runs)

    def _writable(self) -> Iterator[int]:
        yield from self.server.writable()
        yield from self.locations.writable()

    def _next_deadline(self) -> float | None:
        deadlines = [self.evaluations.next_deadline(), self.server.next_deadline()]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def _descriptors(self) -> Iterator[int]:
        yield self.watcher.wake
        yield from self.extra_descriptors
        yield from self.server.descriptors()
        yield from self.locations.descriptors()
        yield from self.runs.descriptors()


class Pausable:
    """A concern that asks user code: not while draining, and not while what was answered cannot be committed."""

    def __init__(self, daemon: Daemon, concern: Schedules | Sensors) -> None:
        self.name = concern.name
        self._daemon = daemon
        self._concern = concern

    def turn(self, now: datetime) -> datetime | None:
        if self._daemon.is_draining:
            return None
        if self._daemon.commits.is_stuck:
            return now + timedelta(seconds=1)
        return self._concern.turn(now)
