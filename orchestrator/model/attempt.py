"""What one attempt of a step is to do."""

from __future__ import annotations

import msgspec

from orchestrator.model.error_info import ErrorInfo


class SourceRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """One stored value: which run, step and output made it. `run_id` None: wherever its IO manager keeps it."""

    step: str
    output: str
    run_id: str | None = None
    mapping_key: str | None = None


class AttemptSpec(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Everything a step process needs beyond run.json to make one attempt at one step.

    `step` is the step as it runs (`load[a]`), `template` as it was planned (`load[?]`). `inputs` holds, for each
    input that comes from other steps, the values that exist, in the order they were wired.
    """

    run_id: str
    step: str
    template: str
    attempt: int
    inputs: dict[str, tuple[SourceRef, ...]] = {}
    mapping_keys: tuple[str, ...] = ()
    failures: int = 0  # how many attempts failed by the step's own fault before this one
    post_mortem: ErrorInfo | None = None  # the step has failed of this: only its failure hooks are to run

    @property
    def mapping_key(self) -> str | None:
        return self.mapping_keys[-1] if self.mapping_keys else None

    @property
    def handle(self) -> str:
        return handle_of(self.run_id, self.step, self.attempt)


def handle_of(run_id: str, step: str, attempt: int) -> str:
    """The handle of an attempt: what its owner, its executor and its own process call it, after every restart too."""
    return f"{run_id}/{step}/{attempt}"


def split_handle(handle: str) -> tuple[str, str, int]:
    """(run id, step, attempt) of a handle."""
    run_id, _, rest = handle.partition("/")
    step, _, attempt = rest.rpartition("/")
    return run_id, step, int(attempt)


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where in a cluster an attempt runs. `image` has its digest where the cluster says it; `pulled_s` are the seconds
    that the node took to pull it, 0 when it was there."""

    pod: str
    node: str = ""
    image: str = ""
    pulled_s: float | None = None
