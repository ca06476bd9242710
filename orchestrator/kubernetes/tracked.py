"""An attempt that an owner follows in a cluster, and what to think of one that has not begun. Pure."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime

from msgspec import Struct

from orchestrator.attempts.observation import Observation, Phase
from orchestrator.executors.base import Attempt
from orchestrator.kubernetes.facts import PodFacts, waits_for
from orchestrator.model.error_info import ErrorInfo

# Waiting is no help against some causes, but an image may just have been pushed, a Secret just have been created.
HOPELESS_S = 30.0


class Tracked(Struct):
    """An attempt that this owner follows."""

    attempt: Attempt
    name: str
    token: str
    since: datetime
    seen: int = 0
    is_created: bool = False
    is_over: bool = False  # its Job had ended when it was found
    request: Future[None] | None = None  # creating or finding its Job
    again: Callable[[Tracked], None] | None = None  # which of the two, and
    again_at: datetime | None = None  # when, if the API server could not be asked
    ending: Future[Observation] | None = None  # reading what it has left
    ended_at: datetime | None = None  # when its pod was first seen to have ended
    hopeless_since: datetime | None = None
    stop_at: datetime | None = None  # it was asked to stop, and is to be gone by then


def judge_uncreated(tracked: Tracked, most: int) -> Observation:
    """An attempt whose Job is not there. `most`: how many Jobs there may be."""
    if tracked.request is None:
        if tracked.stop_at is not None:
            return Observation(Phase.REVOKED, reason="it was asked to stop before its Job was created")
        return Observation(Phase.PENDING, reason=f"{most} Jobs are running, which is max_concurrent_jobs")
    if not tracked.request.done():
        return Observation(Phase.PENDING)
    return Observation(Phase.REVOKED, reason="its Job was never created, or was deleted")


def judge_waiting(
    tracked: Tracked, facts: PodFacts | None, warning: str, now: datetime, start_timeout: float
) -> Observation:
    """An attempt whose Job is there and whose pod has not begun. `warning`: the newest of the cluster's events."""
    reason = waits_for(facts, warning)
    if tracked.stop_at is not None and (facts is None or now >= tracked.stop_at):
        return Observation(Phase.REVOKED, reason="it was asked to stop before it began")
    if facts is None and tracked.is_over:
        return Observation(Phase.LOST, reason="its pod was gone when its Job was found again")
    if facts is not None and facts.is_hopeless:
        tracked.hopeless_since = tracked.hopeless_since or now
        if (now - tracked.hopeless_since).total_seconds() >= HOPELESS_S:
            return Observation(Phase.FAILED, error=ErrorInfo("PodCannotStart", reason), reason=reason)
    else:
        tracked.hopeless_since = None
    if (now - tracked.since).total_seconds() >= start_timeout:
        return Observation(Phase.LOST, reason=f"its pod did not start in time ({reason})")
    # That a container is being created is not worth an event.
    is_worth_saying = bool(warning or (facts is not None and facts.message))
    return Observation(Phase.PENDING, reason=reason if is_worth_saying else "")
