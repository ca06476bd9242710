"""Materializations of assets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class NumberedMaterialization(msgspec.Struct, frozen=True):
    """A materialization with its place in the order in which all of them became known."""

    ordinal: int
    materialization: Materialization


class Materialization(msgspec.Struct, frozen=True, kw_only=True):
    """An asset was written. `id` says which event of which run, so it stays the same when the index is rebuilt."""

    id: str
    asset: tuple[str, ...]
    run_id: str
    step: str
    materialized_at: datetime
    partition: str | None = None
    description: str | None = None
    metadata: dict[str, Any] = {}
    tags: dict[str, str] = {}
    pipeline: str = ""


class AssetSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One asset of the catalog with what was last said of it."""

    asset: tuple[str, ...]
    materializations: int
    first_at: datetime
    last: Materialization


def asset_name(key: tuple[str, ...]) -> str:
    """An asset key as people write it: its parts with slashes between."""
    return "/".join(key)
