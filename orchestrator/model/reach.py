"""How far apart the processes may be that store a value and load it again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

# process: only the process that stored it. machine: every process of that machine. anywhere: any machine.
Reach = Literal["process", "machine", "anywhere"]

_ORDER: tuple[Reach, ...] = ("process", "machine", "anywhere")
CHOICES = frozenset(_ORDER)


class StoredWithin(msgspec.Struct, frozen=True):
    """Outputs of `step`, and perhaps of others, are stored by `manager`, which reaches this far. `in_storage`: in the
    place that the run's executor gives to managers that have none of their own."""

    step: str
    manager: str
    reach: Reach
    in_storage: bool = False


def nearest(reaches: Iterable[Reach]) -> Reach:
    """The shortest of them."""
    return min(reaches, key=_ORDER.index)


def furthest(reaches: Iterable[Reach]) -> Reach:
    """The longest of them."""
    return max(reaches, key=_ORDER.index)


def reaches(reach: Reach, needed: Reach) -> bool:
    """Whether values that reach this far can be loaded by processes that are this far apart."""
    return _ORDER.index(reach) >= _ORDER.index(needed)
