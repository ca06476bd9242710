"""Assets in tables and pages. Asks the store nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from orchestrator.cli.output import Cell, Painter, table
from orchestrator.cli.runs_view import ago, metadata_summary, metadata_words
from orchestrator.cli.styles import BOLD, DIM
from orchestrator.model.asset import AssetSummary, Materialization, asset_name, is_special_metadata


def asset_table(assets: Sequence[AssetSummary], now: datetime) -> str:
    """The catalog."""
    rows = [
        [
            Cell(asset_name(asset.asset) + (f"[{asset.last.partition}]" if asset.last.partition else ""), BOLD),
            ago(asset.last.materialized_at, now),
            str(asset.materializations),
            asset.last.pipeline,
            asset.last.run_id,
            metadata_summary(asset.last.metadata),
        ]
        for asset in assets
    ]
    return table(["ASSET", "WRITTEN", "TIMES", "PIPELINE", "RUN", "METADATA"], rows, right=frozenset({2}))


def history_table(materializations: Sequence[Materialization], now: datetime) -> str:
    """The materializations of one asset."""
    rows = [
        [
            ago(one.materialized_at, now),
            one.partition or "",
            one.run_id,
            one.step,
            metadata_summary(one.metadata),
        ]
        for one in materializations
    ]
    return table(["WRITTEN", "PARTITION", "RUN", "STEP", "METADATA"], rows)


def asset_page(asset: AssetSummary, now: datetime, paint: Painter) -> Iterator[str]:
    """One asset with everything that was last said of it."""
    last = asset.last
    times = f"{asset.materializations} time{'' if asset.materializations == 1 else 's'}"
    yield f"{paint(BOLD, asset_name(asset.asset))}  written {times}, first {ago(asset.first_at, now)}"
    partition = f", partition {last.partition}" if last.partition else ""
    yield paint(
        DIM,
        f"last {ago(last.materialized_at, now)} by {last.pipeline}.{last.step} in run {last.run_id}{partition}",
    )
    if last.description:
        yield f"\n{last.description}"
    large = {name: value for name, value in last.metadata.items() if _is_large(value)}
    small = {name: value for name, value in last.metadata.items() if name not in large}
    pad = max(map(len, small), default=0)
    yield from [""] if small else []
    for name, value in small.items():
        yield f"{paint(BOLD, name.ljust(pad))}  {metadata_words(value)}"
    for name, value in large.items():
        yield ""
        yield from _metadata(name, value, paint)
    if last.partition:
        yield paint(DIM, f"\npartitions: orchestrator asset history {asset_name(asset.asset)}")


def _metadata(name: str, value: Any, paint: Painter) -> Iterator[str]:
    if is_special_metadata(value) and value["kind"] == "table":
        rows = value["value"]
        columns = list(dict.fromkeys(column for row in rows for column in row))
        yield paint(BOLD, name)
        cells = [["" if row.get(column) is None else metadata_words(row[column]) for column in columns] for row in rows]
        yield from (f"  {line}" for line in table(columns, cells).split("\n"))
    else:
        yield paint(BOLD, name)
        yield from (f"  {line}" for line in str(value["value"]).split("\n"))


def _is_large(value: Any) -> bool:
    return is_special_metadata(value) and value["kind"] in ("table", "markdown")
