"""Keeps a copy of what a cluster has of one kind, by listing it and watching what changes, in a thread of its own."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from orchestrator import clock
from orchestrator.errors import ClusterUnreachable, OrchestratorError
from orchestrator.kubernetes.client import Client

# The server ends a watch after about this long. A connection that is dead is noticed a little later.
WATCH_S = 120
_LATE_S = 20.0
_PAGE = "250"
_LONGEST_PAUSE_S = 20.0
# A list that is older than what a watch has said is asked for again so often. Then it counts: it may be that the
# cluster was restored from a backup.
_STALE_LISTS = 5
# Of so many objects that were deleted the version is remembered, so that nothing older brings them back.
_DELETED = 1000

# Called with an object as it is now, and whether it is gone.
Seen = Callable[[Mapping[str, Any], bool], None]
# Called with the names of everything that there is, after a full list.
Listed = Callable[[set[str]], None]


class Expired(Exception):
    """The server no longer knows the version that the watch was to continue from: everything is listed again."""


class Versions:
    """The newest versions that were seen. A version that is not a number is newer than any."""

    def __init__(self) -> None:
        self._newest = 0
        self._stale = 0  # lists in a row that were older
        self._of: dict[str, int] = {}
        self._deleted: deque[str] = deque()

    def takes_list(self, version: str) -> bool:
        """Whether a list of that version is to be believed, and then starts from it."""
        self._stale = self._stale + 1 if version.isdigit() and int(version) < self._newest else 0
        if 0 < self._stale <= _STALE_LISTS:
            return False
        self._newest, self._stale = _number(version), 0
        self._of.clear()
        self._deleted.clear()
        return True

    def takes(self, metadata: Mapping[str, Any], is_gone: bool) -> bool:
        """Whether an object is not older than it was when it was last seen."""
        name, version = str(metadata.get("name")), str(metadata.get("resourceVersion"))
        if version.isdigit() and int(version) < self._of.get(name, 0):
            return False
        self._of[name] = _number(version)
        self.reached(version)
        if is_gone:
            self._deleted.append(name)
            if len(self._deleted) > _DELETED:
                self._of.pop(self._deleted.popleft(), None)
        return True

    def reached(self, version: str) -> None:
        """The watch has come as far as this version."""
        self._newest = max(self._newest, _number(version))


def _number(version: str) -> int:
    return int(version) if version.isdigit() else 0


class Reflector:
    """`seen` and `listed` are called in the thread. Errors are kept in `problem`, and everything is tried again."""

    def __init__(self, client: Client, path: str, query: Mapping[str, str], seen: Seen, listed: Listed) -> None:
        self._client = client
        self._path = path
        self._query = dict(query)
        self._seen = seen
        self._listed = listed
        self._versions = Versions()
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
            if "continue" not in query and not self._versions.takes_list(page["metadata"]["resourceVersion"]):
                raise ClusterUnreachable("The API server gave a list that is older than what it had said before.")
            for item in page.get("items") or ():
                names.add(item["metadata"]["name"])
                if self._versions.takes(item["metadata"], False):
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
                version = self._take(msgspec.json.decode(line), version)
        return version

    def _take(self, event: Mapping[str, Any], version: str) -> str:
        item = event.get("object") or {}
        if event.get("type") == "ERROR":
            if item.get("code") == 410:
                raise Expired
            raise OrchestratorError(f"The watch was ended: {item.get('message')}")
        metadata, is_gone = item.get("metadata") or {}, event.get("type") == "DELETED"
        if event.get("type") in ("ADDED", "MODIFIED", "DELETED"):
            if not self._versions.takes(metadata, is_gone):
                return version
            self._seen(item, is_gone)
        reached = str(metadata.get("resourceVersion") or version)
        self._versions.reached(reached)
        return reached


def pause_after(failures: int, chance: float) -> float:
    """Seconds to wait after so many failures in a row: exponential backoff, with jitter by `chance` (0 to 1)."""
    longest: float = min(_LONGEST_PAUSE_S, 0.25 * 2.0 ** min(failures, 10))
    return longest * (0.5 + chance / 2)
