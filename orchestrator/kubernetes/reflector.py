"""Keeps a copy of what a cluster has of one kind, by listing it and watching what changes, in a thread of its own."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from orchestrator import clock
from orchestrator.errors import OrchestratorError
from orchestrator.kubernetes.client import Client

# The server ends a watch after about this long. A connection that is dead is noticed a little later.
WATCH_S = 120
_LATE_S = 20.0
_PAGE = "250"
_LONGEST_PAUSE_S = 20.0

# Called with an object as it is now, and whether it is gone.
Seen = Callable[[Mapping[str, Any], bool], None]
# Called with the names of everything that there is, after a full list.
Listed = Callable[[set[str]], None]


class Expired(Exception):
    """The server no longer knows the version that the watch was to continue from: everything is listed again."""


class Reflector:
    """`seen` and `listed` are called in the thread. Errors are kept in `problem`, and everything is tried again."""

    def __init__(self, client: Client, path: str, query: Mapping[str, str], seen: Seen, listed: Listed) -> None:
        self._client = client
        self._path = path
        self._query = dict(query)
        self._seen = seen
        self._listed = listed
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch {path}", daemon=True)
        self.problem: str | None = None
        self.unreachable_since: datetime | None = None
        self.reachable_since: datetime | None = None
        self.is_synced = threading.Event()  # everything was listed once

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends with the watch that is under way: the process need not wait for it."""
        self._is_stopping.set()

    def _run(self) -> None:
        failures = 0
        version: str | None = None
        while not self._is_stopping.is_set():
            try:
                version = version or self._list()
                self._reached()
                version = self._watch(version)
                failures = 0
            except Expired:
                version = None
            except OrchestratorError as error:
                failures += 1
                version = None
                self.problem = error.message
                self.reachable_since, self.unreachable_since = None, self.unreachable_since or clock.now()
                self._is_stopping.wait(pause_after(failures, random.random()))
            except Exception as error:  # whatever an answer holds, watching continues
                failures += 1
                version = None
                self.problem = f"{type(error).__name__}: {error}"
                self._is_stopping.wait(pause_after(failures, random.random()))

    def _reached(self) -> None:
        self.problem = self.unreachable_since = None
        self.reachable_since = self.reachable_since or clock.now()
        self.is_synced.set()

    def _list(self) -> str:
        names: set[str] = set()
        query = {**self._query, "limit": _PAGE}
        while True:
            page = self._client.request("GET", self._path, query=query)
            for item in page.get("items") or ():
                names.add(item["metadata"]["name"])
                self._seen(item, False)
            more = (page.get("metadata") or {}).get("continue")
            if not more:
                self._listed(names)
                return str(page["metadata"]["resourceVersion"])
            query["continue"] = more

    def _watch(self, version: str) -> str:
        """Follows changes until the server ends the watch; the version to continue from."""
        seconds = WATCH_S + random.randrange(30)
        query = {
            **self._query,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
        }
        for line in self._client.lines(self._path, query, seconds + _LATE_S):
            if self._is_stopping.is_set():
                return version
            if line.strip():
                version = self._take(json.loads(line), version)
        return version

    def _take(self, event: Mapping[str, Any], version: str) -> str:
        item = event.get("object") or {}
        if event.get("type") == "ERROR":
            if item.get("code") == 410:
                raise Expired
            raise OrchestratorError(f"The watch was ended: {item.get('message')}")
        if event.get("type") in ("ADDED", "MODIFIED", "DELETED"):
            self._seen(item, event["type"] == "DELETED")
        return str((item.get("metadata") or {}).get("resourceVersion") or version)


def pause_after(failures: int, chance: float) -> float:
    """Seconds to wait after so many failures in a row: exponential backoff, with jitter by `chance` (0 to 1)."""
    longest: float = min(_LONGEST_PAUSE_S, 0.25 * 2.0 ** min(failures, 10))
    return longest * (0.5 + chance / 2)
