"""Copies of configured values and defaults, one for each attempt.

In a forked attempt every change that user code makes to them ends with its process. Where attempts share a process (a
pipeline that is run in one) the next one would see it.
"""

from __future__ import annotations

import copy
from collections.abc import MutableMapping, MutableSequence, MutableSet
from dataclasses import is_dataclass
from typing import Any

_CHANGEABLE = (MutableMapping, MutableSequence, MutableSet)


def deep_copy(value: Any) -> Any:
    """A deep copy; the value itself when it cannot be copied (a lock, an open file)."""
    try:
        return copy.deepcopy(value)
    except Exception:  # copying runs code of any class
        return value


def copied_default(value: Any) -> Any:
    """A deep copy of what holds other values; any other object stays the same one, because `default=MISSING` is
    compared by identity."""
    is_holder = isinstance(value, _CHANGEABLE) or (is_dataclass(value) and not isinstance(value, type))
    return deep_copy(value) if is_holder else value
