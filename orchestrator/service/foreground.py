"""Drives runs in the foreground until they are over. Interrupts and the display are passed in; no signal handler is set
and nothing is printed here.
"""

from __future__ import annotations

import os
import selectors
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import chain
from typing import Protocol

from orchestrator import clock
from orchestrator.engine.progress import RunProgress
from orchestrator.executors.base import FOLLOWED_S, Executor, FollowsOutput
from orchestrator.model.attempt import split_handle
from orchestrator.model.events import Event
from orchestrator.model.run import RunRecord
from orchestrator.runlog.slots import drop_slot
from orchestrator.service.driver import OwnedRun, RunDriver
from orchestrator.service.history import RunView
from orchestrator.service.interrupts import Interrupts
from orchestrator.service.workspace import Workspace

# The longest time without looking: a cancel file, a lost attempt and a log line are noticed this late.
LOOK_S = 0.2


class Display(Protocol):
    """Shows a running run."""

    def event(self, event: Event) -> None:
        """Shows an event."""
        ...

    def turn(self, progress: RunProgress) -> None:
        """Called a few times a second with the state of the run."""
        ...

    def close(self) -> None:
        """The run is over, or this process stops driving it."""
        ...


def drive(
    workspace: Workspace, owned: OwnedRun, interrupts: Interrupts, make_display: Callable[[RunRecord], Display]
) -> RunView:
    """Drives a run until it is over. The first interrupt cancels it, the second kills its steps. Releases the run
    whatever happens: another owner may resume it."""
    display = make_display(owned.record)
    events: list[Event] = []

    def listener(event: Event) -> None:
        events.append(event)
        display.event(event)

    driver = RunDriver(owned, workspace.executor, listener)
    executors = driver.executors
    try:
        driver.begin("foreground")
        drive_to_end(driver, executors, interrupts, lambda: display.turn(driver.progress))
    finally:
        display.close()
        if driver.progress.is_finished:
            drop_slot(workspace.state, owned.record.run_id)
            for executor in executors:
                executor.end_run(owned.record.run_id)
        driver.close()
        for executor in executors:
            executor.close()
    return RunView(owned.record, driver.progress, tuple(events), owned.run_log)


def drive_to_end(
    driver: RunDriver,
    executors: Sequence[Executor],
    interrupts: Interrupts,
    after_turn: Callable[[], None] = lambda: None,
) -> None:
    """Returns once the run is over. `after_turn` is called now and then, at least a few times a second."""
    while not driver.progress.is_finished:
        _obey(driver, interrupts)
        for handle, seen in chain.from_iterable(executor.poll().items() for executor in executors):
            _, step, attempt = split_handle(handle)
            driver.observe(step, attempt, seen)
        _follow_output(driver, executors)
        driver.advance(clock.now(), driver.record.max_concurrent_steps)
        after_turn()
        if not driver.progress.is_finished:
            _wait(driver, executors, interrupts)


def _follow_output(driver: RunDriver, executors: Sequence[Executor]) -> None:
    """A run in the foreground is watched all the time."""
    until = clock.now() + timedelta(seconds=FOLLOWED_S)
    for executor in executors:
        if isinstance(executor, FollowsOutput):
            executor.follow(driver.record.run_id, until)


def _obey(driver: RunDriver, interrupts: Interrupts) -> None:
    if interrupts.count > interrupts.handled:
        interrupts.handled = interrupts.count
        driver.request_cancel(interrupts.by)
        if interrupts.count > 1:
            driver.kill()


def _wait(driver: RunDriver, executors: Sequence[Executor], interrupts: Interrupts) -> None:
    timeout = LOOK_S
    due = driver.next_instant()
    if due is not None:
        timeout = min(timeout, max(0.0, (due - clock.now()).total_seconds()))
    with selectors.DefaultSelector() as selector:
        watched = chain.from_iterable(executor.descriptors() for executor in executors)
        for descriptor in {*watched, interrupts.wake}:
            selector.register(descriptor, selectors.EVENT_READ)
        for key, _ in selector.select(timeout):
            if key.fd == interrupts.wake:
                os.read(interrupts.wake, 64)
