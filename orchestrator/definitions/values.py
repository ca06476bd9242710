"""What user code hands over while it runs: outputs, facts about assets, requests to retry or to fail."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from orchestrator.clock import Duration, seconds_of
from orchestrator.errors import DefinitionError
from orchestrator.ids import MAPPING_KEY
from orchestrator.model.asset import asset_parts

DEFAULT_OUTPUT = "result"

# More tags than this on one asset do not help to find it.
MOST_TAGS = 1000


@dataclass(frozen=True)
class AssetKey:
    """The name of an asset: one or more parts. A string is split on everything but letters, digits and `_`
    ("raw/orders" and "raw.orders" are the same key); a list is taken as it is."""

    parts: tuple[str, ...]

    def __init__(self, key: str | list[str] | tuple[str, ...] | AssetKey) -> None:
        object.__setattr__(self, "parts", _key_parts(key))

    def __str__(self) -> str:
        return "/".join(self.parts)


def _key_parts(key: Any) -> tuple[str, ...]:
    if isinstance(key, AssetKey):
        return key.parts
    if isinstance(key, str):
        parts = asset_parts(key)
    elif isinstance(key, (list, tuple)) and all(isinstance(part, str) and part for part in key):
        parts = tuple(key)
    else:
        raise DefinitionError(f"An asset key is a string or a list of non-empty strings, not {key!r}.")
    if not parts:
        why = "has no letters, digits or underscores in it" if isinstance(key, str) else "has no parts"
        raise DefinitionError(f"The asset key {key!r} {why}.")
    return parts


@dataclass(frozen=True)
class Metadata:
    """A piece of metadata of a kind that its value alone does not show. Plain numbers, strings, booleans, lists and
    dictionaries need no wrapping; a `datetime` and a `Path` are recognised."""

    kind: str
    value: Any

    @staticmethod
    def url(value: str) -> Metadata:
        return Metadata("url", str(value))

    @staticmethod
    def path(value: str | os.PathLike[str]) -> Metadata:
        return Metadata("path", os.fspath(value))

    @staticmethod
    def markdown(value: str) -> Metadata:
        return Metadata("markdown", str(value))

    @staticmethod
    def table(rows: list[dict[str, Any]]) -> Metadata:
        """A small table: a list of rows, each a dictionary from column to value."""
        if not all(isinstance(row, Mapping) for row in rows):
            raise DefinitionError("Metadata.table() takes a list of dictionaries, one a row.")
        return Metadata("table", [dict(row) for row in rows])


# Whoever reads an event must be able to read it: readers of JSON have a limit of their own, of some hundred levels.
_DEEPEST = 100


def plain_metadata(metadata: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Metadata as JSON-able data. Raises DefinitionError naming `what` and the entry that cannot be recorded."""
    if not isinstance(metadata, Mapping):
        raise DefinitionError(f"The metadata of {what} must be a dictionary, not {type(metadata).__name__}.")
    plain = {}
    for name, value in metadata.items():
        try:
            plain[str(name)] = _plain(value)
        except TypeError as error:
            raise DefinitionError(
                f"The metadata entry {name!r} of {what} cannot be recorded: {error}.",
                hint="Use numbers, strings, booleans, dates, paths, lists or dictionaries of them, or Metadata.*.",
            ) from None
    return plain


def _plain(value: Any, depth: int = 0) -> Any:
    if depth > _DEEPEST:
        raise TypeError(f"it is nested more than {_DEEPEST} levels deep")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float, str)):
        return _plain_scalar(value)
    if isinstance(value, Metadata):
        return {"kind": value.kind, "value": _plain(value.value, depth + 1)}
    if isinstance(value, (datetime, date)):
        # pandas' NaT is a datetime that is not equal to itself.
        return {"kind": "instant", "value": value.isoformat()} if value == value else None
    if isinstance(value, os.PathLike):
        return {"kind": "path", "value": os.fspath(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return [_plain(item, depth + 1) for item in sorted(value, key=repr)]
    if isinstance(value, (list, tuple)):
        return [_plain(item, depth + 1) for item in value]
    item = getattr(value, "item", None)  # numpy scalars
    if callable(item) and getattr(value, "shape", None) == ():
        return _plain(item())
    raise TypeError(f"it holds a value of type {type(value).__name__}")


def _plain_scalar(value: float | str) -> Any:
    """The plain number or text behind a subclass of one (a numpy scalar, a member of an enum)."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    # JSON has no NaN or infinity; as text they survive every reader.
    return float(value) if math.isfinite(value) else {"kind": "float", "value": repr(float(value))}


@dataclass(frozen=True)
class AssetMaterialization:
    """Says that an asset was written. Give it to `context.log_asset`, yield it from a step, or return it from
    `IOManager.handle_output`."""

    asset_key: AssetKey
    description: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    partition: str | None = None
    tags: dict[str, str] = field(default_factory=dict)

    def __init__(
        self,
        asset_key: str | list[str] | tuple[str, ...] | AssetKey,
        description: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        partition: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        key = AssetKey(asset_key)
        object.__setattr__(self, "asset_key", key)
        object.__setattr__(self, "description", description)
        object.__setattr__(self, "metadata", plain_metadata(metadata or {}, f"asset {key}"))
        object.__setattr__(self, "partition", None if partition is None else str(partition))
        if tags is not None and len(tags) > MOST_TAGS:
            raise DefinitionError(
                f"Asset {key} has {len(tags):,} tags; at most {MOST_TAGS:,} are recorded.",
                hint="Tags are for finding things. Put data where the asset is.",
            )
        object.__setattr__(self, "tags", {str(name): str(value) for name, value in (tags or {}).items()})


@dataclass(frozen=True)
class Expectation:
    """The result of a check on data. One that does not hold is recorded and shown; it does not fail the step."""

    success: bool
    label: str = ""
    description: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "success", bool(self.success))
        object.__setattr__(self, "metadata", plain_metadata(self.metadata, f"expectation {self.label!r}"))


@dataclass(frozen=True)
class Output:
    """A value for one of a step's outputs. A step with several outputs yields one of these for each it produces."""

    value: Any
    name: str = DEFAULT_OUTPUT
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DynamicOutput:
    """One of many values of a dynamic output. `key` names it: ASCII letters, digits, `_`, `-` and `.`, unique within
    the output; the step mapped over it will be called `step[key]`."""

    value: Any
    key: str
    name: str = DEFAULT_OUTPUT

    def __post_init__(self) -> None:
        if not isinstance(self.key, str) or not MAPPING_KEY.fullmatch(self.key):
            is_text = isinstance(self.key, str)
            raise DefinitionError(
                f"The key {self.key!r} of a dynamic output {'cannot be used' if is_text else 'is not a string'}.",
                hint="A key is 1 to 120 ASCII letters, digits, '_', '-' or '.', without '.' or '-' at either end."
                if is_text
                else f"Write key=str({self.key!r}).",
            )


class Failure(Exception):
    """Raise it to fail a step with an explanation and metadata instead of a bare traceback. `metadata` is recorded with
    the error and must be JSON-able. A retry policy applies as to any other exception, unless `allow_retries` is
    False."""

    def __init__(
        self,
        description: str = "",
        metadata: Mapping[str, Any] | None = None,
        *,
        allow_retries: bool = True,
    ) -> None:
        super().__init__(description)
        self.description = description
        self.metadata = plain_metadata(metadata or {}, "Failure")
        self.allow_retries = allow_retries


class RetryRequested(Exception):
    """Raise it to have the step tried again: at most `max_retries` times in all, whatever its retry policy says, and no
    earlier than `seconds_to_wait` (seconds, text such as "90s", or a timedelta) after this try; at once without it."""

    def __init__(self, max_retries: int = 1, seconds_to_wait: Duration | None = None) -> None:
        if not isinstance(max_retries, int) or isinstance(max_retries, bool) or max_retries < 0:
            raise DefinitionError(f"RetryRequested(max_retries={max_retries!r}): it must be a whole number, 0 or more.")
        try:
            seconds = None if seconds_to_wait is None else seconds_of(seconds_to_wait, least=0)
        except ValueError:
            raise DefinitionError(
                f"RetryRequested(seconds_to_wait={seconds_to_wait!r}): it must be a duration of 0 seconds or more."
            ) from None
        super().__init__(f"retry requested (at most {max_retries})")
        self.max_retries = max_retries
        self.seconds_to_wait = seconds
