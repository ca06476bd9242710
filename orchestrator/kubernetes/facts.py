"""What a pod says of an attempt: where it is, why it waits, and how it ended. Pure.

The states are those measured on a real cluster: image, volume, secret, quota and scheduling troubles never fail a Job,
so this is where waiting is separated from what waiting cannot fix.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from orchestrator.attempts.exit_status import how_it_ended
from orchestrator.attempts.termination_message import read_message
from orchestrator.clock import parse_instant

CONTAINER = "step"
# Waiting does not help: the image or its name is wrong, a Secret or ConfigMap is missing.
HOPELESS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError"}
)
_REFUSED = re.compile(r'pods "[^"]*" is')


class Stage(StrEnum):
    """How far a pod has come."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    ENDED = "ENDED"


class PodFacts(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One pod. `cause`: why it waits, in one word of Kubernetes, with its `message`. `disruption`: the reason of a
    DisruptionTarget condition. `left`: the termination message. `exit_code`, `signal` and `reason` (OOMKilled) are the
    container's."""

    name: str
    uid: str
    stage: Stage
    node: str | None = None
    image: str | None = None
    image_id: str | None = None
    cause: str = ""
    message: str = ""
    is_deleting: bool = False
    disruption: str = ""
    pod_reason: str = ""
    left: str = ""
    exit_code: int | None = None
    reason: str = ""
    memory_limit: str = ""
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def is_fenced(self) -> bool:
        """Whether another pod had taken the attempt when this one was about to."""
        message = read_message(self.left) if self.stage is Stage.ENDED else None
        return message is not None and message.unclaimed == "taken"

    @property
    def is_hopeless(self) -> bool:
        return self.stage is Stage.WAITING and self.cause in HOPELESS


def facts_of(pod: Mapping[str, Any]) -> PodFacts:
    """What counts of a pod as the API gives it."""
    metadata, status = pod.get("metadata") or {}, pod.get("status") or {}
    container = _named(status.get("containerStatuses"))
    state = container.get("state") or {}
    ended = state.get("terminated") or {}
    stage = Stage.ENDED if ended or status.get("phase") in ("Succeeded", "Failed") else Stage.WAITING
    if stage is Stage.WAITING and state.get("running"):
        stage = Stage.RUNNING
    cause, message = _waiting(status, state) if stage is Stage.WAITING else ("", "")
    spec = _named((pod.get("spec") or {}).get("containers"))
    return PodFacts(
        name=str(metadata.get("name", "")),
        uid=str(metadata.get("uid", "")),
        stage=stage,
        node=(pod.get("spec") or {}).get("nodeName"),
        image=spec.get("image") or container.get("image"),
        image_id=container.get("imageID") or None,
        cause=cause,
        message=message,
        is_deleting="deletionTimestamp" in metadata,
        disruption=_condition(status, "DisruptionTarget").get("reason", ""),
        pod_reason=str(status.get("reason") or ""),
        left=str(ended.get("message") or ""),
        exit_code=ended.get("exitCode"),
        reason=str(ended.get("reason") or ""),
        memory_limit=str((spec.get("resources") or {}).get("limits", {}).get("memory", "")),
        created_at=_instant(metadata.get("creationTimestamp")),
        started_at=_instant((state.get("running") or ended).get("startedAt")),
        finished_at=_instant(ended.get("finishedAt")),
    )


def pull_seconds(message: str) -> float:
    """How long an image was pulled, of the message of a `Pulled` event; 0 when it was on the node already."""
    found = re.search(r" in ([0-9hms.µ]+)", message)
    if found is None:
        return 0.0
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "µs": 0.000001}
    return round(
        sum(float(number) * units[unit] for number, unit in re.findall(r"([0-9.]+)(ms|µs|h|m|s)", found[1])), 6
    )


def waits_for(facts: PodFacts | None, event: str = "") -> str:
    """What an attempt waits for, in words. `event`: the newest warning about its Job or pod. The words are the same
    for as long as the cause is: each change of them is an event of the run."""
    if facts is None:
        # The name of a pod that was refused is another one with each try.
        return f"no pod yet: {_REFUSED.sub('its pod is', event)}" if event else "no pod yet"
    if facts.cause and facts.message:
        return f"{facts.cause}: {facts.message}"
    if facts.node and event.startswith("FailedScheduling"):
        event = ""  # from before it was scheduled
    return event or facts.cause or "its container is being created"


def how_it_was_lost(facts: PodFacts) -> str | None:
    """Why an ended or vanishing pod says nothing about the step; None when the step itself is responsible."""
    where = f" (node {facts.node})" if facts.node else ""
    if facts.disruption:
        return f"its pod was disrupted: {_DISRUPTIONS.get(facts.disruption, facts.disruption)}{where}"
    if facts.pod_reason == "Evicted":
        return f"its pod was evicted by the node: {facts.message or 'the node ran out of a resource'}{where}"
    if facts.is_deleting:
        return f"its pod was deleted{where}"
    return None


def how_it_died(facts: PodFacts) -> str:
    """How a container ended that left no outcome, as the end of the sentence `its process ...`."""
    if facts.reason == "OOMKilled":
        limit = f" (limit {facts.memory_limit})" if facts.memory_limit else ""
        return f"was killed: out of memory{limit}"
    if facts.pod_reason == "DeadlineExceeded":
        return "was ended by the cluster: it ran longer than allowed"
    if facts.reason in ("StartError", "ContainerCannotRun"):
        return f"could not be started: {facts.left.strip() or facts.reason}"
    code = facts.exit_code
    if code is None:
        return f"ended ({facts.pod_reason or facts.reason or 'the container has no status'})"
    return how_it_ended(-(code - 128) if code > 128 else code)


_DISRUPTIONS = {
    "EvictionByEvictionAPI": "evicted through the API, as `kubectl drain` does",
    "PreemptionByScheduler": "preempted by a pod of higher priority",
    "DeletionByTaintManager": "its node was tainted or lost",
    "DeletionByPodGC": "its node is gone",
    "TerminationByKubelet": "ended by its node, which ran out of something or shuts down",
}


def _waiting(status: Mapping[str, Any], state: Mapping[str, Any]) -> tuple[str, str]:
    waiting = state.get("waiting") or {}
    if waiting.get("reason") and (waiting.get("message") or waiting["reason"] != "ContainerCreating"):
        return str(waiting["reason"]), str(waiting.get("message") or "")
    scheduled = _condition(status, "PodScheduled")
    if scheduled.get("status") == "False":
        return str(scheduled.get("reason") or "Unschedulable"), str(scheduled.get("message") or "")
    return str(waiting.get("reason") or ""), ""


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    for condition in status.get("conditions") or ():
        if condition.get("type") == kind and (kind == "PodScheduled" or condition.get("status") == "True"):
            found: Mapping[str, Any] = condition
            return found
    return {}


def _named(containers: Any) -> Mapping[str, Any]:
    for container in containers or ():
        if container.get("name") == CONTAINER:
            found: Mapping[str, Any] = container
            return found
    return {}


def _instant(text: Any) -> datetime | None:
    return parse_instant(text) if isinstance(text, str) else None
