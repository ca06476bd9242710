"""Builds the objects of an attempt: its Job, and the Secret with what the attempts of its run share. Pure."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from orchestrator.attempts.lease import LeaseSpec
from orchestrator.attempts.package import encode_run
from orchestrator.errors import ConfigError
from orchestrator.executors.base import Attempt
from orchestrator.kubernetes.facts import CONTAINER
from orchestrator.kubernetes.merge import merged
from orchestrator.kubernetes.names import (
    PREFIX,
    TOKEN,
    annotations_of,
    input_name,
    job_name,
    labels_of,
    run_labels,
)
from orchestrator.kubernetes.pod_request import on_spot, requested

# The sum of a Secret's values that an API server accepts.
MOST_INPUT = 1 << 20
# One environment variable, with its name; Linux takes 131,071.
MOST_SPEC = 120_000
_INPUT = "/var/run/orchestrator"
_API = "/var/run/orchestrator-api"
# A token of the pod's service account for one hour, which the kubelet replaces while the pod runs, and who signed the
# server's certificate.
_TOKEN_SOURCES = (
    {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
    {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
)
WEEK = 7 * 86400
# Keeps a pod without a Job until its outcome is in the journal.
FINALIZER = f"{PREFIX}outcome"
_UNIT_UID = {"job": "metadata.labels['batch.kubernetes.io/controller-uid']", "pod": "metadata.uid"}
# A step may end by itself for so long after its timeout before the cluster ends it: its owner may be dead.
_AFTER_TIMEOUT_S = 60


class JobSettings(Struct, frozen=True):
    """What all Jobs of a workspace have in common. `pod` is a pod spec that is merged under each. `unit`: an attempt is
    a Job, or a pod without one. `has_claims`: a pod takes its attempt by a Lease before it does anything. `spot`: a pod
    spec for nodes that can be taken away, merged until a step that may run there has lost so many attempts
    (`spot_attempts`)."""

    instance: str
    namespace: str
    env_from: tuple[Mapping[str, Any], ...] = ()
    pod: Mapping[str, Any] = field(default_factory=dict)
    claim: str | None = None
    mount: str = "/storage"
    grace_s: int = 30
    start_timeout: float = 600.0
    has_claims: bool = True
    unit: Literal["job", "pod"] = "job"
    spot: Mapping[str, Any] | None = None
    spot_attempts: int = 2


class CodeSettings(Struct, frozen=True):
    """Where the code of a location is in its image. `environment`: variables with their values."""

    image: str
    target: Mapping[str, Any]
    environment: Mapping[str, str] = field(default_factory=dict)


def job_of(attempt: Attempt, settings: JobSettings, code: CodeSettings, token: str, timeout: float | None) -> Any:
    """The Job of an attempt. `token` marks lines of its log as ours. Raises ConfigError when it cannot be sent."""
    metadata = _metadata(attempt, settings)
    template = {name: metadata[name] for name in ("labels", "annotations")}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {**metadata, "annotations": {**metadata["annotations"], TOKEN: token}},
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "podReplacementPolicy": "Failed",
            "ttlSecondsAfterFinished": WEEK,
            "template": {"metadata": template, "spec": _pod_spec(attempt, settings, code, token, timeout)},
        },
    }


def pod_of(attempt: Attempt, settings: JobSettings, code: CodeSettings, token: str, timeout: float | None) -> Any:
    """The pod of an attempt that has no Job. Deleted, it stays until the finalizer is taken off: its message has the
    outcome. Raises ConfigError when it cannot be sent."""
    metadata = _metadata(attempt, settings)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **metadata,
            "annotations": {**metadata["annotations"], TOKEN: token},
            "finalizers": [FINALIZER],
        },
        "spec": _pod_spec(attempt, settings, code, token, timeout),
    }


def _metadata(attempt: Attempt, settings: JobSettings) -> dict[str, Any]:
    return {
        "name": job_name(settings.instance, attempt.handle),
        "namespace": settings.namespace,
        "labels": labels_of(settings.instance, attempt.handle, attempt.package.run.pipeline, attempt.location),
        "annotations": annotations_of(attempt.handle),
    }


def _pod_spec(
    attempt: Attempt, settings: JobSettings, code: CodeSettings, token: str, timeout: float | None
) -> dict[str, Any]:
    # It counts from the pod's creation: until the container runs, as long may pass as an owner waits for that.
    longest = None if timeout is None else int(timeout + settings.start_timeout) + _AFTER_TIMEOUT_S
    deadline = {} if longest is None else {"activeDeadlineSeconds": longest}
    own = (attempt.pod or {}).get("spec") or {}
    pod = _pod(attempt, settings, code, token)
    spot = on_spot(attempt, settings.spot, settings.spot_attempts)
    for wanted in (settings.pod, spot, requested(attempt), own):
        pod = merged(pod, wanted)
    return {**pod, **deadline}


def input_of(attempt: Attempt, settings: JobSettings) -> Any:
    """The Secret that the attempts of a run read. Raises ConfigError when it is too large for one."""
    run = attempt.package.run
    storage = settings.mount if settings.claim is not None else ""  # the owner's own place is not there
    data = zlib.compress(encode_run(replace(run, storage=storage)), 9)
    if len(data) > MOST_INPUT:
        raise ConfigError(
            f"The plan and configuration of run {run.run_id} take {len(data):,} bytes compressed, and a Secret holds"
            f" {MOST_INPUT:,}.",
            hint="Use smaller configuration, or fewer steps.",
        )
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "immutable": True,
        "metadata": {
            "name": input_name(settings.instance, run.run_id),
            "namespace": settings.namespace,
            "labels": run_labels(settings.instance, run.run_id, run.pipeline, attempt.location),
        },
        "data": {"run": base64.b64encode(data).decode()},
    }


def pinned(attempt: Attempt) -> str | None:
    """The image that earlier attempts of the run had, by digest, so that a retry runs the same code; None if there is
    none."""
    return attempt.image if attempt.image and "@" in attempt.image else None


def lease_of(attempt: Attempt, settings: JobSettings) -> LeaseSpec:
    """The Lease by which an attempt is taken."""
    labels = labels_of(settings.instance, attempt.handle, attempt.package.run.pipeline, attempt.location)
    return LeaseSpec(job_name(settings.instance, attempt.handle), settings.namespace, labels, settings.unit)


def _pod(attempt: Attempt, settings: JobSettings, code: CodeSettings, token: str) -> dict[str, Any]:
    spec = base64.b85encode(zlib.compress(msgspec.json.encode(attempt.package.spec), 9)).decode()
    if len(spec) > MOST_SPEC:
        raise ConfigError(
            f"Step {attempt.package.spec.step!r} reads from too many steps for a pod ({len(spec):,} bytes).",
            hint="Collect values in a step before it.",
        )
    claim = _claim(attempt, settings) if settings.has_claims else _Claim()
    environment = {
        **code.environment,
        **claim.environment,
        "ORCHESTRATOR_POD_SPEC": spec,
        "ORCHESTRATOR_POD_TARGET": msgspec.json.encode(code.target).decode(),
        "ORCHESTRATOR_POD_TOKEN": token,
        "ORCHESTRATOR_POD_RUN": f"{_INPUT}/run",
    }
    mounts = [{"name": "orchestrator-run", "mountPath": _INPUT, "readOnly": True}, {"name": "tmp", "mountPath": "/tmp"}]
    volumes: list[dict[str, Any]] = [
        {
            "name": "orchestrator-run",
            "secret": {"secretName": input_name(settings.instance, attempt.package.run.run_id)},
        },
        {"name": "tmp", "emptyDir": {}},
    ]
    mounts += claim.mounts
    volumes += claim.volumes
    if settings.claim is not None:
        mounts.append({"name": "orchestrator-storage", "mountPath": settings.mount})
        volumes.append({"name": "orchestrator-storage", "persistentVolumeClaim": {"claimName": settings.claim}})
    env = [
        *({"name": name, "value": literal(value)} for name, value in environment.items()),
        *({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in claim.fields),
    ]
    container = {"image": pinned(attempt) or code.image, "env": env, "volumeMounts": mounts}
    return base_pod("orchestrator.worker.in_pod", container, volumes, settings)


def base_pod(
    module: str, container: Mapping[str, Any], volumes: list[dict[str, Any]], settings: JobSettings
) -> dict[str, Any]:
    """A pod with one container that runs a module of this program, with as few rights as possible."""
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": settings.grace_s,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": CONTAINER,
                "command": ["python", "-P", "-m", module],
                "envFrom": list(settings.env_from),
                "terminationMessagePolicy": "File",
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                **container,
            }
        ],
        "volumes": volumes,
    }


class _Claim(Struct, frozen=True):
    """What a pod needs to take its attempt by a Lease."""

    environment: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[tuple[str, str], ...] = ()
    mounts: tuple[dict[str, Any], ...] = ()
    volumes: tuple[dict[str, Any], ...] = ()


def _claim(attempt: Attempt, settings: JobSettings) -> _Claim:
    lease = msgspec.json.encode(lease_of(attempt, settings)).decode()
    return _Claim(
        {"ORCHESTRATOR_POD_LEASE": lease, "ORCHESTRATOR_POD_API": _API},
        (
            ("ORCHESTRATOR_POD_UID", "metadata.uid"),
            ("ORCHESTRATOR_POD_UNIT_UID", _UNIT_UID[settings.unit]),
        ),
        ({"name": "orchestrator-api", "mountPath": _API, "readOnly": True},),
        ({"name": "orchestrator-api", "projected": {"defaultMode": 0o444, "sources": _TOKEN_SOURCES}},),
    )


def literal(value: str) -> str:
    """A value for `env` that reaches the container as it is: Kubernetes replaces `$(NAME)`, and `$$` by `$`."""
    return value.replace("$", "$$")
