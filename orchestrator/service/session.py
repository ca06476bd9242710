"""Answers questions about the stored state, and makes the small changes to it, for one command or one request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

from orchestrator.catalog.acknowledgements import acknowledgement_of
from orchestrator.catalog.assets import asset_history, get_asset, list_assets, wipe_assets
from orchestrator.catalog.automations import list_automations
from orchestrator.catalog.damage import list_damage
from orchestrator.catalog.deliveries import list_deliveries
from orchestrator.catalog.runs import count_runs, list_runs, resolve_run, run_ids
from orchestrator.catalog.session import Store, open_store
from orchestrator.catalog.ticks import latest_ticks, list_ticks, recent_ticks
from orchestrator.model.asset import AssetSummary, Materialization
from orchestrator.model.automation import Automation
from orchestrator.model.delivery import Delivery
from orchestrator.model.filters import HistoryFilter, RunFilter, TickFilter
from orchestrator.model.run import Acknowledgement, RunSummary
from orchestrator.model.tick import Tick
from orchestrator.state_dir import StateDir

P = ParamSpec("P")
R = TypeVar("R")


class Session:
    """The stored state, open and up to date with all journals. In this process when no daemon runs, in the daemon
    otherwise: the answers are the same. Every method raises StoreError and DaemonSilent. Not thread-safe.

    It is itself a store, for the use-cases of this package that take one.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def state(self) -> StateDir:
        return self._store.state

    def __call__(self, operation: Callable[Concatenate[Any, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        return self._store(operation, *args, **kwargs)

    # --- runs ---

    def runs(self, which: RunFilter) -> list[RunSummary]:
        """The runs that pass the filter, the newest first."""
        return self(list_runs, which)

    def count_runs(self, which: RunFilter) -> int:
        """How many pass it, whatever its limit."""
        return self(count_runs, which)

    def newest_run_ids(self) -> list[str]:
        """The ids of the newest runs."""
        return self(run_ids)

    def run_id(self, reference: str) -> str:
        """The run that is meant by `last` or a unique beginning of its id. Raises NotFound."""
        return self(resolve_run, reference)

    def acknowledgement(self, run_id: str) -> Acknowledgement | None:
        """When a failed run was acknowledged, and with what note."""
        return self(acknowledgement_of, run_id)

    def damage(self) -> dict[str, str]:
        """What is known to be damaged: a sentence by run id, `""` for the state as a whole."""
        return dict(self(list_damage))

    # --- schedules and sensors ---

    def automations(self) -> list[Automation]:
        """What is remembered of all schedules and sensors."""
        return self(list_automations)

    def ticks(self, which: TickFilter) -> list[Tick]:
        """The ticks that pass the filter, the newest first."""
        return self(list_ticks, which)

    def recent_ticks(self, which: TickFilter, each: int) -> list[Tick]:
        """The same, at most the newest `each` of every schedule and sensor."""
        return self(recent_ticks, which, each)

    def latest_ticks(self) -> list[Tick]:
        """The newest tick of every schedule and sensor."""
        return self(latest_ticks)

    def deliveries(self, sensor: str | None = None) -> list[Delivery]:
        """The failed alerts of one sensor (location/name), or of all."""
        return self(list_deliveries, sensor)

    # --- assets ---

    def assets(self, prefix: tuple[str, ...] = ()) -> list[AssetSummary]:
        """The assets whose key begins with these parts, by name."""
        return self(list_assets, prefix)

    def asset(self, key: tuple[str, ...]) -> AssetSummary:
        """One asset with its newest materialization. Raises NotFound."""
        return self(get_asset, key)

    def asset_history(self, key: tuple[str, ...], which: HistoryFilter) -> list[Materialization]:
        """Its materializations that pass the filter."""
        return self(asset_history, key, which)

    def wipe_assets(self, keys: tuple[tuple[str, ...], ...] | None, now: datetime) -> int:
        """Removes assets from the catalog, all with None; how many. Data and runs stay."""
        return self(wipe_assets, keys, now=now)


@contextmanager
def open_session(
    state: StateDir, *, patience: float | None = None, tell: Callable[[str], None] | None = None
) -> Iterator[Session]:
    """The stored state of a state directory. Raises StoreBusy after `patience` seconds, and StoreError. `tell` is
    called once, with a sentence, when another process has the database for noticeably long."""
    with open_store(state, patience=patience, tell=tell) as store:
        yield Session(store)
