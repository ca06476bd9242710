"""What an owner can see of an attempt: its phase, and the events since it was last asked for."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from orchestrator.attempts.exit_status import how_it_ended
from orchestrator.clock import now
from orchestrator.model.error_info import ErrorInfo
from orchestrator.model.event_lines import Undecodable, decode_line, quoted
from orchestrator.model.events import (
    AnyAttemptEvent,
    AttemptCanceled,
    AttemptEvent,
    AttemptFailed,
    AttemptSucceeded,
    EventUnreadable,
    encode_line,
)


class Phase(StrEnum):
    """What is known of an attempt."""

    PENDING = "PENDING"  # launched, has not begun
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"  # its outcome is among the events
    FAILED = "FAILED"  # its outcome is among the events, or `error` says how it ended without one
    LOST = "LOST"  # it is over, and how it ended was not seen
    REVOKED = "REVOKED"  # it never began, and now never can
    UNKNOWN = "UNKNOWN"  # cannot be determined at present: changes nothing


FINAL = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.LOST, Phase.REVOKED})


class Observation(Struct, frozen=True):
    """An attempt at the moment of asking. `events` are those recorded since it was last asked for; `lines` are the same
    events as the attempt encoded them, one for one, so that the owner can journal them without encoding them again.
    Without `lines` it encodes them."""

    phase: Phase
    events: tuple[AnyAttemptEvent, ...] = ()
    error: ErrorInfo | None = None
    reason: str = ""
    lines: tuple[bytes, ...] = ()


class Recorded(Struct, frozen=True):
    """One event with the line that it was read from, newline included."""

    line: bytes
    event: AnyAttemptEvent


def observed(
    phase: Phase, recorded: Sequence[Recorded], error: ErrorInfo | None = None, reason: str = ""
) -> Observation:
    """The observation of an attempt with these new events."""
    events = tuple(one.event for one in recorded)
    return Observation(phase, events, error, reason, tuple(one.line for one in recorded))


def recorded_line(step: str, attempt: int, line: bytes, number: int) -> tuple[Recorded, str | None]:
    """Line `number` (from 0, without its newline) of what an attempt recorded, and what is wrong with it. A line that
    is not an event of this attempt is an EventUnreadable."""
    try:
        event = decode_line(line)
        if not isinstance(event, AttemptEvent):
            raise Undecodable("it is not an event of an attempt")
        if (event.step, event.attempt) != (step, attempt):
            raise Undecodable("it is an event of another attempt")
    except Undecodable as error:
        unreadable = EventUnreadable(
            at=now(), step=step, attempt=attempt, n=number, reason=str(error), line=quoted(line)
        )
        return Recorded(encode_line(unreadable), unreadable), f"line {number + 1} of its events cannot be read: {error}"
    return Recorded(line + b"\n", event), None


def ended(recorded: Sequence[Recorded], phase: Phase, error: ErrorInfo, unreadable: str | None) -> Observation:
    """An attempt that is over, with the last of its events. Without an outcome among them it ended as `phase` and
    `error` say, unless some of them are `unreadable`: its outcome may be what cannot be read. Then it has run, so it is
    not lost, and only its own retries repeat it."""
    outcome = up_to_outcome(recorded)
    if outcome is not None:
        return outcome
    if unreadable is not None:
        return observed(Phase.FAILED, recorded, ErrorInfo("EventsUnreadable", unreadable))
    return observed(phase, recorded, error, error.message)


def up_to_outcome(recorded: Sequence[Recorded]) -> Observation | None:
    """The attempt as its outcome says, when that is among the events. Events behind the outcome do not count."""
    for number, one in enumerate(recorded):
        if isinstance(one.event, AttemptSucceeded):
            return observed(Phase.SUCCEEDED, recorded[: number + 1])
        if isinstance(one.event, (AttemptFailed, AttemptCanceled)):
            return observed(Phase.FAILED, recorded[: number + 1])
    return None


def death(signal_number: int | None, exit_code: int | None) -> ErrorInfo:
    """The error of an attempt whose process ended without an outcome."""
    if signal_number is None:
        message = f"its process {how_it_ended(exit_code or 0)} before the step was over"
        return ErrorInfo("ProcessExited", message, exit_code=exit_code)
    return ErrorInfo("ProcessKilled", f"its process {how_it_ended(-signal_number)}", signal=signal_number)
