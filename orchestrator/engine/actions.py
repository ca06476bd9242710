"""The actions that the engine may return to a run's owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orchestrator.model.attempt import AttemptSpec
from orchestrator.model.events import Event
from orchestrator.model.states import RunState


@dataclass(frozen=True)
class Record:
    """Write this event: a decision that needs no action."""

    event: Event


@dataclass(frozen=True)
class Launch:
    """Start this attempt."""

    spec: AttemptSpec


@dataclass(frozen=True)
class Stop:
    """End this attempt, asking first."""

    step: str
    attempt: int
    why: Literal["canceled", "timed out"]


@dataclass(frozen=True)
class Finish:
    """The run is over."""

    status: RunState
    reason: str = ""


Action = Record | Launch | Stop | Finish
