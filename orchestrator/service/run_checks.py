"""Refuses runs that their executor could not carry out, before they exist."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from orchestrator.attempts.package import AttemptPackage, run_package
from orchestrator.errors import ConfigError, ExecutionError
from orchestrator.executors.base import Attempt, Capabilities, Executor, RefusesAttempts, together
from orchestrator.model.attempt import AttemptSpec
from orchestrator.model.reach import Reach, StoredWithin, reaches
from orchestrator.model.run import RunRecord
from orchestrator.planning.plan import PlannedRun
from orchestrator.protocol.messages import SPAWN_HINT

_KEPT = {
    "process": "keeps the outputs of step {step!r} in memory ({manager})",
    "machine": "stores the outputs of step {step!r} on one machine ({manager})",
}
_SPREAD = {
    "machine": "every step in a process of its own",
    "anywhere": "steps on different machines",
}
_HINTS = {
    "process": "Use --executor in_process, or a mode with an IO manager that stores values.",
    "machine": "Use a mode whose IO manager stores values where every machine finds them, and declares"
    ' reach="anywhere".',
}


def capabilities_of(planned: PlannedRun, executor_of: Callable[[str], Executor]) -> Capabilities:
    """What the executors of a run require and offer together. Raises ConfigError when one of them cannot be used."""
    return together([executor_of(name).capabilities for name in planned.executors])


def check_planned(planned: PlannedRun, capabilities: Capabilities) -> None:
    """Raises ConfigError when the executors spread the run's steps further than its IO managers reach."""
    for stored in planned.stored_within:
        is_there = stored.in_storage and reaches(capabilities.storage, capabilities.spread)
        if not (is_there or reaches(stored.reach, capabilities.spread)):
            raise _out_of_reach(planned, stored, capabilities.spread)


def _out_of_reach(planned: PlannedRun, stored: StoredWithin, needed: Reach) -> ConfigError:
    kept = _KEPT[stored.reach].format(step=stored.step, manager=stored.manager)
    return ConfigError(
        f"Mode {planned.mode!r} {kept}, and {_named(planned.executors)} {_SPREAD[needed]}.",
        hint=_HINTS[stored.reach],
    )


def check_attempts(
    record: RunRecord, planned: PlannedRun, storage: str, executor_of: Callable[[str], Executor]
) -> None:
    """Asks executors that can tell it beforehand whether they would refuse the steps of a run: one step for all that
    ask for the same. Raises ConfigError."""
    checkers = [(name, one) for name in planned.executors if isinstance(one := executor_of(name), RefusesAttempts)]
    if not checkers:
        return
    package = run_package(record, storage)
    for name, executor in checkers:
        shapes: dict[bytes, Attempt] = {}
        for step in planned.plan.selected():
            if (step.executor or planned.executor) == name:
                spec = AttemptSpec(run_id=record.run_id, step=step.key, template=step.key, attempt=1)
                attempt = Attempt(
                    AttemptPackage(run=package, spec=spec),
                    record.location,
                    tags=step.tags,
                    pod=step.pod,
                    timeout=step.timeout,
                )
                shapes.setdefault(msgspec.json.encode([step.pod, step.timeout]), attempt)
        executor.check(list(shapes.values()))


def _named(executors: tuple[str, ...]) -> str:
    names = " and ".join(map(repr, executors))
    return f"the {names} executor runs" if len(executors) == 1 else f"the executors {names} run"


def check_forking(planned: PlannedRun, capabilities: Capabilities, location: str, fork_problem: str | None) -> None:
    """Raises ExecutionError when the executor forks a location that has a `fork_problem`."""
    forks = capabilities.forks and any(step.isolation == "fork" for step in planned.plan.selected())
    if forks and fork_problem is not None:
        raise ExecutionError(f"Location {location!r} cannot be forked safely: {fork_problem}.", hint=SPAWN_HINT)
