"""What `Pod(...)` asks for, as a part of a pod spec. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchestrator.errors import ConfigError
from orchestrator.executors.base import Attempt
from orchestrator.kubernetes.facts import CONTAINER


def requested(attempt: Attempt) -> dict[str, Any]:
    """What the step says of its pod. Memory is a limit too: a step that takes more would take it from others. After
    attempts that ran out of it there is more, as `memory_on_retry` says."""
    pod = attempt.pod or {}
    memory = pod.get("memory")
    if memory and attempt.out_of_memory:
        memory = scaled(memory, pod.get("memory_on_retry", 1) ** attempt.out_of_memory)
    requests = {name: value for name, value in (("cpu", pod.get("cpu")), ("memory", memory)) if value}
    limits: dict[str, Any] = {"memory": memory} if memory else {}
    if pod.get("gpu"):
        limits["nvidia.com/gpu"] = str(pod["gpu"])
    container: dict[str, Any] = {"name": CONTAINER}
    resources = {name: value for name, value in (("requests", requests), ("limits", limits)) if value}
    if resources:
        container["resources"] = resources
    if pod.get("image"):
        container["image"] = pod["image"]
    return {"containers": [container]}


def on_spot(attempt: Attempt, spot: Mapping[str, Any] | None, most: int) -> Mapping[str, Any]:
    """What lets a pod run on nodes that can be taken away, for a step that wants that and has lost fewer than `most`
    attempts. Raises ConfigError when the workspace file does not say which nodes those are."""
    if not (attempt.pod or {}).get("spot"):
        return {}
    if spot is None:
        raise ConfigError(
            f"Step {attempt.package.spec.step!r} may run on spot nodes, and nothing says which those are.",
            hint="Set `kubernetes: {spot: {nodeSelector: ..., tolerations: [...]}}`, a part of a pod spec.",
        )
    return spot if attempt.losses < most else {}


def scaled(quantity: str, factor: float) -> str:
    """So many times a quantity, in its own unit: "1.5Gi" times 2 is "3Gi"."""
    number, unit = re.fullmatch(r"([0-9.]+)(.*)", quantity).groups()  # type: ignore[union-attr]  # Pod() has checked it
    if not unit:  # bytes, of which there is no part
        return str(round(float(number) * factor))
    return f"{round(float(number) * factor, 3):.3f}".rstrip("0").rstrip(".") + unit


def by_digest(image: str, image_id: str | None) -> str:
    """The image with the digest that a node says it has; as it is when there is none, as for one that was never pulled.

    A node may know the same content by another name: one that it was loaded under (`kind load` makes one up), or one in
    a registry to which nothing grants access. Nothing can be pulled by that digest.
    """
    known, _, digest = (image_id or "").rpartition("://")[2].partition("@")
    host, slash, rest = image.rpartition("/")
    repository = f"{host}{slash}{rest.partition(':')[0]}"
    if "@" in image or not digest or _in_full(known) != _in_full(repository):
        return image
    return f"{repository}@{digest}"


def _in_full(repository: str) -> str:
    """A repository with its registry: `sales` is `docker.io/library/sales`."""
    first, slash, _ = repository.partition("/")
    if not slash:
        return f"docker.io/library/{repository}"
    is_registry = "." in first or ":" in first or first == "localhost"
    return repository if is_registry else f"docker.io/{repository}"
