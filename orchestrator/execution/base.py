"""What every executor can do, and what it can say about an attempt. Knows none of the executors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from orchestrator.events import AnyAttemptEvent, ErrorInfo
from orchestrator.layout import RunDir
from orchestrator.records import AttemptSpec

# How long an attempt that is told to stop may take to clean up before it is killed.
DEFAULT_GRACE_S = 15.0


class Phase(StrEnum):
    """What is known of an attempt."""

    PENDING = "PENDING"  # launched, has not begun
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"  # its outcome is among the events
    FAILED = "FAILED"  # its outcome is among the events, or `error` says how it ended without one
    LOST = "LOST"  # it is over, and nobody saw how
    REVOKED = "REVOKED"  # it never began, and now never can
    UNKNOWN = "UNKNOWN"  # cannot be found out at present: changes nothing


FINAL = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.LOST, Phase.REVOKED})


@dataclass(frozen=True)
class Attempt:
    """One attempt to be launched: what its process is told (`spec`), in the directory of its run. `isolation` is "fork"
    or "spawn", and `tags` are those of the step: an executor may read its own options from them."""

    run_dir: RunDir
    location: str
    spec: AttemptSpec
    isolation: str = "fork"
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def handle(self) -> str:
        return self.spec.handle


@dataclass(frozen=True)
class Observation:
    """An attempt at the moment of asking. `events` are those recorded since it was last asked for."""

    phase: Phase
    events: tuple[AnyAttemptEvent, ...] = ()
    error: ErrorInfo | None = None
    reason: str = ""


class Executor(Protocol):
    """Runs attempts. Safe to ask anything again: launching an attempt twice runs it once."""

    name: str

    def launch(self, attempt: Attempt) -> str:
        """Starts the attempt; its handle. Raises LocationDied when that came to nothing and may succeed another time
        (the attempt counts as lost), any other ExecutionError when it is certainly impossible (as failed), and OSError
        when nothing was tried for want of space: it is asked again."""
        ...

    def adopt(self, attempt: Attempt, seen: int) -> str:
        """Watches an attempt that an earlier owner launched, or was about to; its handle. `seen` of its events are
        known already, and are not reported."""
        ...

    def poll(self) -> dict[str, Observation]:
        """What is new, by handle. An attempt is forgotten once its final observation was returned."""
        ...

    def cancel(self, handle: str, grace: float) -> None:
        """Asks the attempt to stop, and ends it after `grace` seconds if it has not. Asking again may shorten that.
        Returns at once; how it ended comes out of `poll`. Of an unknown handle nothing is done."""
        ...

    def descriptors(self) -> Iterable[int]:
        """File descriptors that become readable when a poll may have something new; polling anyway is never wrong."""
        ...
