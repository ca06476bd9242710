"""What the workspace file says of a cluster, as the executor needs it."""

from __future__ import annotations

from orchestrator.errors import ConfigError
from orchestrator.kubernetes.instance import instance_of
from orchestrator.kubernetes.manifest import CodeSettings, JobSettings
from orchestrator.settings import LocationSettings, Settings


def job_settings(settings: Settings, namespace: str) -> JobSettings:
    """What all Jobs have in common."""
    kubernetes = settings.kubernetes
    storage = kubernetes.storage
    return JobSettings(
        instance=instance_of(settings.state_path),
        namespace=namespace,
        env_from=kubernetes.env_from,
        pod=kubernetes.pod,
        claim=None if storage is None else storage.claim,
        mount="/storage" if storage is None else storage.mount,
        unit=kubernetes.unit,
        start_timeout=kubernetes.start_timeout,
        has_claims=kubernetes.claim == "lease",
        spot=kubernetes.spot,
        spot_attempts=kubernetes.spot_attempts,
    )


def code_of(settings: Settings, location: str) -> CodeSettings:
    """Where the code of a location is in its image. Raises ConfigError when it has none."""
    found = next((one for one in settings.locations if one.name == location), None)
    if found is None or found.image is None:
        raise ConfigError(
            f"Location {location!r} has no image, so its steps cannot run in a cluster.",
            hint=f"Add `image: REGISTRY/NAME:VERSION` to it in {settings.path}: an image with its code and"
            " orchestrator installed.",
        )
    return CodeSettings(found.image, _target(found), _literals(found))


def _target(location: LocationSettings) -> dict[str, object]:
    """The location's target inside its image. A file is looked for where the container's working directory is."""
    return {"name": location.name, "working_dir": ".", "module": location.module, "file": location.file}


def _literals(location: LocationSettings) -> dict[str, str]:
    """The variables whose values stand in the workspace file. `{env: NAME}` is for the pod's environment to give."""
    return {name: value for name, value in location.env.items() if isinstance(value, str)}
