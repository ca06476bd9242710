"""Looks at the cluster that steps run in: whether it can be used, what is there of ours, and what would be sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from orchestrator import clock
from orchestrator.attempts.package import AttemptPackage, run_package
from orchestrator.errors import NotFound, RunDamaged
from orchestrator.executors.base import Attempt
from orchestrator.kubernetes.client import Client
from orchestrator.kubernetes.configuration import code_of, job_settings
from orchestrator.kubernetes.jobs import Jobs, units_of
from orchestrator.kubernetes.manifest import input_of, job_of, pod_of
from orchestrator.kubernetes.names import handle_in
from orchestrator.model.attempt import AttemptSpec, split_handle
from orchestrator.model.run import RunRecord, Trigger
from orchestrator.planning.plan import PlanRequest
from orchestrator.runlog.inventory import pending_runs
from orchestrator.runlog.run_log import RunLog
from orchestrator.service.history import progress_of
from orchestrator.service.workspace import Workspace, find_pipeline, in_workspace, plan
from orchestrator.settings import KubernetesSettings

Needed = tuple[str, str, tuple[str, ...]]

# What the owner of runs does in its namespace: (API group, resource, verbs). `rbac` grants exactly this.
NEEDED: tuple[Needed, ...] = (
    ("batch", "jobs", ("create", "get", "list", "patch", "delete")),
    ("", "pods", ("get", "list", "watch", "delete")),
    ("", "pods/log", ("get",)),
    ("", "events", ("list", "watch")),
    ("", "secrets", ("create", "delete", "deletecollection")),
    ("coordination.k8s.io", "leases", ("create", "patch", "deletecollection")),
)
# The same where an attempt is a pod without a Job. Jobs are still made to look into images.
NEEDED_FOR_PODS: tuple[Needed, ...] = tuple(
    (group, kind, (*verbs, "create", "patch") if kind == "pods" else verbs) for group, kind, verbs in NEEDED
)
# What the pods of steps do: each takes its attempt by a Lease, so that no second pod makes it too.
NEEDED_BY_PODS = (("coordination.k8s.io", "leases", ("create", "get")),)


class ClusterJob(msgspec.Struct, frozen=True):
    """A Job of this state directory. `is_orphan`: its run is over or not here any more, and no owner will delete it."""

    name: str
    run_id: str
    step: str
    attempt: int
    state: str
    is_orphan: bool


def cluster_jobs(workspace: Workspace) -> list[ClusterJob]:
    """The Jobs of this state directory, by run and step."""
    jobs = _jobs(workspace)
    found = [job for item in jobs.list_all() if (job := _job(workspace, item, jobs)) is not None]
    return sorted(found, key=lambda job: (job.run_id, job.step, job.attempt))


def delete_orphans(workspace: Workspace, found: Sequence[ClusterJob]) -> list[str]:
    """Deletes the orphans among these Jobs, and what else was left of runs that are over or gone; the Jobs' names."""
    jobs = _jobs(workspace)
    names = [job.name for job in found if job.is_orphan]
    for name in names:
        jobs.delete(name)
    pending = {run_id for run_id in pending_runs(workspace.state) if not _is_over(RunLog(workspace.state, run_id))}
    jobs.sweep(pending | {job.run_id for job in found if not job.is_orphan})
    return names


def manifests(workspace: Workspace, pipeline: str, mode: str | None, step: str | None) -> list[dict[str, Any]]:
    """The Secret and the Job that would be sent for a step; without one, for the first step. Sends nothing."""
    found = find_pipeline(workspace, pipeline)
    planned = plan(workspace, found, in_workspace(workspace, PlanRequest(pipeline=found.info.name, mode=mode)))
    steps = {one.key: one for one in planned.plan.selected()}
    if step is not None and step not in steps:
        raise NotFound.named("step", step, steps)
    chosen = steps[step] if step is not None else next(iter(steps.values()))
    record = RunRecord(
        run_id="example00000",
        pipeline=found.info.name,
        location=found.location,
        mode=planned.mode,
        created_at=clock.now(),
        trigger=Trigger(),
        config=planned.config,
        plan=planned.encoded_plan,
    )
    settings = job_settings(workspace.settings, workspace.settings.kubernetes.namespace or "default")
    storage = settings.mount if settings.claim is not None else ""
    spec = AttemptSpec(run_id=record.run_id, step=chosen.key, template=chosen.key, attempt=1)
    package = AttemptPackage(run=run_package(record, storage), spec=spec)
    attempt = Attempt(package, found.location, tags=chosen.tags, pod=chosen.pod, timeout=chosen.timeout)
    code = code_of(workspace.settings, found.location)
    unit = job_of if settings.unit == "job" else pod_of
    return [input_of(attempt, settings), unit(attempt, settings, code, "example", chosen.timeout)]


def least_role(workspace: Workspace) -> list[dict[str, Any]]:
    """The least roles that suffice in the namespace of the workspace file, with their bindings. That of the owner of
    runs is bound to the service account `orchestrator`, which is made; that of steps to the account that their pods run
    as. Asks no cluster."""
    settings = workspace.settings.kubernetes
    namespace = settings.namespace or "default"
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _named("orchestrator", namespace)}
    documents = [account, *role_of("orchestrator", namespace, needed_of(settings), "orchestrator")]
    if settings.claim == "lease":
        pods = str(settings.pod.get("serviceAccountName") or "default")
        documents += role_of("orchestrator-steps", namespace, NEEDED_BY_PODS, pods)
    return documents


def needed_of(settings: KubernetesSettings) -> tuple[Needed, ...]:
    """What the owner of runs needs to be allowed to do."""
    return NEEDED if settings.unit == "job" else NEEDED_FOR_PODS


def role_of(name: str, namespace: str, needed: Iterable[Needed], account: str) -> list[dict[str, Any]]:
    """A role, and its binding to a service account."""
    rules = [{"apiGroups": [group], "resources": [kind], "verbs": list(verbs)} for group, kind, verbs in needed]
    api = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{api}/v1",
        "kind": "RoleBinding",
        "metadata": _named(name, namespace),
        "roleRef": {"apiGroup": api, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }
    return [
        {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": _named(name, namespace), "rules": rules},
        binding,
    ]


def _named(name: str, namespace: str) -> dict[str, str]:
    return {"name": name, "namespace": namespace}


def client_of(workspace: Workspace) -> Client:
    settings = workspace.settings.kubernetes
    return Client.find(settings.context, settings.namespace)


def _jobs(workspace: Workspace) -> Jobs:
    client = client_of(workspace)
    return units_of(client, job_settings(workspace.settings, client.access.namespace), workspace.executor_context)


def _job(workspace: Workspace, item: dict[str, Any], jobs: Jobs) -> ClusterJob | None:
    handle = handle_in(item["metadata"])
    if handle is None:
        return None
    run_id, step, attempt = split_handle(handle)
    run_log = RunLog(workspace.state, run_id)
    is_orphan = not run_log.has_files() or (jobs.is_left(item) and _is_over(run_log))
    return ClusterJob(item["metadata"]["name"], run_id, step, attempt, jobs.state(item), is_orphan)


def _is_over(run_log: RunLog) -> bool:
    """Whether nothing more will be done for the run. One that cannot be read may be repaired."""
    try:
        return not run_log.is_owned() and progress_of(run_log).is_finished
    except (RunDamaged, OSError):
        return False
