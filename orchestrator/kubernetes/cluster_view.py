"""What is known of our pods at this moment, by attempt, kept up to date by two watches."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any

from orchestrator.kubernetes.client import Client
from orchestrator.kubernetes.facts import PodFacts, facts_of
from orchestrator.kubernetes.names import handle_in, selector
from orchestrator.kubernetes.reflector import Reflector


class ClusterView:
    """May be read from any thread. `wake` becomes readable when something has changed."""

    def __init__(self, client: Client, namespace: str, instance: str) -> None:
        self._lock = threading.Lock()
        self._pods: dict[str, PodFacts] = {}
        self._names: dict[str, str] = {}  # handle by pod
        self._followed: set[str] = set()
        self._gone: set[str] = set()  # attempts whose pod there was and is no more
        self._warnings: dict[str, str] = {}  # by the name of the object: a Job or a pod
        self._changed: set[str] = set()
        self.wake, self._waker = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(self._waker, False)
        base = f"/api/v1/namespaces/{namespace}"
        self.pods = Reflector(client, f"{base}/pods", {"labelSelector": selector(instance)}, self._pod, self._listed)
        self.events = Reflector(
            client, f"{base}/events", {"fieldSelector": "type=Warning"}, self._event, lambda _names: None
        )

    def start(self) -> None:
        self.pods.start()
        self.events.start()

    def close(self) -> None:
        self.pods.stop()
        self.events.stop()

    def changed(self) -> set[str]:
        """The attempts of which something has changed since the last call, and empties the pipe."""
        try:
            while os.read(self.wake, 4096):
                pass
        except BlockingIOError:
            pass
        with self._lock:
            changed, self._changed = self._changed, set()
        return changed

    def hint(self, handle: str) -> None:
        """Has an attempt looked at: something else is new about it."""
        with self._lock:
            self._changed.add(handle)
        self._wake()

    def pod(self, handle: str) -> tuple[PodFacts | None, bool]:
        """The attempt's pod as it was last seen, and whether it is gone."""
        with self._lock:
            return self._pods.get(handle), handle in self._gone

    def warning(self, *names: str) -> str:
        """The newest warning about one of these objects."""
        with self._lock:
            return next((self._warnings[name] for name in names if name in self._warnings), "")

    def follow(self, handle: str) -> None:
        """Keeps what was seen of an attempt's pod when the pod is gone, until `forget`."""
        with self._lock:
            self._followed.add(handle)

    def forget(self, handle: str, job: str) -> None:
        """Nothing more is asked about this attempt, whose Job has that name."""
        with self._lock:
            self._followed.discard(handle)
            self._warnings.pop(job, None)
            self._drop(handle)

    def _drop(self, handle: str) -> None:
        facts = self._pods.pop(handle, None)
        self._gone.discard(handle)
        if facts is not None:
            self._names.pop(facts.name, None)
            self._warnings.pop(facts.name, None)

    # --- in the threads of the watches ---

    def _pod(self, pod: Mapping[str, Any], is_gone: bool) -> None:
        handle = handle_in(pod.get("metadata") or {})
        if handle is None:
            return
        facts = facts_of(pod)
        with self._lock:
            # Of two pods of one Job the first counts. Kubernetes starts a second one in rare failures.
            before = self._pods.get(handle)
            if before is not None and before.uid != facts.uid and _is_later(facts, before):
                return
            if is_gone and handle not in self._followed:
                self._drop(handle)
                return
            self._pods[handle] = facts
            self._names[facts.name] = handle
            (self._gone.add if is_gone else self._gone.discard)(handle)
            self._changed.add(handle)
        self._wake()

    def _listed(self, names: set[str]) -> None:
        """After a gap in watching, pods that are not there any more were deleted in it."""
        with self._lock:
            lost = {handle for name, handle in self._names.items() if name not in names} - self._gone
            for handle in lost - self._followed:
                self._drop(handle)
            self._gone |= lost & self._followed
            self._changed |= lost & self._followed
        if lost:
            self._wake()

    def _event(self, event: Mapping[str, Any], is_gone: bool) -> None:
        about = event.get("involvedObject") or event.get("regarding") or {}
        name, message = about.get("name"), event.get("message") or event.get("note") or ""
        if is_gone or not isinstance(name, str) or not name.startswith("orc-"):
            return
        with self._lock:
            self._warnings[name] = f"{event.get('reason')}: {message}"
            if name in self._names:
                self._changed.add(self._names[name])
        self._wake()

    def _wake(self) -> None:
        try:
            os.write(self._waker, b".")
        except BlockingIOError:
            pass  # it is full, so it is readable


def _is_later(one: PodFacts, other: PodFacts) -> bool:
    return one.created_at is not None and other.created_at is not None and one.created_at > other.created_at
