"""The default executors: each attempt in a process of its own, or (in_process) one after another in the location's
process.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from orchestrator.attempts.channel import OwnerChannel
from orchestrator.attempts.observation import FINAL, Observation, Phase
from orchestrator.clock import monotonic
from orchestrator.code_locations.location_process import LocationProcess
from orchestrator.code_locations.pool import drain
from orchestrator.executors.base import Attempt, Capabilities, ExecutorContext

# How often attempts are polled without a hint: for log lines, and to find lost ones.
SWEEP_S = 0.2


class SubprocessExecutor:
    """Attempts as children of their location's warm process: forked from it, or started by it from scratch."""

    name = "subprocess"
    capabilities = Capabilities(forks=True)

    def __init__(self, context: ExecutorContext) -> None:
        self._pool = context.pool
        self._channels = context.channels
        self._watched: dict[str, OwnerChannel] = {}
        self._parents: dict[str, LocationProcess] = {}
        self._hinted: set[str] = set()
        self._swept_at = 0.0

    def launch(self, attempt: Attempt) -> str:
        address = self._channels.prepare(attempt.handle)
        process = self._pool.for_run(attempt.package.run.run_id, attempt.location)
        process.launch(attempt.package, address, self._how(attempt))
        self._watched[attempt.handle] = self._watch(attempt)
        self._parents[attempt.handle] = process
        return attempt.handle

    def adopt(self, attempt: Attempt, seen: int) -> str:
        self._watched[attempt.handle] = self._watch(attempt, seen)
        self._hinted.add(attempt.handle)
        return attempt.handle

    def poll(self) -> dict[str, Observation]:
        for process in self._pool.running():
            process.pump()
            self._hinted.update(drain(process.wake))
        if monotonic() - self._swept_at >= SWEEP_S:
            self._swept_at = monotonic()
            looked_at = set(self._watched)
        else:
            looked_at = self._hinted & self._watched.keys()
        self._hinted = set()
        return {handle: self._observed(handle) for handle in sorted(looked_at)}

    def cancel(self, handle: str, grace: float) -> None:
        watch = self._watched.get(handle)
        if watch is not None:
            watch.stop(grace)
            self._hinted.add(handle)

    def end_run(self, run_id: str) -> None:
        self._pool.end_run(run_id)

    def close(self) -> None:
        pass  # the location processes belong to the workspace

    def descriptors(self) -> Iterable[int]:
        for process in self._pool.running():
            if process.is_alive:
                yield process.fileno()
                yield process.wake

    def _watch(self, attempt: Attempt, seen: int = 0) -> OwnerChannel:
        spec = self._pool.specs.get(attempt.location)
        return self._channels.watch(attempt.handle, seen, None if spec is None else spec.max_log_mb)

    def _how(self, attempt: Attempt) -> str:
        return attempt.isolation

    def _observed(self, handle: str) -> Observation:
        """The observation of one attempt. One that cannot be looked at costs no other its observation, because a final
        one is given only once."""
        try:
            return self._look(handle)
        except OSError as error:
            return Observation(Phase.UNKNOWN, reason=str(error))

    def _look(self, handle: str) -> Observation:
        parent = self._parents.get(handle)
        observation = self._watched[handle].look(parent_alive=parent is not None and parent.is_alive)
        if observation.phase is Phase.REVOKED and parent is not None and parent.failure is not None:
            # Not free of charge as a revocation is: a location that dies of every launch must not be tried for ever.
            observation = replace(observation, phase=Phase.LOST, reason=parent.failure.message)
        if observation.phase in FINAL:
            self._watched.pop(handle).close()
            self._parents.pop(handle, None)
        return observation


class InProcessExecutor(SubprocessExecutor):
    """Attempts inside the location process itself, one after another: for debugging, and for values kept in memory.

    User code that ends the process ends the attempts that wait in it too.
    """

    name = "in_process"
    capabilities = Capabilities(spread="process")

    def _how(self, attempt: Attempt) -> str:
        return "here"
