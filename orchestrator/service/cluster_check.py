"""Checks whether steps can run in the cluster, and says what to do where they cannot."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from orchestrator.errors import ClusterRefused, ConfigError, NotFound, OrchestratorError
from orchestrator.kubernetes.client import Client
from orchestrator.kubernetes.configuration import code_of, job_settings
from orchestrator.kubernetes.probe import ImageProblem, look_into
from orchestrator.protocol.pod_report import differences
from orchestrator.service.cluster import Needed, client_of, needed_of
from orchestrator.service.workspace import Workspace, load_locations
from orchestrator.settings import EnvironmentVariable, LocationSettings

# The oldest version of Kubernetes whose Jobs and pods have what is used here.
OLDEST = (1, 31)


class Check(msgspec.Struct, frozen=True):
    """One thing that was checked; `hint` is what to do about it when it is not well."""

    what: str
    is_well: bool
    hint: str = ""


def check_cluster(workspace: Workspace, only: str | None = None, *, look_inside: bool = True) -> Iterator[Check]:
    """Whether steps can run in the cluster, one thing after another as it is known: of all locations, or `only` that
    one. `look_inside`: a pod is started from each image, which takes seconds. Raises NotFound, and ConfigError when no
    cluster is configured."""
    if only is not None and only not in workspace.pool.specs:
        raise NotFound.named("location", only, workspace.pool.specs)
    client = client_of(workspace)
    access = client.access
    try:
        version = client.request("GET", "/version")
    except OrchestratorError as error:
        yield Check(f"{access.server} cannot be used: {error.message}", False, error.hint or "Check the kubeconfig.")
        return
    yield check_version(f"{access.server} answers", version, access.namespace)
    yield from _namespace(client)
    yield from _permissions(client, needed_of(workspace.settings.kubernetes))
    for location in workspace.settings.locations:
        if only in (None, location.name):
            yield _image(workspace, client, location, look_inside=look_inside)
    if workspace.settings.kubernetes.storage is None:
        hint = "Set `kubernetes: {storage: {claim: NAME}}`, or use IO managers that reach anywhere."
        yield Check("the default IO manager has no storage that all pods share", False, hint)


def check_version(server: str, version: Any, namespace: str) -> Check:
    """Whether a cluster of that version is supported. Pure."""
    name = version.get("gitVersion") if isinstance(version, dict) else None
    found = re.match(r"v(\d+)\.(\d+)", str(name))
    what = f"{server}: Kubernetes {name}, namespace {namespace}"
    if found is None:
        return Check(f"{what}: that is no version", False, "Look for a proxy in between.")
    if (int(found[1]), int(found[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return Check(f"{what}: older than {oldest}", False, f"Upgrade the cluster: {oldest} is the oldest supported.")
    return Check(what, True)


def _image(workspace: Workspace, client: Client, location: LocationSettings, *, look_inside: bool) -> Check:
    """What there is to say of a location's image."""
    try:
        code = code_of(workspace.settings, location.name)
    except ConfigError as error:
        return Check(error.message, False, error.hint or "")
    what = f"location {location.name} runs in {code.image}"
    if not look_inside:
        return Check(what, True)
    settings = job_settings(workspace.settings, client.access.namespace)
    needed = tuple(name for name, value in location.env.items() if isinstance(value, EnvironmentVariable))
    try:
        report = look_into(client, location.name, code, needed, settings)
    except ImageProblem as error:
        return Check(f"{what}: {error}", False, _IMAGE_HINT)
    except OrchestratorError as error:
        return Check(f"{what}: no pod could be started: {error.message}", False, error.hint or "")
    wrong = differences(report, _pipelines(workspace, location.name))
    if wrong:
        return Check(f"{what}: {'; '.join(wrong)}", False, _IMAGE_HINT)
    return Check(f"{what}, which has its module and orchestrator {report.version}", True)


_IMAGE_HINT = "Build the image from the code that is here, with orchestrator-data installed in it."


def _pipelines(workspace: Workspace, location: str) -> dict[str, int]:
    """The pipelines of a location as they are here, with how many steps each has; none if it is broken here."""
    (loaded,) = load_locations(workspace, only=location)
    return {one.name: one.steps for one in loaded.pipelines()}


def _namespace(client: Client) -> Iterator[Check]:
    """Something to say when the namespace is not there: lists of what is in it are then only empty."""
    namespace = client.access.namespace
    trial = {"apiVersion": "v1", "kind": "Secret", "metadata": {"generateName": "orchestrator-check-"}}
    try:
        client.request("POST", f"/api/v1/namespaces/{namespace}/secrets", trial, query={"dryRun": "All"})
    except ClusterRefused as error:  # that it is not allowed is said with the other permissions
        if error.status == 404:
            hint = (
                f"Make it with `kubectl create namespace {namespace}`, or name another as `kubernetes: {{namespace}}`."
            )
            yield Check(f"namespace {namespace} does not exist", False, hint)


def _permissions(client: Client, needed: Iterable[Needed]) -> Iterator[Check]:
    missing = []
    for group, resource, verbs in needed:
        kind, _, sub = resource.partition("/")
        for verb in verbs:
            attributes = {"namespace": client.access.namespace, "verb": verb, "group": group, "resource": kind}
            review = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": {**attributes, **({"subresource": sub} if sub else {})}},
            }
            answer = client.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
            if not answer.get("status", {}).get("allowed"):
                missing.append(f"{verb} {resource}")
    if missing:
        hint = "Apply the role of `orchestrator kubernetes rbac`, or ask who runs the cluster."
        yield Check(f"not allowed in {client.access.namespace}: {', '.join(missing)}", False, hint)
    else:
        yield Check("all that is needed is allowed", True)
