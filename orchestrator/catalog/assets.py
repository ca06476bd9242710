"""Queries over the asset catalog: what was written, by which run, when. `ingest` fills it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from orchestrator.catalog.codec import from_json, from_timestamp, to_json, to_timestamp
from orchestrator.catalog.kinds import reads, writes
from orchestrator.errors import NotFound, near_misses
from orchestrator.model.asset import AssetSummary, Materialization, NumberedMaterialization, asset_name
from orchestrator.model.filters import HistoryFilter

if TYPE_CHECKING:
    from orchestrator.catalog.database import Database

_COLUMNS = "id, asset_key, run_id, step, materialized_at, partition_key, description, metadata, tags, pipeline"


@reads
def list_assets(database: Database, prefix: tuple[str, ...] = ()) -> list[AssetSummary]:
    """All assets whose key begins with these parts (whole parts: `raw` is no prefix of `raw_orders`), by name."""
    assets = [asset for asset in _summaries(database, "", []) if asset.asset[: len(prefix)] == prefix]
    return sorted(assets, key=lambda asset: asset.asset)


@reads
def get_asset(database: Database, key: tuple[str, ...]) -> AssetSummary:
    """One asset. Raises NotFound, saying which are near it."""
    found = _summaries(database, "WHERE asset_key = ?", [to_json(key)])
    if found:
        return found[0]
    known = [asset_name(asset.asset) for asset in list_assets(database)]
    name = asset_name(key)
    raise NotFound(f"There is no asset {name!r}.", hint=near_misses(name, known, "asset"))


@reads
def asset_history(database: Database, key: tuple[str, ...], which: HistoryFilter) -> list[Materialization]:
    """The materializations of an asset, newest first unless asked otherwise."""
    conditions, parameters = ["asset_key = ?"], [to_json(key)]
    if which.partitions:
        conditions.append("partition_key IN (SELECT unnest(?))")
        parameters.append(list(which.partitions))  # type: ignore[arg-type]
    if which.after is not None:
        conditions.append("ordinal > (SELECT coalesce(max(ordinal), 0) FROM materializations WHERE id = ?)")
        parameters.append(which.after)
    order = "ASC" if which.oldest_first else "DESC"
    limit = "" if which.limit is None else f"LIMIT {int(which.limit)}"
    where = " AND ".join(conditions)
    rows = database.rows(
        f"SELECT {_COLUMNS} FROM materializations WHERE {where} ORDER BY ordinal {order} {limit}", parameters
    )
    return [_materialization(row) for row in rows]


@writes
def wipe_assets(database: Database, keys: tuple[tuple[str, ...], ...] | None, *, now: datetime) -> int:
    """Removes assets from the catalog (None: all of them); how many there were. The runs and their events stay, and
    an asset comes back with its next materialization."""
    wiped = [to_json(key) for key in keys] if keys is not None else None
    with database.transaction():
        if wiped is None:
            wiped = [row[0] for row in database.rows("SELECT DISTINCT asset_key FROM materializations")]
        count = database.row(
            "SELECT count(DISTINCT asset_key) FROM materializations WHERE asset_key IN (SELECT unnest(?))",
            [wiped],
        )
        for table in ("materializations", "wiped_assets"):
            database.execute(f"DELETE FROM {table} WHERE asset_key IN (SELECT unnest(?))", [wiped])
        database.insert("wiped_assets", {"asset_key": wiped, "wiped_at": [to_timestamp(now)] * len(wiped)})
    return int(count[0]) if count else 0


@reads
def materializations_after(
    database: Database, assets: list[tuple[str, ...]], ordinal: int, limit: int, newest: bool
) -> list[NumberedMaterialization]:
    """What became known of these assets after that place in the order, oldest first: the oldest `limit` of it, or the
    newest."""
    rows = database.rows(
        f"SELECT {_COLUMNS}, ordinal FROM materializations WHERE ordinal > ? AND asset_key IN (SELECT unnest(?))"
        f" ORDER BY ordinal {'DESC' if newest else 'ASC'} LIMIT ?",
        [ordinal, [to_json(asset) for asset in assets], limit],
    )
    return sorted((NumberedMaterialization(int(row[10]), _materialization(row)) for row in rows), key=_ordinal)


@reads
def newest_ordinal(database: Database) -> int:
    """The place of the newest materialization of all; 0 when there is none. Wiping assets changes nothing in it."""
    return int(database.meta("next_ordinal") or 1) - 1


def _ordinal(one: NumberedMaterialization) -> int:
    return one.ordinal


def _summaries(database: Database, condition: str, parameters: list[Any]) -> list[AssetSummary]:
    rows = database.rows(
        f"WITH newest AS (SELECT max(ordinal) AS ordinal, count(*) AS n, min(materialized_at) AS first_at"
        f" FROM materializations {condition} GROUP BY asset_key)"
        f" SELECT {_COLUMNS}, n, first_at FROM materializations JOIN newest USING (ordinal)",
        parameters,
    )
    return [_summary(row) for row in rows]


def _materialization(row: tuple[Any, ...]) -> Materialization:
    at = from_timestamp(row[4])
    assert at is not None
    return Materialization(
        id=row[0],
        asset=from_json(row[1], tuple[str, ...]),
        run_id=row[2],
        step=row[3],
        materialized_at=at,
        partition=row[5],
        description=row[6],
        metadata=from_json(row[7], dict[str, Any]),
        tags=from_json(row[8], dict[str, str]),
        pipeline=row[9] or "",
    )


def _summary(row: tuple[Any, ...]) -> AssetSummary:
    last = _materialization(row)
    first_at = from_timestamp(row[11])
    assert first_at is not None
    return AssetSummary(asset=last.asset, materializations=int(row[10]), first_at=first_at, last=last)
