"""The interface of executors: ways of running an attempt in another process, or on another machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from msgspec import Struct, field

from orchestrator.attempts.channel import Channels
from orchestrator.attempts.observation import Observation
from orchestrator.attempts.package import AttemptPackage
from orchestrator.code_locations.pool import LocationPool
from orchestrator.model.executor_health import ExecutorHealth
from orchestrator.model.reach import Reach, furthest, nearest
from orchestrator.settings import Settings

# How long an attempt that is asked to stop may take to clean up before it is killed.
DEFAULT_GRACE_S = 15.0


class Attempt(Struct, frozen=True):
    """One attempt to be launched: what its process is given (`package`), and the location whose code it runs.
    `isolation` is "fork" or "spawn"; `tags` are those of the step: an executor may read its own options from them.
    `timeout` is the step's, in seconds. For executors that run containers: `pod` is what `Pod(...)` says, `image` is
    what earlier attempts of the run had, by its digest; of earlier attempts at the step, `losses` were lost and
    `out_of_memory` ran out of memory."""

    package: AttemptPackage
    location: str
    isolation: str = "fork"
    tags: Mapping[str, str] = field(default_factory=dict)
    pod: Mapping[str, Any] | None = None
    timeout: float | None = None
    image: str | None = None
    losses: int = 0
    out_of_memory: int = 0

    @property
    def handle(self) -> str:
        return self.package.spec.handle


class ExecutorContext(Struct, frozen=True):
    """What an executor is made from. `pool` has the location processes of this owner, `channels` opens the owner's ends
    of attempts on this machine, `settings` is the workspace file with the executor's own section."""

    pool: LocationPool
    channels: Channels
    settings: Settings


class Capabilities(Struct, frozen=True):
    """What an executor requires and offers. A run that does not fit is refused before it exists.

    `forks`: it copies the location process for an attempt, so the location's module must be safe to fork. `spread`: how
    far apart its attempts may run, in one "process", on one "machine" or "anywhere"; IO managers must reach as far.
    `storage`: how far the place reaches where managers store values that are given no other.
    """

    forks: bool = False
    spread: Reach = "machine"
    storage: Reach = "machine"


def together(capabilities: Sequence[Capabilities]) -> Capabilities:
    """What executors that share a run require and offer. They run its steps in different processes at least; of the
    places where they store values, only what the nearest reaches is sure to be the same. Pure."""
    if len(capabilities) == 1:
        return capabilities[0]
    return Capabilities(
        forks=any(one.forks for one in capabilities),
        spread=furthest(["machine", *(one.spread for one in capabilities)]),
        storage=nearest(one.storage for one in capabilities),
    )


@runtime_checkable
class ReportsHealth(Protocol):
    """What an executor may offer beside its interface, for `status`."""

    def health(self) -> ExecutorHealth | None:
        """How the system fares that it runs attempts in; None while it has not used it. Returns at once."""
        ...


@runtime_checkable
class KeepsOutcomes(Protocol):
    """What an executor may offer beside its interface that keeps the outcome of an attempt until it is safe here."""

    def recorded(self, handle: str) -> None:
        """The final observation of the attempt is in the journal of its run: nothing of it is needed any more. Is not
        called when the owner dies before; the next one asks for the attempt again. Returns at once."""
        ...


@runtime_checkable
class RefusesAttempts(Protocol):
    """What an executor may offer beside its interface that can tell beforehand what it will refuse."""

    def check(self, attempts: Sequence[Attempt]) -> None:
        """Raises ConfigError when one of these attempts, of a run that does not exist yet, would be refused for what it
        asks for. Does nothing when that cannot be found out now. May take a second."""
        ...


# How long a run counts as watched after a process has said so.
FOLLOWED_S = 30.0


@runtime_checkable
class FollowsOutput(Protocol):
    """What an executor may offer beside its interface whose attempts print where only it can read that."""

    def follow(self, run_id: str, until: datetime) -> None:
        """Has what attempts of the run print appear here as they print it, until then. Otherwise it may come when they
        have ended. Returns at once."""
        ...


class Executor(Protocol):
    """Runs attempts. Every method is idempotent: launching an attempt twice runs it once. No method may block for
    longer than it takes to start a process: the daemon calls them from its only thread."""

    name: str
    capabilities: Capabilities

    def launch(self, attempt: Attempt) -> str:
        """Starts the attempt; its handle. Raises LocationDied when that came to nothing and may succeed another time
        (the attempt counts as lost), any other ExecutionError when it is certainly impossible (as failed), and OSError
        when nothing was tried for want of space: it is asked again."""
        ...

    def adopt(self, attempt: Attempt, seen: int) -> str:
        """Watches an attempt that an earlier owner launched, or was about to; its handle. `seen` of its events are
        known already, and are not reported. An executor whose attempts use `channels` prepares the handle here too: the
        earlier owner may not have come to that."""
        ...

    def poll(self) -> dict[str, Observation]:
        """What is new, by handle; called several times a second. An attempt is forgotten once its final observation was
        returned."""
        ...

    def cancel(self, handle: str, grace: float) -> None:
        """Asks the attempt to stop, and ends it after `grace` seconds if it has not. Asking again may shorten that.
        Returns at once; how it ended comes out of `poll`. Unknown handles are ignored."""
        ...

    def end_run(self, run_id: str) -> None:
        """The run is over: what was kept for all of its attempts may go. Returns at once."""
        ...

    def close(self) -> None:
        """Finishes requests that are under way, then lets go. Attempts keep running; another owner may adopt them."""
        ...

    def descriptors(self) -> Iterable[int]:
        """File descriptors that become readable when a poll may have something new; polling anyway is never wrong."""
        ...
