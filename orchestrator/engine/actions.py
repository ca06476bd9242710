"""The actions that the engine may return to a run's owner."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from orchestrator.model.attempt import AttemptSpec
from orchestrator.model.events import Event
from orchestrator.model.states import RunState


class Record(Struct, frozen=True):
    """Write this event: a decision that needs no action."""

    event: Event


class Launch(Struct, frozen=True):
    """Start this attempt."""

    spec: AttemptSpec


class Stop(Struct, frozen=True):
    """End this attempt, asking first."""

    step: str
    attempt: int
    why: Literal["canceled", "timed out"]


class Finish(Struct, frozen=True):
    """The run is over."""

    status: RunState
    reason: str = ""


Action = Record | Launch | Stop | Finish
