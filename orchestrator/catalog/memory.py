"""How much memory one question may take of the process that holds the database. DuckDB has one limit for all of its
connections: without another, a question could take what the daemon's own statements need.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.catalog.database import Database
from orchestrator.errors import StoreError

# How often to look. A processor fills a few tens of megabytes in this time.
_LOOK_S = 0.02
# Of what DuckDB may use, and of what the machine has left, this share is for questions.
_SHARE = 0.5
_SIZE = re.compile(r"(?P<number>[\d.]+) ?(?P<unit>\w+)")
_UNITS = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_OWN_SIZE, _MACHINE = Path("/proc/self/statm"), Path("/proc/meminfo")


def allowance(database: Database) -> int:
    """How many bytes a question may make this process grow by."""
    limits = [limit for limit in (_limit_of(database), _available()) if limit is not None]
    return int(_SHARE * min(limits, default=1 << 40))


@contextmanager
def bounded(most: int, stop: Callable[[str], None]) -> Iterator[None]:
    """Calls `stop` with the reason, again and again, once this process has grown by more than that many bytes."""
    before = _resident()
    if before is None:
        yield  # the system does not say
        return
    over = threading.Event()

    def watch() -> None:
        too_much = False
        while not over.wait(_LOOK_S):
            too_much = too_much or (_resident() or 0) - before > most
            if too_much:
                stop(f"It needs more than the {most >> 20:,} MB of memory that a question may have, and was stopped.")

    thread = threading.Thread(target=watch, name="memory", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise StoreError("This cannot be answered now: the system allows no more threads.") from error
    try:
        yield
    finally:
        over.set()
        thread.join()


def _resident() -> int | None:
    try:
        return int(_OWN_SIZE.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def _available() -> int | None:
    try:
        found = re.search(r"^MemAvailable:\s*(\d+) kB", _MACHINE.read_text(), re.M)
    except OSError:
        return None
    return int(found[1]) << 10 if found else None


def _limit_of(database: Database) -> int | None:
    row = database.row("SELECT current_setting('memory_limit')")
    found = _SIZE.fullmatch(str(row[0])) if row else None
    return int(float(found["number"]) * _UNITS[found["unit"]]) if found and found["unit"] in _UNITS else None
