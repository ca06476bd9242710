"""Noticing that files have changed. watchdog only wakes us; whether something changed is decided by looking."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

Signature = tuple[tuple[str, int, int], ...]


def signature_of(files: Iterable[str]) -> Signature:
    """What changes when any of the files does: their times and sizes. A file that is not there counts as such."""
    found = []
    for file in sorted(set(files)):
        try:
            status = os.stat(file)  # noqa: PTH116
            found.append((file, status.st_mtime_ns, status.st_size))
        except OSError:
            found.append((file, 0, -1))
    return tuple(found)


class Watcher(FileSystemEventHandler):
    """Wakes the loop when something happens in the directories of watched files."""

    def __init__(self) -> None:
        self.wake, self._wake_end = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(self._wake_end, False)
        self._observer = Observer()
        self._observer.daemon = True
        self._directories: set[str] = set()
        self._started = False

    def watch(self, files: Iterable[str]) -> None:
        """Watches the directories of these files too. One that cannot be watched is still looked at now and then."""
        for directory in {str(Path(file).parent) for file in files} - self._directories:
            self._directories.add(directory)
            try:
                self._observer.schedule(self, directory)
                if not self._started:
                    self._observer.start()
                    self._started = True
            except OSError:
                pass

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Called in watchdog's thread."""
        if event.event_type in ("opened", "closed_no_write"):
            return
        try:
            os.write(self._wake_end, b"!")
        except OSError:
            pass  # the pipe is full: the loop will look anyway; or closed: nobody looks any more

    def drained(self) -> bool:
        """Whether there was a wake-up since this was last asked."""
        try:
            return bool(os.read(self.wake, 65536))
        except BlockingIOError:
            return False

    def close(self) -> None:
        if self._started:
            self._observer.stop()
            self._observer.join(timeout=2)
        os.close(self.wake)
        os.close(self._wake_end)
