"""The location processes of one owner: started when first needed, one for each location."""

from __future__ import annotations

import os
import selectors
from collections.abc import Iterable, Mapping

from orchestrator.errors import NotFound
from orchestrator.execution.location_process import LocationProcess, LocationSpec


class LocationPool:
    """Location processes by name."""

    def __init__(self, specs: Iterable[LocationSpec]) -> None:
        self.specs: Mapping[str, LocationSpec] = {spec.name: spec for spec in specs}
        self._processes: dict[str, LocationProcess] = {}

    def get(self, name: str) -> LocationProcess:
        """The process of a location, started now if it is not there. It may still be loading."""
        if name not in self._processes:
            if name not in self.specs:
                raise NotFound.named("location", name, self.specs)
            self._processes[name] = LocationProcess(self.specs[name])
        return self._processes[name]

    def start_all(self) -> list[LocationProcess]:
        """All processes, starting those that are not there, so that they load at the same time."""
        return [self.get(name) for name in self.specs]

    def running(self) -> list[LocationProcess]:
        return list(self._processes.values())

    def replace(self, name: str) -> None:
        """Lets a process go; the next `get` starts another."""
        process = self._processes.pop(name, None)
        if process is not None:
            process.close()

    def wait_loaded(self, process: LocationProcess) -> None:
        """Returns once the location is loaded. Raises LocationBroken or LocationDied."""
        while process.loaded is None:
            process.check()
            self._wait(process)
        process.check()

    def wait_answer(self, process: LocationProcess, request: int) -> bytes:
        """The answer to a request. Raises what the location refuses it with."""
        while (result := process.answer(request)) is None:
            self._wait(process)
        return result

    def close(self) -> None:
        for process in self._processes.values():
            process.close()
        self._processes.clear()

    def _wait(self, process: LocationProcess) -> None:
        with selectors.DefaultSelector() as selector:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if process.wants_to_send else 0)
            selector.register(process, events)
            selector.select()
        process.pump()


def drain(descriptor: int) -> list[str]:
    """The hints waiting in a wake pipe. The pipe stays readable only while there are more."""
    chunks = []
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except BlockingIOError:
            break
        if not chunk:
            break
        chunks.append(chunk)
    return b"".join(chunks).decode(errors="replace").split()
