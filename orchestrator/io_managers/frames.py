"""Tables in the forms people use them in (pyarrow, pandas, polars), to and from the one form that is stored. Opens no
file.
"""

from __future__ import annotations

import re
import sys
import typing
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orchestrator.definitions.contexts import OutputContext
from orchestrator.definitions.types import an, type_name
from orchestrator.definitions.values import AssetMaterialization, Failure, Metadata

if TYPE_CHECKING:
    import pyarrow as pa

_LIBRARIES = ("pyarrow", "pandas", "polars")
PREVIEW_ROWS = 5
PREVIEW_COLUMNS = 12


def to_arrow(obj: Any, context: OutputContext, manager: str) -> tuple[pa.Table, str]:
    """The table in `obj`, and which library's it was. Raises Failure for anything that is not a table."""
    import pyarrow as pa

    if isinstance(obj, pa.Table):
        return obj, "pyarrow"
    if isinstance(obj, pa.RecordBatch):
        return pa.Table.from_batches([obj]), "pyarrow"
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
    if pandas is not None and isinstance(obj, pandas.DataFrame):
        return pa.Table.from_pandas(obj), "pandas"
    if polars is not None and isinstance(obj, polars.LazyFrame):
        obj = obj.collect()
    if polars is not None and isinstance(obj, polars.DataFrame):
        return obj.to_arrow(), "polars"
    raise Failure(
        f"{manager} stores tables (pyarrow, pandas or polars); output {context.name!r} of step {context.step!r}"
        f" is {'None' if obj is None else an(type_name(type(obj)))}. Give that output another io_manager."
    )


def from_arrow(table: pa.Table, wanted: Any, stored_as: str) -> Any:
    """The table in the form that the input's annotation asks for; without one, as it was stored."""
    # Of a union, such as `pd.DataFrame | None`, the first member that is a table.
    form = next((member for member in (wanted, *typing.get_args(wanted)) if _library(member) in _LIBRARIES), None)
    library = stored_as if form is None else _library(form)
    if library == "pandas":
        return table.to_pandas()
    if library == "polars":
        import polars

        frame: Any = polars.from_arrow(table)
        return frame.lazy() if getattr(form, "__name__", "") == "LazyFrame" else frame
    return table


def _library(annotation: Any) -> str:
    return str(getattr(annotation, "__module__", "")).partition(".")[0]


def mapping_keys(context: OutputContext) -> tuple[str, ...]:
    """Every key that tells this value from others of the same output: those its step is mapped for, and its own."""
    keys = tuple(re.findall(r"\[([^\]]*)\]", context.step))
    return keys if context.mapping_key is None else (*keys, context.mapping_key)


def materialization(context: OutputContext, table: pa.Table, place: Mapping[str, Any]) -> AssetMaterialization:
    """What the asset catalog is told of a stored table: its size, its columns and its first rows.

    The asset is named by the output's `asset` metadata; by default after its step, with the output's name behind it
    when that is not `result`. A mapped step writes partitions of one asset.
    """
    return AssetMaterialization(
        context.metadata.get("asset", asset_of(context)),
        metadata={
            "rows": table.num_rows,
            **place,
            "columns": Metadata.table([{"name": f.name, "type": str(f.type)} for f in table.schema]),
            "preview": Metadata.table(_preview(table)),
        },
        partition="/".join(mapping_keys(context)) or context.partition,
    )


def asset_of(context: OutputContext) -> list[str]:
    """The default name of the asset that an output writes."""
    key = context.step.partition("[")[0].split(".")
    return key if context.name == "result" else [*key, context.name]


def _preview(table: pa.Table) -> list[dict[str, Any]]:
    head = table.slice(0, PREVIEW_ROWS).select(range(min(PREVIEW_COLUMNS, table.num_columns)))
    return [{name: _shown(value) for name, value in row.items()} for row in head.to_pylist()]


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    text = str(value) if isinstance(value, (str, Decimal)) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
