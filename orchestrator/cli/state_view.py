"""Reports what was recovered from a damaged database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.model.salvaged import Salvaged
    from orchestrator.service.maintenance import Rebuilt


def rebuilt_words(rebuilt: Rebuilt, backup: Path | None) -> Iterator[str]:
    """What was wrong, what was saved, what is lost, and what to do about that. Nothing when all was well."""
    if rebuilt.is_new:
        yield "There was no database. Ticks and cursors were only there, and which schedules and sensors are on."
        yield from _advice(backup)
    if rebuilt.damaged is None:
        return
    yield f"The database could not be read; it is in {rebuilt.damaged} now. {rebuilt.problem}"
    saved = [f"{one.what} ({one.rows:,})" for one in rebuilt.saved if one.rows]
    lost = [_lost(one) for one in rebuilt.saved if one.lost != 0]
    if saved:
        yield f"Saved from it: {', '.join(saved)}."
        if lost:
            yield f"Lost: {', '.join(lost)}."
    elif lost:
        yield "Ticks and cursors were only there, and which schedules and sensors are on: nothing of it can be read."
    if lost:
        yield from _advice(backup)


def _lost(one: Salvaged) -> str:
    return one.what if one.lost is None or not one.rows else f"{one.lost:,} of the {one.what}"


def _advice(backup: Path | None) -> Iterator[str]:
    if backup is not None:
        yield f"A backup has what it had then: orchestrator state restore {backup}"
    else:
        yield "There is no backup. Turn on what should be on: orchestrator schedule start, orchestrator sensor start."
    yield "A sensor that goes by its cursor alone starts from the beginning: orchestrator sensor cursor NAME --set"
