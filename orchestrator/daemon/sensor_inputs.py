"""Reads the new events for an asset or run-status sensor, and computes its next cursor.

Knows nothing of when to look, and remembers nothing: the places it goes from are the sensor's cursor.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from orchestrator.catalog.assets import materializations_after
from orchestrator.catalog.endings import endings_after
from orchestrator.catalog.session import Store
from orchestrator.model.asset import NumberedMaterialization, asset_name
from orchestrator.model.automation import SensorInfo
from orchestrator.service import cursors

# An asset sensor is shown at most this many materializations of each asset at a time; the rest follows at once.
BATCH = 100


class SensorInput(Struct, frozen=True):
    """Something new. `cursor` is the place behind it, None when the cursor stays as it is; `shown` goes into the
    question; `is_more` says that there is more of it already; `about_run` is the run that an alert is about, and
    `is_retry` says that the alert has failed before."""

    cursor: str | None
    shown: dict[str, Any] = field(default_factory=dict)
    is_more: bool = False
    about_run: str | None = None
    is_retry: bool = False


def collect_input(store: Store, id: str, declared: SensorInfo, places: dict[str, int]) -> SensorInput | str:
    """What is new for a sensor that has got as far as `places`; or, in words, why that is nothing to it."""
    if declared.kind == "asset_sensor":
        return _see_assets(store, declared, places)
    return _see_endings(store, id, declared, places)


def _see_assets(store: Store, declared: SensorInfo, places: dict[str, int]) -> SensorInput | str:
    found, is_more = _new_materializations(store, declared, places)
    missing = {asset_name(asset) for asset in declared.assets} - {_name(one) for one in found}
    if not found:
        return "nothing new"
    if declared.require == "all" and missing:
        return f"nothing new of {', '.join(sorted(missing))}"
    after = {**places}
    for one in found:
        after[_name(one)] = max(after.get(_name(one), 0), one.ordinal)
    return SensorInput(cursors.encode(after), {"materializations": tuple(found)}, is_more)


def _new_materializations(
    store: Store, declared: SensorInfo, places: dict[str, int]
) -> tuple[list[NumberedMaterialization], bool]:
    only_newest = declared.read == "latest" or (declared.require == "all" and len(declared.assets) > 1)
    found: list[NumberedMaterialization] = []
    full: list[int] = []
    for asset in declared.assets:
        place = places.get(asset_name(asset), 0)
        some = store(materializations_after, [asset], place, 1 if only_newest else BATCH, only_newest)
        if len(some) == BATCH:
            full.append(some[-1].ordinal)
        found += some
    # Of several assets none may run ahead of another: what comes later in the order waits for the next look.
    in_order = [one for one in found if not full or one.ordinal <= min(full)]
    return sorted(in_order, key=lambda one: one.ordinal), bool(full)


def _see_endings(store: Store, id: str, declared: SensorInfo, places: dict[str, int]) -> SensorInput | str:
    """One run at a time, so that what goes wrong with one of them is nothing to the others."""
    place = places.get(cursors.ENDINGS, 0)
    runs = store(endings_after, place, list(declared.statuses), list(declared.pipelines), 2, id)
    if not runs:
        return "no run has ended like that"
    run = runs[0]
    return SensorInput(cursors.encode({cursors.ENDINGS: run.ordinal}), {"runs": (run,)}, len(runs) > 1, run.run_id)


def _name(one: NumberedMaterialization) -> str:
    return asset_name(one.materialization.asset)
