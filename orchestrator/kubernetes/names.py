"""Names and labels what is created in a cluster. Any run, step and attempt has a valid name, always the same."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from orchestrator.model.attempt import split_handle

MANAGED_BY = "app.kubernetes.io/managed-by"
PREFIX = "orchestrator.io/"
INSTANCE, RUN, STEP, ATTEMPT = (f"{PREFIX}{word}" for word in ("instance", "run", "step", "attempt"))
PIPELINE, LOCATION = f"{PREFIX}pipeline", f"{PREFIX}location"
HANDLE, TOKEN = f"{PREFIX}handle", f"{PREFIX}token"
# A Job's name is also a label of its pod.
LONGEST = 63


def job_name(instance: str, handle: str) -> str:
    """The name of the Job of an attempt: readable in front, distinct by a digest of all of it."""
    run_id, step, attempt = split_handle(handle)
    digest = _digest(f"{instance} {handle}")
    readable = re.sub(r"[^a-z0-9]+", "-", step.lower()).strip("-")[:24].strip("-") or "step"
    return f"orc-{run_id}-{readable}-{attempt}-{digest}"[:LONGEST]


def input_name(instance: str, run_id: str) -> str:
    """The name of the Secret with what the attempts of a run share."""
    return f"orc-{run_id}-{_digest(f'{instance} {run_id}')}"


def run_labels(instance: str, run_id: str, pipeline: str, location: str) -> dict[str, str]:
    """The labels of everything that belongs to a run."""
    names = {PIPELINE: label(pipeline), LOCATION: label(location)}
    return {MANAGED_BY: "orchestrator", INSTANCE: instance, RUN: label(run_id), **names}


def labels_of(instance: str, handle: str, pipeline: str, location: str) -> dict[str, str]:
    """The labels of everything that belongs to an attempt. What a label cannot hold is shortened; `annotations_of` has
    it whole."""
    run_id, step, attempt = split_handle(handle)
    return {**run_labels(instance, run_id, pipeline, location), STEP: label(step), ATTEMPT: str(attempt)}


def annotations_of(handle: str) -> dict[str, str]:
    """What says exactly which attempt it is."""
    return {HANDLE: handle}


def selector(instance: str, run_id: str | None = None) -> str:
    """The label selector for what belongs to this state directory, or to one of its runs."""
    wanted = {MANAGED_BY: "orchestrator", INSTANCE: instance, **({RUN: label(run_id)} if run_id else {})}
    return ",".join(f"{name}={value}" for name, value in wanted.items())


def handle_in(metadata: Mapping[str, object]) -> str | None:
    """The attempt that an object belongs to."""
    annotations = metadata.get("annotations")
    found = annotations.get(HANDLE) if isinstance(annotations, dict) else None
    return found if isinstance(found, str) else None


def label(text: str) -> str:
    """A valid value of a label that begins like the text: itself if it is one, else with a digest at its end."""
    if re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", text):
        return text
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:48].strip("-._")
    return f"{readable}-{_digest(text)}" if readable else _digest(text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]
