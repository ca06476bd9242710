"""What is known of our pods at this moment, by attempt, kept up to date by two watches."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from orchestrator.kubernetes.client import Client
from orchestrator.kubernetes.facts import PodFacts, facts_of, pull_seconds
from orchestrator.kubernetes.names import handle_in, selector
from orchestrator.kubernetes.reflector import Reflector

_LAST = datetime.max.replace(tzinfo=UTC)


class ClusterView:
    """May be read from any thread. `wake` becomes readable when something has changed."""

    def __init__(self, client: Client, namespace: str, instance: str) -> None:
        self._lock = threading.Lock()
        self._pods: dict[str, dict[str, PodFacts]] = {}  # by attempt and name
        self._names: dict[str, str] = {}  # the attempt by the name of its pod
        self._followed: set[str] = set()
        self._gone: set[str] = set()  # pods that there were and are no more
        self._warnings: dict[str, str] = {}  # by the name of the object: a Job or a pod
        self._pulls: dict[str, float] = {}  # by pod: seconds in which its image was pulled
        self._changed: set[str] = set()
        self.wake, self._waker = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(self._waker, False)
        base = f"/api/v1/namespaces/{namespace}"
        self.pods = Reflector(client, f"{base}/pods", {"labelSelector": selector(instance)}, self._pod, self._listed)
        self.events = Reflector(
            client, f"{base}/events", {"fieldSelector": "type=Warning"}, self._event, lambda _names: None
        )
        self.pulls = Reflector(
            client, f"{base}/events", {"fieldSelector": "reason=Pulled"}, self._pulled, lambda _names: None
        )

    def start(self) -> None:
        self.pods.start()
        self.events.start()
        self.pulls.start()

    def close(self) -> None:
        self.pods.stop()
        self.events.stop()
        self.pulls.stop()

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
            facts = chosen(self._pods.get(handle, {}).values())
            return facts, facts is not None and facts.name in self._gone

    def warning(self, *names: str) -> str:
        """The newest warning about one of these objects."""
        with self._lock:
            return next((self._warnings[name] for name in names if name in self._warnings), "")

    def pulled_s(self, pod: str) -> float | None:
        """How long the node took to pull the pod's image, 0 when it was there; None when that is not known."""
        with self._lock:
            return self._pulls.get(pod)

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
        for name in list(self._pods.get(handle, ())):
            self._drop_pod(handle, name)

    def _drop_pod(self, handle: str, name: str) -> None:
        pods = self._pods.get(handle, {})
        pods.pop(name, None)
        if not pods:
            self._pods.pop(handle, None)
        self._gone.discard(name)
        self._names.pop(name, None)
        self._warnings.pop(name, None)
        self._pulls.pop(name, None)

    # --- in the threads of the watches ---

    def _pod(self, pod: Mapping[str, Any], is_gone: bool) -> None:
        handle = handle_in(pod.get("metadata") or {})
        if handle is None:
            return
        facts = facts_of(pod)
        with self._lock:
            if is_gone and handle not in self._followed:
                self._drop_pod(handle, facts.name)
                return
            self._pods.setdefault(handle, {})[facts.name] = facts
            self._names[facts.name] = handle
            (self._gone.add if is_gone else self._gone.discard)(facts.name)
            self._changed.add(handle)
        self._wake()

    def _listed(self, names: set[str]) -> None:
        """After a gap in watching, pods that are not there any more were deleted in it."""
        with self._lock:
            lost = {name: handle for name, handle in self._names.items() if name not in names | self._gone}
            for name, handle in lost.items():
                if handle in self._followed:
                    self._gone.add(name)
                    self._changed.add(handle)
                else:
                    self._drop_pod(handle, name)
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

    def _pulled(self, event: Mapping[str, Any], is_gone: bool) -> None:
        name = (event.get("involvedObject") or {}).get("name")
        if not is_gone and isinstance(name, str):
            with self._lock:
                if name in self._names:
                    self._pulls[name] = pull_seconds(str(event.get("message")))

    def _wake(self) -> None:
        try:
            os.write(self._waker, b".")
        except BlockingIOError:
            pass  # it is full, so it is readable


def chosen(pods: Iterable[PodFacts]) -> PodFacts | None:
    """The pod of an attempt that counts. Kubernetes starts a second one in rare failures: of those that have not been
    fenced off, the first. Pure."""
    return min(pods, key=lambda one: (one.is_fenced, one.created_at or _LAST, one.name), default=None)
