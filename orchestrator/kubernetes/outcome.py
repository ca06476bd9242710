"""What a pod that has ended says of its attempt. Pure."""

from __future__ import annotations

from msgspec import Struct, structs

from orchestrator.attempts.observation import Observation, Phase, Recorded, observed, recorded_line, up_to_outcome
from orchestrator.attempts.termination_message import BLOCK, events_in, last_event_in, read_message
from orchestrator.clock import now
from orchestrator.kubernetes.facts import PodFacts, Stage, how_it_died, how_it_was_lost
from orchestrator.model.attempt import Place, split_handle
from orchestrator.model.error_info import OUT_OF_MEMORY, ErrorInfo
from orchestrator.model.events import AttemptCanceled, AttemptStarted, EventUnreadable, encode_line


class Outcome(Struct, frozen=True):
    """The final observation, and what the step printed. `is_whole`: all that the attempt recorded is in it."""

    observation: Observation
    printed: bytes
    is_whole: bool = True


def finished(
    handle: str,
    facts: PodFacts,
    log: bytes,
    token: str,
    seen: int,
    *,
    was_stopped: bool = False,
    is_gone: bool = False,
) -> Outcome:
    """The end of an attempt. `seen` of its events are known. The step's own outcome counts before anything that
    Kubernetes says: a pod that was deleted after it is not lost. `is_gone`: the pod is not there any more."""
    printed, ours = apart(log, token)
    recorded, is_whole = _events(handle, facts, ours, token)
    new = recorded[seen:] if is_whole else _last_only(handle, facts, seen)
    vanished = "its pod is gone, and how it ended was not seen" if is_gone and facts.stage is not Stage.ENDED else None
    refused, unclaimed = _unclaimed(facts)
    if refused is not None:
        return Outcome(observed(Phase.FAILED, (), refused, refused.message), printed)
    lost = unclaimed or (None if was_stopped else how_it_was_lost(facts) or vanished)
    outcome = up_to_outcome(new)
    if outcome is not None and not (lost is not None and isinstance(outcome.events[-1], AttemptCanceled)):
        return Outcome(outcome, printed, is_whole)
    if outcome is not None:  # it tore down when the cluster ended it: we did not ask for that
        new = new[: len(outcome.events) - 1]
    if not is_whole:
        error = ErrorInfo("EventsMissing", "its events did not fit into the pod's message, and its log is gone")
        return Outcome(observed(Phase.FAILED, new, error, error.message), printed, is_whole)
    if lost is not None:
        return Outcome(observed(Phase.LOST, new, None, lost), printed)
    message = f"its process {how_it_died(facts)}"
    kind = OUT_OF_MEMORY if facts.reason == "OOMKilled" else "ProcessExited"
    error = ErrorInfo(kind, message, exit_code=facts.exit_code)
    return Outcome(observed(Phase.FAILED, new, error, message), printed)


def says_it_began(facts: PodFacts) -> bool:
    """Whether a pod has ended and has the event that its attempt began, which no other need stand for then."""
    message = read_message(facts.left) if facts.stage is Stage.ENDED else None
    return message is not None and message.lines > 0


def with_place(observation: Observation, place: Place) -> Observation:
    """The observation with the place where the attempt began, if its first event says that it did."""
    first = observation.events[0] if observation.events else None
    if not isinstance(first, AttemptStarted):
        return observation
    placed = structs.replace(first, place=place)
    return structs.replace(
        observation,
        events=(placed, *observation.events[1:]),
        lines=(encode_line(placed), *observation.lines[1:]),
    )


def lines_of_block(facts: PodFacts) -> int:
    """How many lines of the pod's log have events that did not fit into its message."""
    message = read_message(facts.left)
    return message.block if message is not None and message.data is None else 0


def _unclaimed(facts: PodFacts) -> tuple[ErrorInfo | None, str | None]:
    """Why the pod has not made the attempt: an error, or how it was lost."""
    message = read_message(facts.left)
    if message is None or not message.unclaimed:
        return None, None
    if message.unclaimed == "refused":
        return ErrorInfo("ClaimRefused", message.reason), None
    return None, message.reason


def _events(handle: str, facts: PodFacts, ours: list[str], token: str) -> tuple[list[Recorded], bool]:
    """The events, and whether those are all that the attempt recorded."""
    message = read_message(facts.left)
    if message is None:
        return [], True
    lines = events_in(message, ours, token)
    if lines is None:
        return [], False
    _, step, number = split_handle(handle)
    return [recorded_line(step, number, line, place)[0] for place, line in enumerate(lines)], True


def is_end_of(copied: bytes, log: bytes, token: str) -> bool:
    """Whether what was copied of a log goes to its end, of which `log` has the last lines. A stream of a log ends
    without an error, too, when the node's kubelet dies."""
    printed, _ = apart(log, token)
    ours, theirs = copied.strip(), printed.strip()
    shortest = min(len(ours), len(theirs))
    return ours[len(ours) - shortest :] == theirs[len(theirs) - shortest :] and bool(ours) >= bool(theirs)


def _last_only(handle: str, facts: PodFacts, seen: int) -> list[Recorded]:
    """The last event of an attempt whose others are lost, with a word about those in front."""
    message = read_message(facts.left)
    line = None if message is None else last_event_in(message)
    if message is None or line is None:
        return []
    _, step, number = split_handle(handle)
    reason = f"events {seen + 1} to {message.lines - 1} are missing: the pod's log has lost them"
    missing = EventUnreadable(at=now(), step=step, attempt=number, n=seen, reason=reason)
    return [Recorded(encode_line(missing), missing), recorded_line(step, number, line, message.lines - 1)[0]]


def apart(log: bytes, token: str) -> tuple[bytes, list[str]]:
    """What the step printed, and the lines of a log that are ours."""
    prefix = f"{BLOCK}{token} ".encode()
    if prefix not in log:
        return log, []
    lines = log.split(b"\n")
    ours = [line.decode() for line in lines if line.startswith(prefix)]
    rest = b"\n".join(line for line in lines if not line.startswith(prefix))
    return rest, ours
