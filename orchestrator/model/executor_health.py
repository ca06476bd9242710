"""How an executor fares that runs attempts in another system, which can be away or full."""

from __future__ import annotations

from datetime import datetime

import msgspec


class ExecutorHealth(msgspec.Struct, frozen=True):
    """What an executor says of itself. `place` is the system's address; `running` and `waiting` count attempts,
    `reasons` those that wait by what they wait for. `problem` says why the system cannot be asked. It has been that way
    since `since`, or if there is none, could be asked since then."""

    name: str
    place: str
    running: int = 0
    waiting: int = 0
    reasons: dict[str, int] = {}
    problem: str | None = None
    since: datetime | None = None
