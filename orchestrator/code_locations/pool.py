"""The location processes of one owner: started when first needed, one for each location. Watches no attempt: that is
for executors.
"""

from __future__ import annotations

import os
import selectors
from collections.abc import Iterable, Mapping
from contextlib import suppress

from orchestrator.code_locations.location_process import LocationProcess, LocationSpec
from orchestrator.errors import NotFound, OrchestratorError

# Whoever waits for a process looks at it this often even if it says nothing: it may have stopped in mid-sentence.
_LOOK_S = 1.0


class LocationPool:
    """Location processes by name: the newest of each, and older ones that runs in flight still need.

    A run stays with the process that started its first step, so that it does not change when its code does.
    """

    def __init__(self, specs: Iterable[LocationSpec]) -> None:
        self.specs: Mapping[str, LocationSpec] = {spec.name: spec for spec in specs}
        self._processes: dict[str, LocationProcess] = {}
        self._of_run: dict[str, LocationProcess] = {}
        self._old: list[LocationProcess] = []
        self._leaving: list[LocationProcess] = []

    def get(self, name: str) -> LocationProcess:
        """The process of a location, started now if it is not there. It may still be loading."""
        if name not in self._processes:
            if name not in self.specs:
                raise NotFound.named("location", name, self.specs)
            self._processes[name] = LocationProcess(self.specs[name])
        return self._processes[name]

    def for_run(self, run_id: str, name: str) -> LocationProcess:
        """The process that starts the steps of a run. A dead one is followed by a fresh one, which is as good."""
        process = self._of_run.get(run_id) or self.get(name)
        process.pump()
        if not process.is_alive:
            self._let_go(process)
            process = self.get(name)
        self._of_run[run_id] = process
        return process

    def has_own(self, run_id: str) -> bool:
        """Whether a living process has begun this run, and goes on with it."""
        process = self._of_run.get(run_id)
        return process is not None and process.is_alive

    def end_run(self, run_id: str) -> None:
        """Lets the process forget a run that is over; an old one that no run needs any more is let go."""
        process = self._of_run.pop(run_id, None)
        if process is None:
            return
        process.end_run(run_id)
        if process in self._old and process not in self._of_run.values():
            self._let_go(process)

    def start_all(self, names: Iterable[str] | None = None) -> None:
        """Starts all processes, or those of these locations, that are not there, so that they load at the same time.
        One that cannot be started says so when it is asked for."""
        for name in self.specs if names is None else names:
            with suppress(OrchestratorError):
                self.get(name)

    def running(self) -> list[LocationProcess]:
        """All that have been started and not let go of."""
        return [*self._processes.values(), *self._old]

    def replace(self, name: str) -> None:
        """Makes the next `get` start another process. Runs that this one has begun stay with it."""
        process = self._processes.pop(name, None)
        if process is None:
            return
        if process.is_alive and process in self._of_run.values():
            self._old.append(process)
        else:
            self._close(process)

    def reap(self) -> None:
        """Collects the processes that were let go and have ended meanwhile. They stay until their steps are over."""
        self._leaving = [process for process in self._leaving if not process.has_ended]

    def _close(self, process: LocationProcess) -> None:
        self._of_run = {run_id: other for run_id, other in self._of_run.items() if other is not process}
        process.close()
        self._leaving.append(process)
        self.reap()

    def _let_go(self, process: LocationProcess) -> None:
        if self._processes.get(process.name) is process:
            del self._processes[process.name]
        if process in self._old:
            self._old.remove(process)
        self._close(process)

    def wait_loaded(self, process: LocationProcess) -> None:
        """Returns once the location is loaded. Raises LocationBroken or LocationDied."""
        while process.loaded is None:
            process.check()
            self.wait_any([process])
        process.check()

    def wait_answer(self, process: LocationProcess, request: int) -> bytes:
        """The answer to a request. Raises what the location refuses it with."""
        while (result := process.answer(request)) is None:
            self.wait_any([process])
        return result

    def close(self) -> None:
        for process in self.running():
            process.close()
        self._processes.clear()
        self._old.clear()
        self._of_run.clear()

    def wait_any(self, processes: Iterable[LocationProcess], seconds: float = _LOOK_S) -> None:
        """Takes in what these processes say, once one of them says something or the time is up."""
        listening = [process for process in processes if process.is_alive]
        with selectors.DefaultSelector() as selector:
            for process in listening:
                events = selectors.EVENT_READ | (selectors.EVENT_WRITE if process.wants_to_send else 0)
                selector.register(process, events)
            selector.select(seconds)
        for process in listening:
            process.pump()


# User code can write to the pipe too: one that never stops must not keep us from everything else.
_CHUNKS = 16


def drain(descriptor: int) -> list[str]:
    """The hints waiting in a wake pipe. The pipe stays readable only while there are more."""
    chunks = []
    for _ in range(_CHUNKS):
        try:
            chunk = os.read(descriptor, 65536)
        except BlockingIOError:
            break
        if not chunk:
            break
        chunks.append(chunk)
    return b"".join(chunks).decode(errors="replace").split()
