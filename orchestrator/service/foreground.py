"""Drives a run in the foreground until it is over. Interrupts are passed in; no signal handler is set here."""

from __future__ import annotations

import os
import selectors
from collections.abc import Callable

from orchestrator import clock
from orchestrator.executors.base import Executor
from orchestrator.records import split_handle
from orchestrator.service.driver import RunDriver
from orchestrator.service.interrupts import Interrupts

# The longest time without looking: a cancel file, a lost attempt and a log line are noticed this late.
LOOK_S = 0.2


def drive_to_end(
    driver: RunDriver,
    executor: Executor,
    interrupts: Interrupts,
    after_turn: Callable[[], None] = lambda: None,
) -> None:
    """Returns once the run is over. `after_turn` is called now and then, at least a few times a second."""
    while not driver.progress.is_finished:
        _obey(driver, interrupts)
        for handle, seen in executor.poll().items():
            _, step, attempt = split_handle(handle)
            driver.observe(step, attempt, seen)
        driver.advance(clock.now(), driver.record.max_concurrent_steps)
        after_turn()
        if not driver.progress.is_finished:
            _wait(driver, executor, interrupts)


def _obey(driver: RunDriver, interrupts: Interrupts) -> None:
    if interrupts.count > interrupts.handled:
        interrupts.handled = interrupts.count
        driver.request_cancel(interrupts.by)
        if interrupts.count > 1:
            driver.kill()


def _wait(driver: RunDriver, executor: Executor, interrupts: Interrupts) -> None:
    timeout = LOOK_S
    due = driver.next_instant()
    if due is not None:
        timeout = min(timeout, max(0.0, (due - clock.now()).total_seconds()))
    with selectors.DefaultSelector() as selector:
        for descriptor in {*executor.descriptors(), interrupts.wake}:
            selector.register(descriptor, selectors.EVENT_READ)
        for key, _ in selector.select(timeout):
            if key.fd == interrupts.wake:
                os.read(interrupts.wake, 64)
