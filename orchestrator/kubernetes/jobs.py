"""Creates, finds, stops and deletes Jobs. Every operation may be repeated. Called by threads."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any

from orchestrator.attempts.lease import leases_in
from orchestrator.errors import ClusterRefused, ClusterUnreachable, ConfigError
from orchestrator.executors.base import Attempt, ExecutorContext
from orchestrator.kubernetes.client import Client
from orchestrator.kubernetes.configuration import code_of
from orchestrator.kubernetes.facts import Stage, facts_of
from orchestrator.kubernetes.manifest import FINALIZER, WEEK, JobSettings, input_of, job_of, lease_of, pod_of
from orchestrator.kubernetes.names import RUN, TOKEN, handle_in, input_name, job_name, label, selector

# Who holds the Lease of an attempt that its owner gave up.
_OWNER = "owner"


class Jobs:
    """The Jobs of one state directory in one namespace."""

    _manifest = staticmethod(job_of)

    def __init__(self, client: Client, settings: JobSettings, context: ExecutorContext) -> None:
        self.settings = settings
        self._client = client
        self._context = context
        self._inputs: set[str] = set()  # runs whose Secret is there
        self._lock = threading.Lock()
        self._core = f"/api/v1/namespaces/{settings.namespace}"
        self._jobs = f"/apis/batch/v1/namespaces/{settings.namespace}/jobs"

    def create(self, attempt: Attempt, token: str) -> str:
        """Creates the Job of an attempt, unless it is there; its token. Raises ExecutionError and ConfigError."""
        self._ensure_input(attempt)
        code = code_of(self._context.settings, attempt.location)
        manifest = self._manifest(attempt, self.settings, code, token, attempt.timeout)
        try:
            self._client.request("POST", self._jobs, manifest, query={"fieldValidation": "Strict"})
        except ClusterRefused as error:
            if error.status != 409:
                raise
            found = self._get(job_name(self.settings.instance, attempt.handle))
            metadata = (found or {}).get("metadata") or {}
            if handle_in(metadata) != attempt.handle:
                raise
            return str(metadata["annotations"].get(TOKEN, token))
        return token

    def check(self, attempt: Attempt) -> None:
        """Has the API server judge what would be sent for an attempt, without keeping it. Raises ConfigError when it is
        refused, and does nothing when that cannot be found out, or is due to what else runs at the moment (a quota)."""
        code = code_of(self._context.settings, attempt.location)
        manifest = self._manifest(attempt, self.settings, code, "check", attempt.timeout)
        try:
            self._client.request("POST", self._jobs, manifest, query={"fieldValidation": "Strict", "dryRun": "All"})
        except ClusterUnreachable:
            return
        except ClusterRefused as error:
            if error.status == 409 or "exceeded quota" in error.message:
                return
            step = attempt.package.spec.step
            raise ConfigError(
                f"The cluster refuses the pod of step {step!r}: {error.message}",
                hint="`orchestrator kubernetes check` looks at the cluster, `... kubernetes manifest` shows the pod.",
            ) from error

    def find(self, name: str) -> tuple[str, bool] | None:
        """The token of a Job that is there, and whether it has ended; None when it is not there."""
        found = self._get(name)
        if found is None:
            return None
        return str(found["metadata"]["annotations"].get(TOKEN, "")), self.state(found) in ("complete", "failed")

    def list_all(self) -> list[dict[str, Any]]:
        """The Jobs of this state directory, as the API has them."""
        found = self._client.request("GET", self._jobs, query={"labelSelector": selector(self.settings.instance)})
        return list(found.get("items") or ())

    def stop(self, name: str, pod: str | None, grace: float) -> None:
        """Asks the pod to stop within `grace` seconds; without a pod, makes sure that none starts."""
        if pod is None:
            self.delete(name)
            return
        self._gone(f"{self._core}/pods/{pod}", int(grace))

    def dismiss(self, name: str, keep: float) -> None:
        """Deletes a Job that has ended, or has the cluster do that in `keep` seconds."""
        if keep <= 0:
            self.delete(name)
            return
        with suppress(ClusterRefused):  # it stays for a week then
            self._client.request("PATCH", f"{self._jobs}/{name}", {"spec": {"ttlSecondsAfterFinished": int(keep)}})

    def delete(self, name: str) -> None:
        """Deletes a Job with its pod. One that is gone already is fine."""
        self._gone(f"{self._jobs}/{name}")

    def sweep(self, active: Iterable[str]) -> None:
        """Deletes what was shared by attempts of runs other than the active ones, and what was left of their claims."""
        others = f"{selector(self.settings.instance)},{RUN} notin ({','.join(map(label, active)) or '-'})"
        for path in (f"{self._core}/secrets", leases_in(self.settings.namespace)):
            with suppress(ClusterRefused):
                self._client.request("DELETE", path, query={"labelSelector": others})

    def state(self, unit: Mapping[str, Any]) -> str:
        """How far a Job is: waiting, active, complete or failed."""
        status = unit.get("status") or {}
        for condition in status.get("conditions") or ():
            if condition.get("status") == "True" and condition.get("type") in ("Complete", "Failed"):
                return str(condition["type"]).lower()
        return "active" if status.get("active") else "waiting"

    def take_away(self, attempt: Attempt) -> None:
        """Makes sure that no pod begins the attempt any more, and that one that runs it stores nothing more. Raises
        ClusterUnreachable when that is not known to be done."""
        if not self.settings.has_claims:
            return
        lease = lease_of(attempt, self.settings)
        # It outlives the Job: a container that starts late, on a node that was given up, must find it.
        change = {"metadata": {"ownerReferences": None}, "spec": {"holderIdentity": _OWNER}}
        for _ in range(3):  # it may be created or deleted between the two requests
            try:
                self._client.request("PATCH", lease.path, change)
                return
            except ClusterRefused as error:
                if error.status != 404:
                    raise
            with suppress(ClusterRefused):
                self._client.request("POST", lease.collection, lease.manifest(_OWNER))
                return
        raise ClusterUnreachable(f"The Lease {lease.name} changes all the time.")

    def end_run(self, run_id: str, kept: Collection[str] = ()) -> None:
        """Deletes what the attempts of a run shared, its Secret and the Leases that were taken from pods, and the Jobs
        that earlier owners have left. `kept`: those that the cluster deletes later."""
        name = input_name(self.settings.instance, run_id)
        self._inputs.discard(run_id)
        self._gone(f"{self._core}/secrets/{name}")
        query = {"labelSelector": selector(self.settings.instance, run_id)}
        if self.settings.has_claims:
            with suppress(ClusterRefused):
                self._client.request("DELETE", leases_in(self.settings.namespace), query=query)
        found = self._client.request("GET", self._jobs, query=query)
        for unit in found.get("items") or ():
            if self.is_left(unit) and unit["metadata"]["name"] not in kept:
                self.delete(unit["metadata"]["name"])

    def is_left(self, unit: Mapping[str, Any]) -> bool:
        """Whether it was never dismissed, which gives a Job another time to live."""
        return (unit.get("spec") or {}).get("ttlSecondsAfterFinished") == WEEK

    def _ensure_input(self, attempt: Attempt) -> None:
        run_id = attempt.package.run.run_id
        with self._lock:  # one at a time: they are made once a run
            if run_id in self._inputs:
                return
            path = f"{self._core}/secrets"
            try:
                self._client.request("POST", path, input_of(attempt, self.settings))
            except ClusterRefused as error:
                if error.status != 409:
                    raise
            self._inputs.add(run_id)

    def _get(self, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._client.request("GET", f"{self._jobs}/{name}")
            return found
        except ClusterRefused as error:
            if error.status == 404:
                return None
            raise

    def _gone(self, path: str, grace: int | None = None) -> None:
        body: dict[str, object] = {"propagationPolicy": "Background"}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        with suppress(ClusterRefused):  # 404: it is gone; 403 was said when it was created
            self._client.request("DELETE", path, body)


class Pods(Jobs):
    """The same with a pod for each attempt and no Job.

    Kubernetes' own controllers finish some three Jobs a second, however large the cluster is; a pod of ours waits for
    none of them. A Job outlives the deletion of its pod; here a finalizer keeps the pod.
    """

    _manifest = staticmethod(pod_of)

    def __init__(self, client: Client, settings: JobSettings, context: ExecutorContext) -> None:
        super().__init__(client, settings, context)
        self._jobs = f"{self._core}/pods"

    def list_all(self) -> list[dict[str, Any]]:
        return [pod for pod in super().list_all() if self.is_left(pod)]

    def dismiss(self, name: str, keep: float) -> None:
        self.delete(name)

    def delete(self, name: str) -> None:
        with suppress(ClusterRefused):
            self._client.request("PATCH", f"{self._jobs}/{name}", {"metadata": {"finalizers": None}})
        super().delete(name)

    def state(self, unit: Mapping[str, Any]) -> str:
        facts = facts_of(unit)  # its container's state: the phase is a second late
        if facts.stage is Stage.ENDED:
            return "complete" if facts.exit_code == 0 else "failed"
        return "active" if facts.stage is Stage.RUNNING else "waiting"

    def is_left(self, unit: Mapping[str, Any]) -> bool:
        return FINALIZER in (unit["metadata"].get("finalizers") or ())


def units_of(client: Client, settings: JobSettings, context: ExecutorContext) -> Jobs:
    """What an attempt is in the cluster: a Job or, if the workspace file says so, a pod."""
    return (Pods if settings.unit == "pod" else Jobs)(client, settings, context)
