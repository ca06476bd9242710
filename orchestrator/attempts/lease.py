"""The Lease by which one pod takes an attempt, and by which the owner takes an attempt away from its pod.

Kubernetes may start a second pod for a Job in rare failures, and the containers of a node that was given up may still
run. The Lease of an attempt has a fixed name and is created once: by the pod that makes the attempt, or by the owner
that gives it up. The pod's side needs the standard library only: nothing else is sure to be in its image.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from orchestrator.errors import ExecutionError

# How long an API server that does not answer is asked, before user code begins and before a value is stored.
PATIENCE_S = 300.0
_REQUEST_S = 15.0
_LONGEST_PAUSE_S = 5.0

Verdict = Literal["ours", "taken", "absent", "ask", "again"]


class LeaseLost(ExecutionError):
    """The attempt belongs to another pod, or its owner has given it up."""


class LeaseUnknown(ExecutionError):
    """The API server did not say whose the attempt is."""


class LeaseRefused(ExecutionError):
    """The API server does not let this pod have a Lease."""


def leases_in(namespace: str) -> str:
    """The path of all Leases of a namespace."""
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"


class LeaseSpec(Struct, frozen=True):
    """Which Lease it is. `name` is also that of the attempt's Job, or of its pod where that has none (`unit`)."""

    name: str
    namespace: str
    labels: Mapping[str, str]
    unit: Literal["job", "pod"] = "job"

    @property
    def collection(self) -> str:
        """Where Leases of its namespace are created."""
        return leases_in(self.namespace)

    @property
    def path(self) -> str:
        """Where this one is."""
        return f"{self.collection}/{self.name}"

    def manifest(self, holder: str, unit_uid: str | None = None) -> dict[str, Any]:
        """The Lease of that holder. With the uid of its Job or pod it is deleted when that is."""
        version, kind = ("batch/v1", "Job") if self.unit == "job" else ("v1", "Pod")
        owner = {"apiVersion": version, "kind": kind, "name": self.name, "uid": unit_uid}
        owners = {"ownerReferences": [owner]} if unit_uid else {}
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.name, "labels": dict(self.labels), **owners},
            "spec": {"holderIdentity": holder},
        }


class ApiAccess(Struct, frozen=True):
    """How a pod reaches the API: `directory` holds `token`, which the kubelet replaces now and then, and `ca.crt`."""

    host: str
    port: int
    directory: Path

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        """The status and the answer. Raises OSError and HTTPException when there is none."""
        context = ssl.create_default_context(cafile=str(self.directory / "ca.crt"))
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=_REQUEST_S, context=context)
        try:
            token = (self.directory / "token").read_text().strip()
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            raw = answer.read()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(raw)
        except ValueError:
            return answer.status, {}


Send = Callable[[str, str, Mapping[str, Any] | None], tuple[int, Any]]


class PodLease:
    """The pod's side of the Lease. `holder` is the pod's uid, `unit_uid` that of its Job, or again the pod's."""

    def __init__(
        self,
        spec: LeaseSpec,
        holder: str,
        unit_uid: str,
        send: Send,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._spec = spec
        self._holder = holder
        self._unit_uid = unit_uid
        self._send = send
        self._clock = clock
        self._pause = pause

    def take(self) -> None:
        """Takes the attempt for this pod. Raises LeaseLost, LeaseRefused and LeaseUnknown."""
        manifest = self._spec.manifest(self._holder, self._unit_uid)
        if self._until("POST", self._spec.collection, manifest) == "ask":
            self.confirm()  # it is there: another pod's, or ours if only the answer was lost

    def confirm(self) -> None:
        """Returns when the attempt is still this pod's. Raises as `take` does."""
        if self._until("GET", self._spec.path) != "ours":
            raise LeaseLost("This pod does not make the attempt: another one does, or its owner has given it up.")

    def _until(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Verdict:
        """The first answer that says something."""
        began, pause = self._clock(), 0.1
        while True:
            said, problem = self._once(method, path, body)
            if said != "again":
                return said
            if self._clock() - began >= PATIENCE_S:
                raise LeaseUnknown(f"The API server did not say whose the attempt is: {problem}.")
            self._pause(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _once(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[Verdict, str]:
        try:
            status, answer = self._send(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            return "again", str(error) or type(error).__name__
        said = verdict(method, status, answer, self._holder)
        message = str(answer.get("message") or f"HTTP {status}") if isinstance(answer, dict) else f"HTTP {status}"
        if said is None:
            raise LeaseRefused(
                f"The pod may not use a Lease: {message}.",
                hint="Apply the roles of `orchestrator kubernetes rbac`, or set `kubernetes: {claim: none}`.",
            )
        return said, message


def verdict(method: str, status: int, answer: Any, holder: str) -> Verdict | None:
    """What an answer says of the attempt; None: it is refused, and asking again would not help. Pure."""
    kind = answer.get("kind") if isinstance(answer, dict) else None
    if status in (401, 408, 429) or status >= 500 or kind not in ("Lease", "Status"):
        return "again"  # a token that was just replaced is read again; and a proxy may have answered in its place
    if method == "POST":
        return "ours" if status in (200, 201) else "ask" if status == 409 else None
    if status == 404:
        return "absent"
    if status != 200:
        return None
    return "ours" if (answer.get("spec") or {}).get("holderIdentity") == holder else "taken"
