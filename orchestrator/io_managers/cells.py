"""Whether two values are the same, more strictly than Python's `==`: 1 is not True, NaN is NaN. Loads no library."""

from __future__ import annotations

from datetime import datetime
from typing import Any


class UnfaithfulTable(Exception):
    """A table that would not come back as it is. The message names the column and says what to do."""


def same_cell(one: Any, other: Any) -> bool:
    """Whether two cells of a column of objects are the same value of the same type."""
    if _is_missing(one) or _is_missing(other):
        return _is_missing(one) and _is_missing(other)
    one, other = _plain(one), _plain(other)
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same_cell, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(map(same_cell, one.values(), other.values()))
    if type(one).__module__ == "numpy":
        return _same_array(one, other)
    if isinstance(one, datetime) and one.utcoffset() != other.utcoffset():
        return False
    return bool(one == other)


def _same_array(one: Any, other: Any) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.dtype == object:
        return all(map(same_cell, one.ravel().tolist(), other.ravel().tolist()))
    return bool(((one == other) | ((one != one) & (other != other))).all())


def _is_missing(cell: Any) -> bool:
    if cell is None or (isinstance(cell, float) and cell != cell):
        return True
    return type(cell).__name__ in ("NAType", "NaTType")  # pandas' own


def _plain(cell: Any) -> Any:
    """A numpy scalar as Python's own."""
    return cell.item() if type(cell).__module__ == "numpy" and getattr(cell, "shape", None) == () else cell
