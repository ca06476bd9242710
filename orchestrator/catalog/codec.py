"""Converts values for the database: instants, JSON and records."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from orchestrator.clock import in_utc

T = TypeVar("T")
_encoder = msgspec.json.Encoder()


def to_timestamp(instant: datetime | None) -> datetime | None:
    """An instant as the naive UTC timestamp that is stored."""
    return None if instant is None else in_utc(instant).replace(tzinfo=None)


def from_timestamp(stored: datetime | None) -> datetime | None:
    """A stored timestamp as an instant."""
    return None if stored is None else stored.replace(tzinfo=UTC)


def to_json(value: Any) -> str:
    return _encoder.encode(value).decode()


def from_json(text: str | None, kind: type[T]) -> T:
    """A value of `kind` from its JSON; of nothing, whatever `kind()` is."""
    return kind() if text is None else msgspec.json.decode(text, type=kind)
