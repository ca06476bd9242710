"""Where a run came from, in words: who asked for it and when, and with what configuration, as `--set` would have it.
How the run went is not known here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.cli.output import Painter
from orchestrator.cli.runs_view import trigger_words
from orchestrator.cli.styles import DIM
from orchestrator.model.run import ALERTS_TAG, RunRecord

_MOST_SETTINGS = 20


def origin_lines(record: RunRecord, paint: Painter, *, everything: bool = False) -> Iterator[str]:
    """The lines. Of a long configuration only the beginning, unless `everything` is wanted."""
    trigger = record.trigger
    key = f", key {trigger.run_key}" if trigger.run_key else ""
    scheduled = f", for {trigger.scheduled_at:%Y-%m-%d %H:%M}Z" if trigger.scheduled_at else ""
    at = record.created_at.astimezone().isoformat(sep=" ", timespec="seconds")
    yield f"  {paint(DIM, 'asked')}   {trigger_words(trigger)}{key}{scheduled}, {at}, mode {record.mode}"
    settings = list(_settings(record.config, ""))
    shown = settings if everything else settings[:_MOST_SETTINGS]
    for setting in shown:
        yield f"  {paint(DIM, 'set')}     {setting}"
    if len(shown) < len(settings):
        yield paint(DIM, f"  and {len(settings) - len(shown):,} more: orchestrator runs show {record.run_id} --steps")
    for name, value in record.tags.items():
        if name == ALERTS_TAG:
            told = ", ".join(value.split())
            yield f"  {paint(DIM, 'alerts')}  not told to {told}, which led to it"
        else:
            yield f"  {paint(DIM, 'tag')}     {name}={value}"


def _settings(config: Any, path: str) -> Iterator[str]:
    if isinstance(config, Mapping) and config and set(config) != {"env"}:
        for name, value in config.items():
            yield from _settings(value, f"{path}.{name}" if path else str(name))
    elif path:
        yield f"{path}={_value(config)}"


def _value(value: Any) -> str:
    if isinstance(value, Mapping) and set(value) == {"env"}:
        return f"{{env: {value['env']}}}"
    return value if isinstance(value, str) and value.isprintable() else json.dumps(value, default=str)
