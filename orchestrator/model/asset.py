"""Materializations of assets."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import msgspec

_KEY_SEPARATOR = re.compile(r"\W+")
# Kinds of metadata that plain JSON cannot tell apart from text or lists; they travel as {"kind": ..., "value": ...}.
_SPECIAL_KINDS = frozenset({"url", "path", "markdown", "table", "float", "instant"})


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


class NumberedMaterialization(msgspec.Struct, frozen=True):
    """A materialization with its place in the order in which all of them became known."""

    ordinal: int
    materialization: Materialization


class AssetSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One asset of the catalog with what was last said of it."""

    asset: tuple[str, ...]
    materializations: int
    first_at: datetime
    last: Materialization


def asset_name(key: tuple[str, ...]) -> str:
    """An asset key as people write it: its parts with slashes between."""
    return "/".join(key)


def asset_parts(text: str) -> tuple[str, ...]:
    """The parts of an asset's name as people write it: split on everything but letters, digits and `_`."""
    return tuple(part for part in _KEY_SEPARATOR.split(text) if part)


def is_special_metadata(value: Any) -> bool:
    """Whether recorded metadata is of a kind that should be shown in its own way."""
    return isinstance(value, dict) and value.keys() == {"kind", "value"} and value["kind"] in _SPECIAL_KINDS
