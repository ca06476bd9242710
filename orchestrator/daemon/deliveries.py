"""Retries of failed alerts: which one is due, and what the result of an attempt changes. When one is due is decided by
`engine.deliveries`; the changes are committed by the caller together with the tick.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from orchestrator.daemon.file_watcher import Signature
from orchestrator.daemon.locations import Locations
from orchestrator.daemon.log import DaemonLog
from orchestrator.daemon.registry import Registry
from orchestrator.daemon.sensor_inputs import SensorInput
from orchestrator.engine import deliveries as engine
from orchestrator.errors import summary_line
from orchestrator.model.automation import SensorInfo
from orchestrator.model.delivery import Delivery, RunEnding
from orchestrator.model.states import TickState
from orchestrator.model.tick import Tick

# What changes in the store, by key. None: the alert got through.
Changes = dict[str, Delivery | None]


class Deliveries:
    """The failed alerts of all run-status sensors."""

    def __init__(self, registry: Registry, locations: Locations, log: DaemonLog) -> None:
        self._registry = registry
        self._locations = locations
        self._log = log
        self._loaded: dict[str, tuple[datetime | None, Signature]] = {}

    def of(self, id: str) -> dict[str, Delivery]:
        """The failed alerts of one sensor, by key."""
        return self._registry.undelivered.get(id, {})

    def next_at(self, id: str, declared: SensorInfo, now: datetime) -> datetime | None:
        """When an alert of this sensor is tried again; None when there is none to try."""
        found = engine.next_due(self.of(id).values(), now) if declared.kind == "run_status_sensor" else None
        return found[0] if found else None

    def due(self, id: str, now: datetime) -> SensorInput | None:
        """The alert to try again now, if one is due."""
        found = engine.next_due(self.of(id).values(), now)
        if found is None or found[0] > now:
            return None
        delivery = found[1]
        return alert_sight(delivery.run, delivery.key, delivery.attempts + 1, is_retry=True)

    def first_attempt(self, id: str, sight: SensorInput) -> SensorInput:
        """The question about an ending that the sensor's cursor has not passed yet."""
        (run,) = sight.shown["runs"]
        key = engine.delivery_key(id, run)
        known = self.of(id).get(key)  # the cursor may have been set back
        attempt = known.attempts + 1 if known else 1
        return alert_sight(run, key, attempt, cursor=sight.cursor, is_more=sight.is_more)

    def settle(self, id: str, sight: SensorInput, tick: Tick, now: datetime) -> Changes:
        """Takes in the result of an attempt, and returns what is to be committed."""
        (run,) = sight.shown["runs"]
        key: str = sight.shown["delivery_key"]
        before = self.of(id).get(key)
        changes: Changes = {}
        if tick.status is TickState.FAILURE:
            if before is not None or not sight.is_retry:  # else it was acknowledged during the attempt
                changes[key] = engine.after_failure(before, id, run, tick.error or "", now)
        elif before is not None:
            others = [one for one in self.of(id).values() if one.key != key]
            changes = {key: None, **{one.key: one for one in engine.brought_forward(others, now)}}
        self._apply(id, changes)
        self._say(id, run, sight, tick, changes.get(key))
        return changes

    def adopt(self, old: str, new: str) -> Changes:
        """Hands the alerts of a sensor that was renamed to the new one."""
        changes: Changes = {one.key: _renamed(one, new) for one in self._registry.undelivered.pop(old, {}).values()}
        self._apply(new, changes)
        return changes

    def notice_reloads(self, now: datetime) -> None:
        """Makes alerts due whose location was loaded again: its code may have been repaired. Not when it was loaded
        again only because its files were saved in the moment of loading, and are the same. Only in memory, because
        losing it delays a retry and nothing else."""
        for name, location in self._locations.all.items():
            if location.loaded_at is None:
                continue
            before, files = self._loaded.setdefault(name, (location.loaded_at, location.files))
            if before == location.loaded_at:
                continue
            self._loaded[name] = (location.loaded_at, location.files)
            if files == location.files == location.doubted:
                continue
            for id, some in list(self._registry.undelivered.items()):
                if id.startswith(f"{name}/"):
                    hurried = engine.brought_forward(some.values(), now, is_reloaded=True)
                    self._apply(id, {one.key: one for one in hurried})

    # --- inside ---

    def _apply(self, id: str, changes: Changes) -> None:
        some = self._registry.undelivered.setdefault(id, {})
        for key, delivery in changes.items():
            if delivery is None:
                some.pop(key, None)
            else:
                some[key] = delivery

    def _say(self, id: str, run: RunEnding, sight: SensorInput, tick: Tick, after: Delivery | None) -> None:
        facts = {"sensor": id, "run": run.run_id, "pipeline": run.pipeline, "attempt": sight.shown["attempt"]}
        if tick.status is not TickState.FAILURE:
            skipped = {"skipped": tick.skip_reason} if tick.skip_reason else {}
            requested = {"runs": ",".join(tick.run_ids)} if tick.run_ids else {}
            self._log.info("alert delivered", **facts, **skipped, **requested)
        elif after is None or after.next_at is not None:
            next_try = {"next_try_at": after.next_at} if after else {}
            self._log.error("alert failed", **facts, **next_try, error=tick.error)
        else:
            self._log.error(
                "alert given up; try it again with `orchestrator sensor retry`",
                **facts,
                error=summary_line(tick.error or ""),
            )


def alert_sight(
    run: RunEnding, key: str, attempt: int, *, cursor: str | None = None, is_more: bool = False, is_retry: bool = False
) -> SensorInput:
    """The question to a run-status sensor about one run."""
    shown = {"runs": (run,), "delivery_key": key, "attempt": attempt}
    return SensorInput(cursor, shown, is_more, about_run=run.run_id, is_retry=is_retry)


def _renamed(delivery: Delivery, sensor: str) -> Delivery:
    return replace(delivery, sensor=sensor)
