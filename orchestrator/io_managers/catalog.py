"""The metadata that the asset catalog records of a stored table: name, size, columns and first rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orchestrator.definitions.contexts import OutputContext
from orchestrator.definitions.values import AssetMaterialization, Metadata
from orchestrator.io_managers.places import mapping_keys

if TYPE_CHECKING:
    import pyarrow as pa

PREVIEW_ROWS = 5
PREVIEW_COLUMNS = 12


def materialization(context: OutputContext, table: pa.Table, place: Mapping[str, Any]) -> AssetMaterialization:
    """The record of a stored table in the asset catalog.

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
    columns = [[_shown(value) for value in _values(column)] for column in head.columns]
    return [dict(zip(head.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(column: Any) -> list[Any]:
    try:
        return list(column.to_pylist())
    except Exception:  # a time beyond the year 9999 is no Python object, and an extension type may do anything
        return [f"({column.type})"] * len(column)


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    text = str(value) if isinstance(value, (str, Decimal)) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
