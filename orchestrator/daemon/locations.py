"""Keeps locations loaded: reloads them when their files change, sets broken ones aside until they are corrected, and
restarts dead ones with backoff.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from orchestrator import clock
from orchestrator.clock import Every, is_ahead, is_recent
from orchestrator.code_locations.evaluator_pool import EvaluatorPool
from orchestrator.code_locations.location_process import LocationProcess
from orchestrator.code_locations.process_memory import growth_mb, own_memory_kb
from orchestrator.daemon.file_watcher import Signature, Watcher, changed_since, names_in, neighbours, signature_of
from orchestrator.daemon.location import LONGEST_PAUSE, Location, entry_points, is_same, pause_before_try, traceback_of
from orchestrator.daemon.log import DaemonLog
from orchestrator.errors import ConfigError, LocationBroken, OrchestratorError
from orchestrator.service.location_specs import specs_of
from orchestrator.service.workspace import Workspace
from orchestrator.settings import load_settings

# An editor writes a file in several strokes; a change is acted upon once it has been quiet for this long.
SETTLE = timedelta(milliseconds=200)
# Files are checked this often without a notification: not every file system sends them.
LOOK = timedelta(seconds=5)
# How often the memory of processes is looked at.
MEASURE = timedelta(seconds=2)
# A process that has lived this long has not crashed in a loop.
_STEADY = timedelta(minutes=1)


class Locations:
    """The concern. `version` grows whenever what is declared may have changed."""

    name = "locations"

    def __init__(self, workspace: Workspace, log: DaemonLog, watcher: Watcher) -> None:
        self._workspace = workspace
        self._log = log
        self._watcher = watcher
        self._look = Every(LOOK)
        self._measure = Every(MEASURE)
        self._reload_wanted = False
        self._settings_file: Signature = ()
        self._settings_changed_at: datetime | None = None
        self.settings_error: OrchestratorError | None = None
        self.version = 0
        self.all: dict[str, Location] = {}
        self._take_settings()

    def turn(self, now: datetime) -> datetime | None:
        if self._watcher.drained() or self._look.is_due(now):
            self._look.done(now)
            self._look_at_files(now)
            self._workspace.pool.reap()
        if self._measure.is_due(now):
            self._measure.done(now)
            for location in self.all.values():
                self._look_at_memory(location, now)
        if _has_settled(self._settings_changed_at, now):
            self._settings_changed_at = None
            self._reread_settings()
        if self._reload_wanted:
            self.reload()
        for location in self.all.values():
            self._advance(location, now)
        return min(self._next_instants(now))

    def loaded(self, name: str) -> Location | None:
        """The location, if it can be asked at this moment."""
        location = self.all.get(name)
        return location if location is not None and location.evaluators is not None else None

    def modes_of(self, location: str, pipeline: str) -> tuple[str, ...]:
        """The modes of a pipeline; none when its location is not loaded."""
        loaded = self.loaded(location)
        if loaded is None or loaded.process is None or loaded.process.loaded is None:
            return ()
        infos = loaded.process.loaded.info.pipelines
        return next((info.modes for info in infos if info.name == pipeline), ())

    def why_unavailable(self, name: str) -> str | None:
        """Why nothing can be started in the location, in words; None when it can."""
        location = self.all.get(name)
        if location is None:
            return f"the workspace file has no location {name} any more"
        if location.state == "broken":
            return f"location {name} is broken"
        return None if location.state == "loaded" else f"location {name} is being loaded"

    def can_launch(self, run_id: str, name: str) -> bool:
        """Whether a step of this run can be started now. A location that is gone for good says so when it is tried."""
        return name not in self.all or self.why_unavailable(name) is None or self._workspace.pool.has_own(run_id)

    def descriptors(self) -> Iterator[int]:
        for location in self.all.values():
            if location.process is not None and location.process.is_alive:
                yield location.process.fileno()
            if location.evaluators is not None:
                yield from location.evaluators.descriptors()

    def writable(self) -> Iterator[int]:
        """The connections that something waits to be written to."""
        for location in self.all.values():
            if location.process is not None and location.process.is_alive and location.process.wants_to_send:
                yield location.process.fileno()
            if location.evaluators is not None:
                yield from location.evaluators.writable()

    def describe(self) -> list[dict[str, Any]]:
        return [
            {
                "name": location.name,
                "state": location.state,
                "error": str(location.error) if location.error else None,
                "traceback": traceback_of(location.error) if location.error else None,
                "loaded_at": location.loaded_at,
                "since": location.since,
                "restarts": location.crashes,
                "restarted_because": location.restarted_because,
                "broken": [msgspec.to_builtins(one) for one in location.known_broken()],
                "retry_at": location.retry_at,
                "pipelines": location.pipelines(),
            }
            for location in self.all.values()
        ]

    def reload_soon(self) -> None:
        """Has every location loaded anew at the next turn. May be called at any moment, even by a signal's handler."""
        self._reload_wanted = True

    def reload(self) -> None:
        """Has every location loaded anew."""
        self._reload_wanted = False
        for location in self.all.values():
            self._restart(location, clock.now())

    def close(self) -> None:
        for location in self.all.values():
            if location.evaluators is not None:
                location.evaluators.close()

    # --- the workspace file ---

    def _take_settings(self) -> None:
        self._settings_file = signature_of([str(self._workspace.settings.path)])
        self._watcher.watch([str(self._workspace.settings.path)])
        names = {location.name for location in self._workspace.settings.locations}
        for name in self.all.keys() - names:
            self._log.info("location removed", location=name)
            self._drop(self.all.pop(name))
        for name in sorted(names - self.all.keys()):
            self.all[name] = Location(name)
        self.version += 1

    def _reread_settings(self) -> None:
        try:
            settings = load_settings(self._workspace.settings.path)
            place = self._workspace.settings.state_path
            if settings.state_path != place:
                raise ConfigError(
                    f"state_dir is now {settings.state_dir}, and this daemon works in {place}.",
                    hint="Restart the daemon, or set it back.",
                )
        except OrchestratorError as error:
            self.settings_error = error
            self._log.error("the workspace file is wrong; going on with what it said before", error=str(error))
            return
        before, specs = self._workspace.pool.specs, specs_of(settings)
        self.settings_error = None
        self._workspace.settings = settings
        self._workspace.pool.specs = specs
        self._log.info("workspace file read again")
        self._take_settings()
        for name, spec in specs.items():
            if name in before and before[name] != spec:
                self._restart(self.all[name], clock.now())

    # --- one location ---

    def _look_at_files(self, now: datetime) -> None:
        settings_file = signature_of(names_in(self._settings_file))
        if settings_file != self._settings_file:
            self._settings_file, self._settings_changed_at = settings_file, now
        for location in self.all.values():
            seen = signature_of(self._names_of(location)) if location.files else ()
            if seen != location.files:
                location.files, location.changed_at = seen, now

    def _names_of(self, location: Location) -> set[str]:
        names = set(names_in(location.files))
        return names | neighbours(names) if location.error is not None else names

    def _advance(self, location: Location, now: datetime) -> None:
        if _has_settled(location.changed_at, now):
            self._log.info("reloading", location=location.name)
            location.crashes = location.tries = 0
            location.restarted_because = None
            self._restart(location, now)
        if location.process is None:
            due = location.retry_at is not None and not is_ahead(location.retry_at, LONGEST_PAUSE, now)
            if due or location.error is None:
                self._start(location, now)
            return
        location.process.pump()
        if location.process.failure is not None:
            self._fail(location, location.process.failure, now)
        elif location.evaluators is None and location.process.loaded is not None:
            self._loaded(location, location.process, now)

    def _look_at_memory(self, location: Location, now: datetime) -> None:
        """Replaces what has grown too much since it was loaded: user code may leak, in whichever process it runs."""
        if location.evaluators is None or location.process is None:
            return
        most = self._workspace.pool.specs[location.name].max_growth_mb
        grown = growth_mb(location.process.pid, location.size_kb)
        if grown > most:
            why = f"its process had grown by {grown} MB (max_growth_mb: {most})"
            self._log.warn("location process replaced", location=location.name, because=why)
            self._restart(location, now)
            location.restarted_because = why
            return
        grown = location.evaluators.replace_grown(most)
        if grown:
            why = f"a process that evaluates its sensors and schedules had grown by {grown} MB (max_growth_mb: {most})"
            self._log.warn("evaluator replaced", location=location.name, because=why)
            location.restarted_because = why

    def _start(self, location: Location, now: datetime) -> None:
        location.retry_at, location.started_at, location.started_ns = None, now, time.time_ns()
        try:
            location.process = self._workspace.pool.get(location.name)
        except OrchestratorError as error:
            self._fail(location, error, now)

    def _restart(self, location: Location, now: datetime) -> None:
        self._drop(location)
        location.changed_at = None
        # What was wrong stays in sight until it is known whether it still is.
        self._start(location, now)

    def _drop(self, location: Location) -> None:
        if location.evaluators is not None:
            location.evaluators.close()
        location.evaluators = None
        location.process = None
        location.plans.clear()
        self._workspace.pool.replace(location.name)
        self.version += 1

    def _loaded(self, location: Location, process: LocationProcess, now: datetime) -> None:
        assert process.loaded is not None
        location.evaluators, location.size_kb = EvaluatorPool(process), own_memory_kb(process.pid)
        location.error, location.loaded_at, location.tries = None, now, 0
        location.broken_before = location.broken()
        self._watch(location, process.loaded.files, now)
        self.version += 1
        self._log.info("location loaded", location=location.name)
        for one in location.broken():
            self._log.error(
                "definition broken", location=location.name, kind=one.kind, definition=one.name, error=one.error
            )

    def _fail(self, location: Location, error: OrchestratorError, now: datetime) -> None:
        process, before = location.process, location.error
        self._drop(location)
        location.error, location.broken_at = error, now if before is None else location.broken_at
        self._watch(location, process.files if process is not None else (), now)
        is_new = not is_same(error, before)
        if isinstance(error, ConfigError):
            # Only another workspace file, or another environment of ours, can mend it.
            if is_new:
                self._log.error("location cannot be started", location=location.name, error=str(error))
        elif isinstance(error, LocationBroken):
            # Another version of its files mends it, and is noticed at once; so does what it lacks, once it is there.
            location.retry_at = now + pause_before_try(location.tries)
            if is_new:
                self._log.error(
                    "location broken", location=location.name, error=error.message, traceback=error.traceback
                )
        else:
            if location.started_at is not None and now - location.started_at > _STEADY:
                location.crashes = location.tries = 0
            location.crashes += 1
            location.restarted_because = error.message
            pause = pause_before_try(location.tries)
            location.retry_at = now + pause
            self._log.error(
                "location process ended", location=location.name, error=str(error), next_try_s=pause.total_seconds()
            )
        location.tries += 1

    def _watch(self, location: Location, files: tuple[str, ...], now: datetime) -> None:
        spec = self._workspace.pool.specs[location.name]
        watched = {*files, *entry_points(spec.working_dir, spec.module, spec.file)}
        if location.error is not None:  # what it was made of before, or what lies beside it, may be what is wrong
            watched |= {*names_in(location.files), *neighbours(watched)}
        self._watcher.watch(watched)
        location.files = signature_of(watched)
        if changed_since(location.files, location.started_ns) and location.files != location.doubted:
            # Saved while it was being loaded: it is unknown which version was.
            location.doubted, location.changed_at = location.files, now

    def _next_instants(self, now: datetime) -> Iterator[datetime]:
        yield now + LOOK
        if self._settings_changed_at is not None:
            yield self._settings_changed_at + SETTLE
        for location in self.all.values():
            if location.changed_at is not None:
                yield location.changed_at + SETTLE
            if location.process is None and location.retry_at is not None:
                yield location.retry_at


def _has_settled(changed_at: datetime | None, now: datetime) -> bool:
    return changed_at is not None and not is_recent(changed_at, SETTLE, now)
