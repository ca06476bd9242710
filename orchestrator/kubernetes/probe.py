"""Starts a pod from a location's image and asks what is in it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from orchestrator.clock import monotonic
from orchestrator.errors import OrchestratorError
from orchestrator.kubernetes.client import Client
from orchestrator.kubernetes.facts import PodFacts, Stage, facts_of, how_it_died, waits_for
from orchestrator.kubernetes.manifest import CodeSettings, JobSettings, base_pod, literal
from orchestrator.kubernetes.merge import merged
from orchestrator.kubernetes.names import INSTANCE, LOCATION, MANAGED_BY, label
from orchestrator.protocol.pod_report import PodReport, read_report

_MAKES_ATTEMPTS, _LOOKS = "orchestrator.worker.in_pod", "orchestrator.worker.pod_check"
PATIENCE_S = 120.0
# An image that does not exist is not waited for: a person waits for the answer.
_HOPELESS_S = 8.0
_PAUSE_S = 0.5
# A Job that could not be deleted goes after so many seconds.
_TTL_S = 60


class ImageProblem(Exception):
    """The pod came to nothing, and why."""


def job_of_probe(location: str, code: CodeSettings, needed: Sequence[str], settings: JobSettings, name: str) -> Any:
    """The Job that looks into an image. `needed`: the variables that must be set in its pods."""
    values = {
        "ORCHESTRATOR_POD_TARGET": msgspec.json.encode(code.target).decode(),
        "ORCHESTRATOR_POD_NEEDED": msgspec.json.encode(needed).decode(),
        **code.environment,
    }
    container = {
        "image": code.image,
        "env": [{"name": key, "value": literal(value)} for key, value in values.items()],
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    pod = merged(base_pod(_MAKES_ATTEMPTS, container, [{"name": "tmp", "emptyDir": {}}], settings), settings.pod)
    for one in pod["containers"]:  # the workspace file may say how Python is started
        one["command"] = [_LOOKS if word == _MAKES_ATTEMPTS else word for word in one.get("command") or ()]
    labels = {MANAGED_BY: "orchestrator", INSTANCE: settings.instance, LOCATION: label(location)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": settings.namespace, "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": _TTL_S,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def look_into(
    client: Client,
    location: str,
    code: CodeSettings,
    needed: Sequence[str],
    settings: JobSettings,
    pause: Callable[[float], None] = time.sleep,
) -> PodReport:
    """What a pod from the location's image says of itself. Takes seconds. Raises ImageProblem when it says nothing, and
    ClusterRefused and ClusterUnreachable. Leaves nothing behind."""
    name = f"orc-check-{secrets.token_hex(5)}"
    jobs = f"/apis/batch/v1/namespaces/{settings.namespace}/jobs"
    manifest = job_of_probe(location, code, needed, settings, name)
    client.request("POST", jobs, manifest, query={"fieldValidation": "Strict"})
    try:
        return _report(client, settings.namespace, name, pause)
    finally:
        with suppress(OrchestratorError):
            client.request("DELETE", f"{jobs}/{name}", {"propagationPolicy": "Background"})


def _report(client: Client, namespace: str, name: str, pause: Callable[[float], None]) -> PodReport:
    pods = f"/api/v1/namespaces/{namespace}/pods"
    began, hopeless_since = monotonic(), None
    facts: PodFacts | None = None
    while monotonic() - began < PATIENCE_S:
        found = client.request("GET", pods, query={"labelSelector": f"batch.kubernetes.io/job-name={name}"})
        facts = next((facts_of(pod) for pod in found.get("items") or ()), None)
        if facts is not None and facts.stage is Stage.ENDED:
            return _said(client, pods, facts)
        if facts is not None and facts.is_hopeless:
            hopeless_since = hopeless_since or monotonic()
            if monotonic() - hopeless_since >= _HOPELESS_S:
                break
        pause(_PAUSE_S)
    raise ImageProblem(f"no pod starts from it: {waits_for(facts)}")


def _said(client: Client, pods: str, facts: PodFacts) -> PodReport:
    report = read_report(facts.left)
    if report is not None:
        return report
    log = b""
    with suppress(OrchestratorError):
        log = client.text(f"{pods}/{facts.name}/log", {"tailLines": "5", "container": "step"}, 15.0)
    last = log.decode(errors="replace").strip().splitlines()[-1:] or [facts.left]
    raise ImageProblem(f"the pod {how_it_died(facts)}: {last[0].strip()}".rstrip(": "))
