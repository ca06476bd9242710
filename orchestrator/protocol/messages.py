"""The protocol between a location process and its owner. `wire` carries the messages.

The parent starts the process; the process answers first, with `Loaded` or `LoadFailed`. Plans and what is asked of
them travel as JSON inside the message: only planning knows their shape.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from orchestrator.model.asset import NumberedMaterialization
from orchestrator.model.attempt import AttemptSpec
from orchestrator.model.delivery import RunEnding
from orchestrator.model.location import LocationInfo

# A location may run in another environment, with another version installed. Raise PROTOCOL for a message or a required
# field that an older side does not know, and OLDEST_PROTOCOL once this side no longer understands an older one.
PROTOCOL = 4
OLDEST_PROTOCOL = 4

# Stands for a request in the refusal of a location process that cannot start an evaluator just now.
NO_EVALUATOR = -1

# What to do about a module whose import makes forking unsafe.
SPAWN_HINT = (
    "Do that work inside a step instead of while the module is imported, or set `isolation: spawn` on the location"
    ' (or @step(isolation="spawn") on the steps): each attempt then starts a fresh interpreter.'
)


def is_compatible(protocol: int, theirs_oldest: int) -> bool:
    """Whether a location that speaks `protocol`, and understands what `theirs_oldest` and later say, can be used."""
    return protocol >= OLDEST_PROTOCOL and theirs_oldest <= PROTOCOL


# --- from a location process ---------------------------------------------------------------------------------------


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    """The module is imported. `fork_problem` says why its steps cannot be forked, when they cannot."""

    protocol: int
    version: str
    info: LocationInfo
    fork_problem: str | None = None
    files: tuple[str, ...] = ()  # of the modules that came from the location's directory: what to watch for changes
    pid: int = 0  # said by evaluators
    oldest_protocol: int = OLDEST_PROTOCOL


class LoadFailed(msgspec.Struct, frozen=True, tag="load_failed"):
    """The module could not be imported. The process stays, but only to be ended."""

    protocol: int
    version: str
    message: str
    traceback: str = ""
    hint: str | None = None
    files: tuple[str, ...] = ()
    oldest_protocol: int = OLDEST_PROTOCOL


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """The result of the request with that number, as JSON."""

    request: int
    result: bytes


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """The request cannot be carried out: an OrchestratorError, by the name of its class."""

    request: int
    kind: str
    message: str
    hint: str | None = None
    details: tuple[str, ...] = ()


class FindAsset(msgspec.Struct, frozen=True, tag="find_asset"):
    """An evaluator asks, in the middle of an evaluation, for materializations of an asset: the newest `limit` ones
    that became known after `after`, oldest first. Answered with `FoundAsset`."""

    asset: tuple[str, ...]
    after: int = 0
    limit: int = 1


class EvaluatorEnded(msgspec.Struct, frozen=True, tag="evaluator_ended"):
    """A process that was asked schedules and sensors is gone: its exit code, negative for a signal."""

    pid: int
    code: int


FromLocation = Loaded | LoadFailed | Answer | Refusal | FindAsset | EvaluatorEnded


# --- to a location process -----------------------------------------------------------------------------------------


class MakePlan(msgspec.Struct, frozen=True, tag="make_plan"):
    """A `planning.plan.PlanRequest` as JSON; answered with a `PlannedRun`."""

    request: int
    plan_request: bytes


class MakeTemplate(msgspec.Struct, frozen=True, tag="make_template"):
    """Answered with the text of a commented configuration template."""

    request: int
    pipeline: str
    mode: str | None = None


class FindMemoized(msgspec.Struct, frozen=True, tag="find_memoized"):
    """An `attempts.package.RunPackage` as JSON; answered with the keys of the steps of that run whose outputs exist
    already in their version."""

    request: int
    run: bytes


class MakePlans(msgspec.Struct, frozen=True, tag="make_plans"):
    """Several `planning.plan.PlanRequest` as JSON; answered with as many, each `{"planned": PlannedRun}` or
    `{"problem": text}`."""

    request: int
    plan_requests: tuple[bytes, ...]


class Evaluate(msgspec.Struct, frozen=True, tag="evaluate", kw_only=True):
    """Ask a schedule or sensor once; answered with a `ticks.Evaluation`. Served by evaluators only, because user code
    may do anything meanwhile. An asset sensor gets `materializations`, a run-status sensor `runs`."""

    request: int
    name: str
    at: datetime
    scheduled_at: datetime | None = None
    cursor: str | None = None
    last_run_key: str | None = None
    last_tick_at: datetime | None = None
    materializations: tuple[NumberedMaterialization, ...] = ()
    runs: tuple[RunEnding, ...] = ()
    attempt: int = 1
    delivery_key: str | None = None


class EvaluateMany(msgspec.Struct, frozen=True, tag="evaluate_many"):
    """Ask a schedule about many occurrences: (when it is asked, which occurrence), in order; answered with `Evaluated`.
    The first is asked in any case; once `seconds` have passed no further one is, and who asked asks for the rest."""

    request: int
    name: str
    occurrences: tuple[tuple[datetime, datetime], ...]
    seconds: float


class Evaluated(msgspec.Struct, frozen=True):
    """What a schedule said about the first of the occurrences it was asked about: as many as `which` is long, each the
    place of its answer in `evaluations`. Equal answers are said once. What was printed is not part of them."""

    evaluations: tuple[msgspec.Raw, ...]  # each an `Evaluation`
    which: tuple[int, ...]


class FoundAsset(msgspec.Struct, frozen=True, tag="found_asset"):
    """What was asked for with `FindAsset`, oldest first."""

    materializations: tuple[NumberedMaterialization, ...]


class BeginRun(msgspec.Struct, frozen=True, tag="begin_run"):
    """An `attempts.package.RunPackage` as JSON: what the attempts of that run share. Sent once, before the first of
    them; not answered."""

    run: bytes


class LaunchAttempt(msgspec.Struct, frozen=True, tag="launch_attempt"):
    """Start the attempt, of a run that has begun here; not answered, its channel tells. `channel`: the address of the
    worker's end. `how`: in a forked child, in a fresh interpreter, or in the location process itself."""

    channel: str
    spec: AttemptSpec
    how: str  # fork | spawn | here


class EndRun(msgspec.Struct, frozen=True, tag="end_run"):
    """No further attempt of this run will be launched: let go of what is kept for it. Not answered."""

    run_id: str


ToLocation = (
    MakePlan
    | MakePlans
    | MakeTemplate
    | FindMemoized
    | Evaluate
    | EvaluateMany
    | FoundAsset
    | BeginRun
    | LaunchAttempt
    | EndRun
)
