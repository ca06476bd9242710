"""The index of a pandas frame through Arrow: which dtypes of its levels change on the way, and how they come back.

Arrow restores the dtypes of columns. Those of index levels it makes NumPy's where pandas has a nullable or an
Arrow-backed one: `Int64` comes back as int64, and as float64 where a value is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_ARROW = "arrow"  # instead of the name of a dtype: the type of the Arrow column says all


def changed_levels(index: Any, back: Any) -> list[int]:
    """The positions of the levels that have another dtype in `back`, which has as many levels."""
    pairs = zip(_levels(index), _levels(back), strict=True)
    return [position for position, (before, after) in enumerate(pairs) if not _same_level(before, after)]


def dtypes_to_restore(index: Any, table: pa.Table) -> dict[str, str]:
    """By the position of a level, the dtype that Arrow would change and `with_levels` can restore."""
    import pandas as pd

    dtypes = [level.dtype for level in _levels(index)]
    if not any(hasattr(dtype, "__from_arrow__") for dtype in dtypes):
        return {}  # NumPy's own, which Arrow keeps
    try:
        back = table.slice(0, 0).to_pandas().index
    except Exception:  # of any class; the caller reads everything back anyway, and says what cannot be
        return {}
    if index.nlevels != back.nlevels:
        return {}
    return {
        str(position): _ARROW if isinstance(dtypes[position], pd.ArrowDtype) else str(dtypes[position].name)
        for position in changed_levels(index, back)
        if hasattr(dtypes[position], "__from_arrow__")
    }


def with_levels(index: Any, table: pa.Table, dtypes: Mapping[str, str]) -> Any:
    """The index with these levels rebuilt from the columns of the table, which have kept their dtypes."""
    import pandas as pd

    names = table.schema.pandas_metadata["index_columns"]
    levels = _levels(index)
    for position, name in dtypes.items():
        column = table.column(names[int(position)])
        dtype = pd.ArrowDtype(column.type) if name == _ARROW else pd.api.types.pandas_dtype(name)
        levels[int(position)] = pd.Index(dtype.__from_arrow__(column), name=levels[int(position)].name)
    return levels[0] if index.nlevels == 1 else pd.MultiIndex.from_arrays(levels, names=index.names)


def _levels(index: Any) -> list[Any]:
    return [index.get_level_values(level) for level in range(index.nlevels)]


def _same_level(one: Any, other: Any) -> bool:
    if one.dtype == object and other.dtype != object:
        return set(map(type, one)) <= {str} and other.dtype in ("str", "string")
    return same_dtype(one.dtype, other.dtype)


def same_dtype(one: Any, other: Any) -> bool:
    """Whether both mean the same, wherever and by whichever library it is kept."""
    import pandas as pd

    if isinstance(one, pd.StringDtype) and isinstance(other, pd.StringDtype):
        return (one.na_value is pd.NA) == (other.na_value is pd.NA)  # where the letters are kept does not matter
    if isinstance(one, pd.DatetimeTZDtype) and isinstance(other, pd.DatetimeTZDtype):
        return bool(one.unit == other.unit and _zone(one.tz) == _zone(other.tz))
    return bool(one == other)


def _zone(zone: Any) -> Any:
    """What a time zone is, whichever library it is of: zoneinfo, pytz or datetime."""
    offset = zone.utcoffset(None)
    return str(zone) if offset is None else offset
