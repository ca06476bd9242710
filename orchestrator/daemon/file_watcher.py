"""Detects changed files. watchdog only wakes the loop; comparing the files decides."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import ObservedWatch

# What changes when any of some files does: (name, when it was last changed in any way, size). The change time and not
# the modification time: moving another file into its place, or unpacking one with its old time, counts as well.
Signature = tuple[tuple[str, int, int], ...]

# The file system's clock may be this much behind ours.
_CLOCK_LAG_NS = 20_000_000


def signature_of(files: Iterable[str]) -> Signature:
    """The signature of these files. One that is not there counts as such."""
    found = []
    for file in sorted(set(files)):
        try:
            status = os.stat(file)  # noqa: PTH116
            found.append((file, status.st_ctime_ns, status.st_size))
        except OSError:
            found.append((file, 0, -1))
    return tuple(found)


def names_in(signature: Signature) -> list[str]:
    return [name for name, _, _ in signature]


def changed_since(signature: Signature, instant_ns: int) -> bool:
    """Whether any of the files may have changed after that instant."""
    return any(changed >= instant_ns - _CLOCK_LAG_NS for _, changed, _ in signature)


def neighbours(files: Iterable[str]) -> set[str]:
    """The Python files beside these files: one of them may be what is missing, or what is wrong."""
    found: set[str] = set()
    for directory in {os.path.dirname(file) for file in files}:  # noqa: PTH120
        try:
            found.update(entry.path for entry in os.scandir(directory) if entry.name.endswith(".py"))
        except OSError:
            pass
    return found


class Watcher(FileSystemEventHandler):
    """Wakes the loop when something happens to watched files, or to Python files beside them."""

    def __init__(self) -> None:
        self.wake, self._wake_end = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(self._wake_end, False)
        self._observer = Observer()
        self._observer.daemon = True
        self._directories: dict[str, tuple[int, ObservedWatch]] = {}
        self._files: set[str] = set()
        self._started = False

    def watch(self, files: Iterable[str]) -> None:
        """Watches these files too. Those of a directory that cannot be watched are still looked at now and then."""
        self._files.update(files)
        for directory in {str(Path(file).parent) for file in files}:
            try:
                self._watch_directory(directory, os.stat(directory).st_ino)  # noqa: PTH116
            except OSError:
                pass

    def _watch_directory(self, directory: str, number: int) -> None:
        known = self._directories.get(directory)
        if known is not None:
            if known[0] == number:
                return
            self._observer.unschedule(known[1])  # it was removed and created again: the new one is not watched
        self._directories[directory] = (number, self._observer.schedule(self, directory))
        if not self._started:
            self._observer.start()
            self._started = True

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Called in watchdog's thread. Steps may write a lot beside the code; that is ignored."""
        if event.event_type in ("opened", "closed_no_write"):
            return
        paths = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
        if not any(path.endswith(".py") or path in self._files or path in self._directories for path in paths):
            return
        try:
            os.write(self._wake_end, b"!")
        except OSError:
            pass  # the pipe is full: the loop will look anyway; or closed: the loop has ended

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
