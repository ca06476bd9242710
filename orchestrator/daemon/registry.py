"""Reconciles stored schedules and sensors with those that are declared now."""

from __future__ import annotations

from datetime import datetime

from orchestrator.catalog.automations import list_automations
from orchestrator.catalog.deliveries import list_deliveries
from orchestrator.catalog.session import Store
from orchestrator.daemon.locations import Locations
from orchestrator.daemon.log import DaemonLog
from orchestrator.daemon.write_buffer import WriteBuffer
from orchestrator.engine import automation_lifecycle
from orchestrator.model.automation import Automation, Declared, ScheduleInfo, SensorInfo, automation_id
from orchestrator.model.delivery import Delivery


class Registry:
    """Automations by id. `version` grows whenever something may have to be decided anew."""

    def __init__(self, store: Store, locations: Locations, buffer: WriteBuffer, log: DaemonLog) -> None:
        self._store = store
        self._locations = locations
        self._buffer = buffer
        self._log = log
        self._seen = -1
        self._stale = True
        self.version = 0
        self.remembered: dict[str, Automation] = {}
        self.declared: dict[str, Declared] = {}
        self.undelivered: dict[str, dict[str, Delivery]] = {}  # failed alerts by sensor and key

    def changed(self) -> None:
        """Somebody may have turned something on or off, in the store."""
        self._stale = True

    def refresh(self, now: datetime) -> None:
        """Brings both sides together: what is new, edited, gone or back."""
        if self._stale and self._buffer.is_empty:
            # What waits to be committed is newer than what is stored. Before a user's change it is committed; if that
            # fails, the change fails too.
            self.remembered = {one.id: one for one in self._store(list_automations)}
            self.undelivered = {}
            for delivery in self._store(list_deliveries):
                self.undelivered.setdefault(delivery.sensor, {})[delivery.key] = delivery
            self._stale = False
            self._seen = -1
        if self._seen == self._locations.version:
            return
        self._seen = self._locations.version
        self.version += 1
        self._reconcile(now)

    def remember(self, automation: Automation) -> None:
        """Takes in what is about to be committed."""
        self.remembered[automation.id] = automation

    def schedules(self) -> dict[str, ScheduleInfo]:
        """The schedules that are on and can be evaluated, by id."""
        return {id: one for id, one in self.declared.items() if isinstance(one, ScheduleInfo) and self.is_on(id)}

    def sensors(self) -> dict[str, SensorInfo]:
        """The sensors that are on and can be evaluated, by id."""
        return {id: one for id, one in self.declared.items() if isinstance(one, SensorInfo) and self.is_on(id)}

    def is_on(self, id: str) -> bool:
        """Whether it is turned on, as far as is remembered."""
        return id in self.remembered and self.remembered[id].is_on

    def _reconcile(self, now: datetime) -> None:
        self.declared = {
            automation_id(location.name, declared.name): declared
            for location in self._locations.all.values()
            for declared in location.declared()
        }
        for location in self._locations.all.values():
            for declared in location.declared():
                self._meet(location.name, declared, now)
        for one in list(self.remembered.values()):
            if one.id not in self.declared and one.gone_at is None and self._is_really_gone(one):
                self._save(automation_lifecycle.gone(one, now), now)
                self._log.warn("definition gone", name=one.id, kind=one.kind, still_on=one.is_on)

    def _meet(self, location: str, declared: Declared, now: datetime) -> None:
        before = self.remembered.get(automation_id(location, declared.name))
        after = automation_lifecycle.as_declared(before, location, declared, now)
        if after is not before:
            self._save(after, now)

    def _is_really_gone(self, one: Automation) -> bool:
        location = self._locations.all.get(one.location)
        return location is None or (location.state == "loaded" and not location.is_broken(one.name))

    def _save(self, automation: Automation, now: datetime) -> None:
        self.remember(automation)
        self._buffer.add(now, automation=automation, urgent=True)
