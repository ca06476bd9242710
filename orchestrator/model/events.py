"""The events of a run, one frozen record a fact: the lines of a journal and of an attempt's event file.

Names are past tense. An *attempt* event concerns one try at a step, a *step* event the step as a whole, a *run* event
the run. The step's own process writes the events of class `AttemptEvent`; the run's owner writes all others, and
copies the former into the journal. Reading a line can only ever build one of these records: nothing is executed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from orchestrator.model.attempt import Place
from orchestrator.model.error_info import ErrorInfo
from orchestrator.model.states import RunState

# An instant with its zone: one without cannot be compared with the others, so a line that has one is unreadable.
Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class Owner(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who drives a run. Only for people to read: what proves ownership is the lock, never the pid."""

    kind: Literal["foreground", "daemon"]
    pid: int
    host: str


class RetryAsk(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a step asked for by raising RetryRequested."""

    max_retries: int
    delay: float | None = None


class Event(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="event"):
    """Something that happened at an instant (UTC)."""

    at: Instant


# --- the run -----------------------------------------------------------------------------------------------------


class RunStarted(Event, frozen=True, tag="run_started"):
    """The first line of the journal of a run that has begun."""

    owner: Owner
    version: str = ""


class RunResumed(Event, frozen=True, tag="run_resumed"):
    """Another owner took the run over after the last one was gone."""

    owner: Owner


class RunCancelRequested(Event, frozen=True, tag="run_cancel_requested"):
    """The run was asked to stop; no further step starts."""

    by: str = ""


class RunInterrupted(Event, frozen=True, tag="run_interrupted"):
    """The run has no owner any more; steps that were running are not known to have finished. It may be resumed."""

    reason: str


class RunFinished(Event, frozen=True, tag="run_finished"):
    """The run reached `status`, which is terminal. Nothing follows in the journal."""

    status: RunState
    reason: str = ""


# --- steps, as decided by the owner --------------------------------------------------------------------------------


class StepReused(Event, frozen=True, tag="step_reused"):
    """The step is not run here. `outputs` maps the outputs an earlier run has to their mapping keys (None: one value).

    `run_id` is the run that produced them; None when they are taken from wherever their IO manager finds them.
    """

    step: str
    outputs: dict[str, tuple[str, ...] | None]
    run_id: str | None = None
    memoized: bool = False


class StepSkipped(Event, frozen=True, tag="step_skipped"):
    """An input has no value, because a branch was not taken."""

    step: str
    reason: str


class StepAbandoned(Event, frozen=True, tag="step_abandoned"):
    """A step that this one needs failed."""

    step: str
    upstream: str


class StepRetryScheduled(Event, frozen=True, tag="step_retry_scheduled"):
    """The last attempt did not succeed and there will be another, not before `due_at`."""

    step: str
    attempt: int  # the one that ended
    due_at: Instant
    budget: Literal["retries", "infrastructure"]
    reason: str = ""


class StepFailed(Event, frozen=True, tag="step_failed"):
    """The last attempt did not succeed and there will be no other."""

    step: str
    attempt: int
    error: ErrorInfo


# --- attempts, as seen by the owner --------------------------------------------------------------------------------


class AttemptLaunched(Event, frozen=True, tag="attempt_launched"):
    """The owner is about to start this attempt: written before it acts, so that a crash in between can be repaired."""

    step: str
    attempt: int
    executor: str
    post_mortem: bool = False  # only to run the failure hooks of a step whose own process could not


class AttemptWaiting(Event, frozen=True, tag="attempt_waiting"):
    """The attempt was launched and has not begun: `reason` says what it waits for (room in a cluster, an image); or how
    it fares is not known, and `reason` says why. Written again when the reason changes, empty when there is none."""

    step: str
    attempt: int
    reason: str


class AttemptRevoked(Event, frozen=True, tag="attempt_revoked"):
    """The attempt never began and now never can: its claim was taken by the owner. It counts against no budget."""

    step: str
    attempt: int
    reason: str


class AttemptStopRequested(Event, frozen=True, tag="attempt_stop_requested"):
    """The owner is about to end this attempt."""

    step: str
    attempt: int
    why: Literal["canceled", "timed out"]


class AttemptDied(Event, frozen=True, tag="attempt_died"):
    """The attempt's process ended without an outcome, by itself or ended by us after a timeout."""

    step: str
    attempt: int
    error: ErrorInfo


class AttemptLost(Event, frozen=True, tag="attempt_lost"):
    """The attempt is gone and how it ended was not seen: the machine rebooted, a node vanished. An infrastructure
    failure."""

    step: str
    attempt: int
    reason: str


# --- attempts, recorded by the step's process -----------------------------------------------------------------------


class AttemptEvent(Event, frozen=True):
    """Written by the process that runs the attempt. `n` counts from 0 within the attempt, without gaps."""

    step: str
    attempt: int
    n: int


class AttemptStarted(AttemptEvent, frozen=True, tag="attempt_started"):
    """The process of the attempt has claimed it and begins. `post_mortem`: only to run failure hooks. `place`: where in
    a cluster; `at` is then when its container was started, to the second."""

    pid: int
    host: str
    post_mortem: bool = False
    place: Place | None = None


class InputLoaded(AttemptEvent, frozen=True, tag="input_loaded"):
    """An input's value is there; `problem` says why its type is wrong, when it is (the attempt then fails)."""

    input: str
    manager: str = ""
    seconds: float = 0.0
    problem: str | None = None


class OutputProduced(AttemptEvent, frozen=True, tag="output_produced"):
    """User code handed over a value; `problem` as in InputLoaded, and then the value is not stored. `metadata` is
    what the step said about the value: `Output(..., metadata={...})`."""

    output: str
    mapping_key: str | None = None
    problem: str | None = None
    metadata: dict[str, Any] = {}


class AssetMaterialized(AttemptEvent, frozen=True, tag="asset_materialized"):
    """An asset was written: stated by the step, or by the IO manager of an output. `asset` is its key, part by part."""

    asset: tuple[str, ...]
    description: str | None = None
    metadata: dict[str, Any] = {}
    partition: str | None = None
    tags: dict[str, str] = {}


class OutputStored(AttemptEvent, frozen=True, tag="output_stored"):
    """The IO manager has the value safely."""

    output: str
    manager: str
    mapping_key: str | None = None
    seconds: float = 0.0


class ExpectationChecked(AttemptEvent, frozen=True, tag="expectation_checked"):
    """The step stated an Expectation about data. One that does not hold fails nothing by itself."""

    success: bool
    label: str = ""
    description: str | None = None
    metadata: dict[str, Any] = {}


class LogEmitted(AttemptEvent, frozen=True, tag="log_emitted"):
    """The step, or a library in its process, logged a message. `logger` is empty for `context.log`."""

    level: str
    message: str
    logger: str = ""


class ResourceInitialized(AttemptEvent, frozen=True, tag="resource_initialized"):
    """A resource of the step was made, which took `seconds`."""

    resource: str
    seconds: float = 0.0


class ResourceTornDown(AttemptEvent, frozen=True, tag="resource_torn_down"):
    """A resource that yields was ended, whatever had become of the step."""

    resource: str


class ResourceFailed(AttemptEvent, frozen=True, tag="resource_failed"):
    """A resource could not be made or ended. A failed initialization fails the attempt; a failed teardown changes no
    result."""

    resource: str
    phase: Literal["init", "teardown"]
    error: ErrorInfo


class HookCompleted(AttemptEvent, frozen=True, tag="hook_completed"):
    """A hook was called and returned."""

    hook: str


class HookSkipped(AttemptEvent, frozen=True, tag="hook_skipped"):
    """A hook was not called: it is for another ending of the step, or the step will be retried."""

    hook: str


class HookFailed(AttemptEvent, frozen=True, tag="hook_failed"):
    """A hook raised, which changes nothing for the step."""

    hook: str
    error: ErrorInfo


class AttemptSucceeded(AttemptEvent, frozen=True, tag="attempt_succeeded"):
    """An outcome: the last event of its attempt. `outputs` maps each produced output to its mapping keys, in the
    order they were produced (None for an output that is not dynamic)."""

    seconds: float
    outputs: dict[str, tuple[str, ...] | None] = {}
    post_mortem: bool = False


class AttemptFailed(AttemptEvent, frozen=True, tag="attempt_failed"):
    """An outcome. `ask` is set when the step raised RetryRequested; `allow_retries` is False when it said that
    trying again is pointless."""

    seconds: float
    error: ErrorInfo
    ask: RetryAsk | None = None
    allow_retries: bool = True


class AttemptCanceled(AttemptEvent, frozen=True, tag="attempt_canceled"):
    """An outcome: the attempt was asked to stop and has torn its resources down. `waited_for` names the threads and
    processes that were still running if its function had returned before."""

    seconds: float
    waited_for: str = ""


class EventUnreadable(AttemptEvent, frozen=True, tag="event_unreadable"):
    """A line that is not an event: damaged, or written by a newer version. The owner records one in place of a line of
    an attempt that it cannot read, and readers of a journal get one for each damaged line, so that no line is lost
    without a trace. `line` quotes it; `step` is empty where it is not known whose line it was."""

    step: str = ""
    attempt: int = 0
    n: int = 0
    reason: str = ""
    line: str = ""


AttemptOutcome = AttemptSucceeded | AttemptFailed | AttemptCanceled
AnyAttemptEvent = (
    AttemptStarted
    | InputLoaded
    | OutputProduced
    | AssetMaterialized
    | OutputStored
    | ExpectationChecked
    | LogEmitted
    | ResourceInitialized
    | ResourceTornDown
    | ResourceFailed
    | HookCompleted
    | HookSkipped
    | HookFailed
    | AttemptSucceeded
    | AttemptFailed
    | AttemptCanceled
    | EventUnreadable
)
AnyEvent = (
    RunStarted
    | RunResumed
    | RunCancelRequested
    | RunInterrupted
    | RunFinished
    | StepReused
    | StepSkipped
    | StepAbandoned
    | StepRetryScheduled
    | StepFailed
    | AttemptLaunched
    | AttemptWaiting
    | AttemptRevoked
    | AttemptStopRequested
    | AttemptDied
    | AttemptLost
    | AnyAttemptEvent
)

_encoder = msgspec.json.Encoder()


def encode_line(event: Event) -> bytes:
    """The event as one line of JSON, newline included."""
    return _encoder.encode(event) + b"\n"


def kind_of(event: Event) -> str:
    """The event's name as it stands in journals, SQL and the command line."""
    return str(event.__struct_config__.tag)
