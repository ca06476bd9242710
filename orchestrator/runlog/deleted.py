"""The log of what was deleted: runs with the keys they had used, and keys that were forgotten.

The database knows all of this too. It is written here as well, so that a backup from before a deletion, or a database
that is made again from the journals, does not bring a deleted run back or use its key a second time.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from orchestrator.journal import JournalWriter, read_lines
from orchestrator.layout import RunsDir
from orchestrator.state_dir import StateDir


class Deleted(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line. With `run_id`: the files of the run are gone, or never came to be, and its schedule or sensor had asked
    for it with `run_key`. Without: the key was forgotten, or all keys of that schedule or sensor when there is no key.
    """

    at: datetime
    run_id: str | None = None
    automation: str | None = msgspec.field(default=None, name="instigator")  # the name of 0.1.0
    run_key: str | None = None
    is_listed: bool = False  # it is over and stays in the list of runs: canceled in the queue, or set aside as damaged


def note_deleted(state: StateDir, entries: Iterable[Deleted]) -> None:
    """Adds lines to the log. Raises OSError."""
    writer = JournalWriter(RunsDir(state.path).deleted)
    try:
        writer.append([msgspec.json.encode(entry) + b"\n" for entry in entries])
    finally:
        writer.close()


def read_deleted(state: StateDir) -> list[Deleted]:
    """All lines, the oldest first. One that cannot be read is left out; so is a log that cannot."""
    try:
        lines = read_lines(RunsDir(state.path).deleted).lines
    except OSError:
        return []
    entries = []
    for line in lines:
        try:
            entries.append(msgspec.json.decode(line, type=Deleted))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
    return entries


class Used:
    """What the log says of keys: which ones were used by runs that are deleted, and until when they were forgotten."""

    def __init__(self, entries: Iterable[Deleted]) -> None:
        self.runs: set[str] = set()  # deleted
        self.listed: set[str] = set()  # over, and still in the list
        self.keys: dict[tuple[str, str], str] = {}
        self._forgotten: dict[tuple[str, str | None], datetime] = {}
        for entry in entries:
            self._take(entry)

    def _take(self, entry: Deleted) -> None:
        if entry.run_id is not None:
            (self.listed if entry.is_listed else self.runs).add(entry.run_id)
            if entry.automation is not None and entry.run_key is not None:
                self.keys[entry.automation, entry.run_key] = entry.run_id
        elif entry.automation is not None:
            self._forgotten[entry.automation, entry.run_key] = entry.at
            gone = [key for key in self.keys if key[0] == entry.automation and entry.run_key in (None, key[1])]
            for key in gone:
                del self.keys[key]

    def was_forgotten(self, automation: str, key: str, used_at: datetime) -> bool:
        """Whether a key that was used at that instant was forgotten afterwards."""
        forgotten = (self._forgotten.get((automation, one)) for one in (key, None))
        return any(at is not None and at >= used_at for at in forgotten)
