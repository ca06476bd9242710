"""Converts pandas frames to Arrow tables and back: equal, or refused by the name of the column.

Arrow's own conversion keeps most frames. It changes some without an error (an object column of lists comes back as
arrays, one of integers as int64), so the frame that would come back is compared with the one that went in: its columns
and dtypes always, the values of object columns one by one. In such columns None, NaN and NaT count as the same missing
value.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.io_managers.cells import UnfaithfulTable, same_cell
from orchestrator.io_managers.pandas_index import changed_levels, dtypes_to_restore, same_dtype, with_levels

if TYPE_CHECKING:
    import pyarrow as pa

# How the cells of an object column come back, in the order in which the ways are tried.
_WAYS = ("numpy", "python")
_PANDAS = b"pandas"
# What pyarrow raises for cells that it cannot convert; its own errors are ValueError, TypeError and the like too.
_CONVERSION_ERRORS = (ValueError, TypeError, OverflowError, NotImplementedError, AttributeError)
_BEYOND_FLOAT = 2**53


def to_arrow(frame: Any) -> tuple[pa.Table, dict[str, Any]]:
    """The frame as a table, and the notes that `to_pandas` needs beyond it. Raises UnfaithfulTable."""
    import pandas as pd

    if type(frame) is not pd.DataFrame:
        name = type(frame).__name__
        raise UnfaithfulTable(f"it is a {name}, which would come back as a plain DataFrame: return pd.DataFrame(value)")
    table = _converted(frame)
    arrow_dtypes = {
        position for position, dtype in enumerate(frame.dtypes) if isinstance(dtype, getattr(pd, "ArrowDtype", ()))
    }
    table = _without_dtype_names(table, arrow_dtypes)
    notes: dict[str, Any] = {"columns": {str(position): "arrow" for position in arrow_dtypes}}
    for position, dtype in enumerate(frame.dtypes):
        if pd.api.types.is_object_dtype(dtype):
            notes["columns"][str(position)] = _way_back(frame, table, position)
    if isinstance(frame.columns, pd.RangeIndex) and frame.columns.equals(pd.RangeIndex(len(frame.columns))):
        notes["range"] = True
    notes |= _index_notes(frame, table)
    _check_structure(frame, table, notes)
    return table, notes


def to_pandas(table: pa.Table, notes: Mapping[str, Any]) -> Any:
    """The frame behind a table that `to_arrow` made."""
    import pandas as pd

    frame = table.to_pandas(integer_object_nulls=True)
    for position, way in notes.get("columns", {}).items():
        cells = _WAY_BACK[way](table.column(int(position)))
        # As a series that says its dtype: pandas makes text of an array of objects that are all text.
        frame.isetitem(int(position), pd.Series(cells, index=frame.index, dtype=cells.dtype))
    if "levels" in notes:
        frame.index = with_levels(frame.index, table, notes["levels"])
    if "labels" in notes:
        frame.columns = frame.columns.astype(notes["labels"])
    if notes.get("range"):
        frame.columns = pd.RangeIndex(len(frame.columns), name=frame.columns.name)
    if "freq" in notes:
        try:
            frame.index.freq = notes["freq"]
        except ValueError:
            pass  # the rows were edited meanwhile, and have no such frequency anymore
    return frame


def _index_notes(frame: Any, table: pa.Table) -> dict[str, Any]:
    import pandas as pd

    notes: dict[str, Any] = {}
    if getattr(frame.index, "freqstr", None) and isinstance(frame.index, (pd.DatetimeIndex, pd.TimedeltaIndex)):
        notes["freq"] = frame.index.freqstr
    if changed := dtypes_to_restore(frame.index, table):
        notes["levels"] = changed
    if isinstance(frame.columns.dtype, pd.StringDtype) and frame.columns.dtype.na_value is pd.NA:
        notes["labels"] = "string"
    return notes


def to_pandas_from_elsewhere(table: pa.Table) -> Any:
    """A frame of a table that was never pandas. Integers that a float cannot hold stay integers beside nulls."""
    import pandas as pd
    from pyarrow import types

    frame = table.to_pandas()
    for position, field in enumerate(table.schema):
        column = table.column(position)
        if types.is_nested(field.type):
            cells = column.to_pandas(integer_object_nulls=True)
            frame.isetitem(position, pd.Series(cells.to_numpy(), index=frame.index, dtype=object))
        elif types.is_integer(field.type) and column.null_count and _needs_more_than_float(column):
            dtype = str(field.type).replace("int", "Int").replace("uInt", "UInt")
            frame.isetitem(position, pd.array(column.to_pylist(), dtype=dtype))
    return frame


def _needs_more_than_float(column: Any) -> bool:
    import pyarrow.compute as pc

    extremes = pc.min_max(column).as_py()
    return bool(max(abs(extremes["min"] or 0), abs(extremes["max"] or 0)) > _BEYOND_FLOAT)


def _converted(frame: Any) -> pa.Table:
    import pyarrow as pa

    repeated = list(dict.fromkeys(map(repr, frame.columns[frame.columns.duplicated()])))
    if repeated:
        raise UnfaithfulTable(f"it has more than one column called {', '.join(repeated)}: give each a name of its own")
    # The length of a frame without columns is only known from its index.
    preserve = True if frame.shape[1] == 0 and len(frame) else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of labels that change: those are refused below
            return pa.Table.from_pandas(frame, preserve_index=preserve)
    except _CONVERSION_ERRORS as error:
        column, why = _refused_column(frame) or ("its index", error)
        raise UnfaithfulTable(
            f"{column} cannot be made an Arrow column ({_one_line(why)}): convert it first, for example with"
            " .astype(str)"
        ) from error


def _refused_column(frame: Any) -> tuple[str, Exception] | None:
    import pyarrow as pa

    for position, label in enumerate(frame.columns):
        try:
            pa.Table.from_pandas(frame.iloc[:, [position]], preserve_index=False)
        except _CONVERSION_ERRORS as error:
            return f"column {label!r}", error
    return None


def _one_line(error: Exception) -> str:
    parts = error.args if len(error.args) > 1 else (str(error),)
    return " ".join(", ".join(map(str, parts)).split()).rstrip(".")


def _without_dtype_names(table: pa.Table, positions: set[int]) -> pa.Table:
    """The table with the named dtypes of these columns left out of pandas' metadata: it cannot read all it writes."""
    if not positions:
        return table
    metadata = json.loads(table.schema.metadata[_PANDAS])
    for position in positions:
        metadata["columns"][position]["numpy_type"] = "object"
    return table.replace_schema_metadata({**table.schema.metadata, _PANDAS: json.dumps(metadata).encode()})


# --- object columns ---


def _way_back(frame: Any, table: pa.Table, position: int) -> str:
    cells, column = frame.iloc[:, position], table.column(position)
    if _is_text(column.type) and set(map(type, cells)) <= {str, float, type(None)}:
        return "text"
    for way in _WAYS:
        if all(map(same_cell, cells, _WAY_BACK[way](column))):
            return way
    raise UnfaithfulTable(
        f"column {table.column_names[position]!r} holds objects that a table cannot keep as they are"
        f" (it would hold {column.type}): convert them first, for example with .astype(str) or json.dumps"
    )


def _is_text(kind: pa.DataType) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_null(kind))


def _as_objects(cells: Any) -> Any:
    import pandas as pd

    return pd.Series(cells, dtype=object).array


_WAY_BACK: dict[str, Callable[[Any], Any]] = {
    "text": lambda column: _as_objects(column.to_numpy()),
    "numpy": lambda column: _as_objects(column.to_pandas(integer_object_nulls=True)),
    "python": lambda column: _as_objects(column.to_pylist()),
    "arrow": lambda column: _arrow_backed(column),
}


def _arrow_backed(column: Any) -> Any:
    from pandas.arrays import ArrowExtensionArray

    return ArrowExtensionArray(column)


# --- all but the values ---


def _check_structure(frame: Any, table: pa.Table, notes: Mapping[str, Any]) -> None:
    """Compares everything but values, which costs the same for a frame of any length."""
    try:
        back = to_pandas(table if frame.shape[1] == 0 else table.slice(0, 0), notes)
    except Exception as error:  # pandas and pyarrow raise errors of any class for what they cannot read back
        raise UnfaithfulTable(
            f"its labels or dtypes could not be read back ({_one_line(error)}): use plain ones, for example with"
            " .astype(str)"
        ) from error
    if not _same_labels(frame.columns, back.columns):
        raise UnfaithfulTable(
            f"its column names {_shown(frame.columns)} would come back as {_shown(back.columns)}: rename them, for"
            " example with frame.columns.astype(str)"
        )
    for name, before, after in zip(frame.columns, frame.dtypes, back.dtypes, strict=True):
        if not same_dtype(before, after):
            raise UnfaithfulTable(f"column {name!r} of dtype {before} would come back as {after}: convert it first")
    _check_index(frame, table, back.index)
    if frame.attrs != back.attrs:
        raise UnfaithfulTable(
            f"its attrs {frame.attrs!r} would come back as {back.attrs!r}: use only what JSON can hold"
        )


def _same_labels(one: Any, other: Any) -> bool:
    if len(one) == 0 == len(other):
        return True
    if one.nlevels != other.nlevels or list(one.names) != list(other.names) or not one.equals(other):
        return False
    labels = zip(one, other, strict=True)
    return type(one).__name__ == "RangeIndex" or all(same_cell(before, after) for before, after in labels)


def _check_index(frame: Any, table: pa.Table, back: Any) -> None:
    import pandas as pd

    index = frame.index
    if isinstance(index, pd.RangeIndex) and frame.shape[1]:
        # It is kept as three numbers and a name, which count only for a table of the same length.
        (kept,) = table.schema.pandas_metadata["index_columns"]
        same = kept["name"] == index.name
    else:
        same = index.nlevels == back.nlevels and list(index.names) == list(back.names)
        same = same and not changed_levels(index, back)
    if not same:
        raise UnfaithfulTable(
            f"its index {_shown(index.names)} ({index.dtype}) would come back as {_shown(back.names)} ({back.dtype}):"
            " use frame.reset_index()"
        )


def _shown(labels: Any) -> str:
    text = repr(list(labels))
    return text if len(text) <= 80 else text[:77] + "..."
