"""How far asset sensors and run-status sensors have got: a place in the order of everything, kept as their cursor.

Knows nothing of evaluating them.
"""

from __future__ import annotations

import json

from orchestrator.catalog.assets import newest_ordinal
from orchestrator.catalog.endings import newest_ending
from orchestrator.catalog.session import Store
from orchestrator.model.asset import asset_name
from orchestrator.model.automation import SensorInfo

# The one place that a run-status sensor keeps.
ENDINGS = "run"


def initial(store: Store, declared: SensorInfo) -> str | None:
    """The cursor to begin with: after everything there is by now, or before it. None for a sensor that keeps its own
    cursor."""
    if declared.kind == "sensor":
        return None
    if declared.kind == "run_status_sensor":
        return encode({ENDINGS: store(newest_ending) if declared.start == "now" else 0})
    place = store(newest_ordinal) if declared.start == "now" else 0
    return encode({asset_name(asset): place for asset in declared.assets})


def encode(places: dict[str, int]) -> str:
    """The places as a cursor."""
    return json.dumps(places)


def decode(cursor: str | None) -> dict[str, int] | None:
    """The places that a cursor holds; None when it holds none."""
    try:
        found = json.loads(cursor or "null")
    except ValueError:
        return None
    if not isinstance(found, dict) or not all(type(place) is int for place in found.values()):
        return None
    return found
