"""Turns a stop signal into an exception in user code, but never in the middle of cleaning up."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class StepInterrupted(KeyboardInterrupt):
    """Raised in user code when its attempt is to stop. A KeyboardInterrupt: libraries know how to let one pass."""


class Interruption:
    """Whether this process was asked to stop, and whether user code may be interrupted at this moment."""

    def __init__(self) -> None:
        self.requested = False
        self.doing = ""
        self._interruptible = False
        self._describe: Callable[[], str] = str

    def install(self) -> None:
        """Takes SIGTERM and SIGINT for this process. Children that it forks get Python's own handling of them."""
        _installed.add(os.getpid())
        for number in _TAKEN:
            signal.signal(number, self._on_signal)

    def uninstall(self) -> None:
        """Gives both signals their default again."""
        _installed.discard(os.getpid())
        for number in _TAKEN:
            signal.signal(number, signal.SIG_DFL)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if not self.requested:
            self.requested = True
            self.doing = self._describe()
        self._deliver()

    def _deliver(self) -> None:
        if self._interruptible:
            self._interruptible = False  # once: a second signal must not cut the cleaning up short
            raise StepInterrupted("the attempt was told to stop")

    @contextmanager
    def interruptible(self, describe: Callable[[], str] = str) -> Iterator[None]:
        """Around user code that may be interrupted; a request that came before is honoured on entering. What `describe`
        returns at the moment of a request is kept in `doing`."""
        self._interruptible, self._describe = True, describe
        try:
            if self.requested:
                raise StepInterrupted("the attempt was told to stop")
            yield
        finally:
            self._interruptible = False

    def held(self) -> _Held:
        """Around a few lines that must not be torn apart, such as writing an event and counting it. Signals are handled
        by the main thread only, so in any other there is nothing to hold back."""
        return _Held(self)


class _Held:
    """A class and not a generator: it is entered for each event, and takes a third of the time."""

    __slots__ = ("_before", "_interruption", "_is_main")

    def __init__(self, interruption: Interruption) -> None:
        self._interruption = interruption

    def __enter__(self) -> None:
        self._is_main = threading.current_thread() is threading.main_thread()
        if self._is_main:
            self._before, self._interruption._interruptible = self._interruption._interruptible, False

    def __exit__(self, kind: object, *_: object) -> None:
        if not self._is_main:
            return
        self._interruption._interruptible = self._before
        if self._interruption.requested and kind is None:
            self._interruption._deliver()


_TAKEN = (signal.SIGTERM, signal.SIGINT)
# The processes (this one, if any) that take signals here.
_installed: set[int] = set()


def _hold_signals() -> None:
    if _installed:
        signal.pthread_sigmask(signal.SIG_BLOCK, _TAKEN)


def _let_signals_pass() -> None:
    if _installed:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _TAKEN)


def _let_children_be() -> None:
    """In a forked child: a worker of a pool that is told to stop must stop, and not raise in the middle of its work.
    What wakes the parent's loop is not its business either. Handlers of the user's own stay, as in any Python.

    Signals are held back until that is done: one that arrives in between would be taken by the parent's handler, and
    so be lost.
    """
    if not _installed:
        return
    _installed.clear()
    signal.set_wakeup_fd(-1)
    for number, default in ((signal.SIGTERM, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
        if getattr(signal.getsignal(number), "__func__", None) is Interruption._on_signal:
            signal.signal(number, default)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _TAKEN)


os.register_at_fork(before=_hold_signals, after_in_parent=_let_signals_pass, after_in_child=_let_children_be)
