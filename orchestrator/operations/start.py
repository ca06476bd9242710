"""Starting runs: new ones, ones that continue an earlier run, and interrupted ones. Drives none: what is new here lies
on disk when it is handed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from orchestrator import clock
from orchestrator.engine.network import RunStep
from orchestrator.engine.progress import RunProgress
from orchestrator.engine.reuse import Lookup, finished_before, reused_steps, unselected_steps
from orchestrator.errors import ExecutionError, NotFound, NotPossible
from orchestrator.events import StepReused
from orchestrator.execution.registry import make_executor
from orchestrator.ids import new_run_id
from orchestrator.layout import RunDir
from orchestrator.locks import HeldLock
from orchestrator.messages import SPAWN_HINT
from orchestrator.operations.create import create_run
from orchestrator.operations.driver import own_run
from orchestrator.operations.history import ancestors, progress_of
from orchestrator.operations.workspace import FoundPipeline, Workspace, find_pipeline, in_workspace, plan
from orchestrator.planning.compile import IN_PROCESS
from orchestrator.planning.plan import PlannedRun, PlanRequest, encode_plan
from orchestrator.records import ALERTS_TAG, RunRecord, Trigger
from orchestrator.run_files import read_record
from orchestrator.states import StepState


@dataclass(frozen=True)
class RunOptions:
    """What a caller may decide about a run."""

    pipeline: str | None = None
    mode: str | None = None
    preset: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    selection: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    executor: str | None = None
    memoize: bool = False


@dataclass(frozen=True)
class Continued:
    """An earlier run that a new one continues: all of it again, or only what did not succeed."""

    run_id: str
    only_failed: bool


@dataclass(frozen=True)
class NewRun:
    """A run that exists on disk and belongs to this process, which has not begun it yet."""

    run_dir: RunDir
    lock: HeldLock
    reused: list[StepReused]


def new_run(workspace: Workspace, options: RunOptions, continued: Continued | None = None) -> NewRun:
    """Plans a run and creates it. Raises before anything is written when the run cannot be right."""
    found, planned, record, reused = plan_new(workspace, options, continued)
    run_dir = create_run(workspace.state, record)
    lock = own_run(run_dir)  # before the look at stored values, which may take longer than anybody waits for a sign
    try:
        if options.memoize:
            reused += _memoized(workspace, found, planned, run_dir, {event.step for event in reused})
    except BaseException:
        lock.release()
        raise
    return NewRun(run_dir, lock, reused)


def plan_new(
    workspace: Workspace, options: RunOptions, continued: Continued | None
) -> tuple[FoundPipeline, PlannedRun, RunRecord, list[StepReused]]:
    """Everything there is to know of a run before it exists."""
    parent = read_parent(workspace, continued.run_id) if continued else None
    if parent is not None:
        options = _inherited(options, parent)
    if not options.pipeline:
        raise NotFound("No pipeline was named.")
    found = find_pipeline(workspace, options.pipeline)
    planned = plan(workspace, found, _request(workspace, options, parent is not None))
    make_executor(planned.executor, workspace.pool)  # refused now if there is no such thing, not when the run exists
    _check_forking(found, planned)
    reused = _reused(workspace, planned, parent, continued)
    return found, planned, _record(workspace, found, planned, parent, reused), reused


def _memoized(
    workspace: Workspace, found: FoundPipeline, planned: PlannedRun, run_dir: RunDir, known: set[str]
) -> list[StepReused]:
    """The steps whose outputs are stored in the version that this run would make."""
    number = found.process.find_memoized(run_dir)
    keys = msgspec.json.decode(workspace.pool.wait_answer(found.process, number), type=list[str])
    return [
        StepReused(
            at=clock.now(),
            step=key,
            outputs={output.name: None for output in planned.plan.by_key[key].outputs},
            memoized=True,
        )
        for key in keys
        if key not in known
    ]


def read_parent(workspace: Workspace, run_id: str) -> RunRecord:
    """The earlier run, as it was requested. Raises NotPossible when its files were deleted."""
    try:
        return read_record(workspace.state.run(run_id))
    except FileNotFoundError:
        raise NotPossible(f"The files of run {run_id} are gone; it cannot be continued.") from None


def _inherited(options: RunOptions, parent: RunRecord) -> RunOptions:
    """What the earlier run was, except where the caller says otherwise. A preset is in its config already."""
    return RunOptions(
        pipeline=options.pipeline or f"{parent.location}/{parent.pipeline}",
        mode=options.mode or (None if options.preset else parent.mode),
        preset=options.preset,
        config=options.config or parent.config,
        selection=options.selection,
        # Alerts are told of a run that somebody asks for, whoever has asked for the one before.
        tags={**{name: value for name, value in parent.tags.items() if name != ALERTS_TAG}, **options.tags},
        executor=options.executor or parent.executor,
        memoize=options.memoize,
    )


def _request(workspace: Workspace, options: RunOptions, has_parent: bool) -> PlanRequest:
    assert options.pipeline is not None
    return in_workspace(
        workspace,
        PlanRequest(
            pipeline=options.pipeline.rpartition("/")[2],
            mode=options.mode,
            preset=options.preset,
            config=dict(options.config),
            tags=dict(options.tags),
            selection=options.selection,
            executor=options.executor,
            has_parent=has_parent,
            memoize=options.memoize,
        ),
    )


def _check_forking(found: FoundPipeline, planned: PlannedRun) -> None:
    loaded = found.process.loaded
    forks = planned.executor != IN_PROCESS and any(step.isolation == "fork" for step in planned.plan.selected())
    if forks and loaded is not None and loaded.fork_problem is not None:
        raise ExecutionError(
            f"Location {found.location!r} cannot be forked safely: {loaded.fork_problem}.",
            hint=SPAWN_HINT,
        )


def _record(
    workspace: Workspace,
    found: FoundPipeline,
    planned: PlannedRun,
    parent: RunRecord | None,
    reused: list[StepReused],
) -> RunRecord:
    return RunRecord(
        run_id=new_run_id(),
        pipeline=found.info.name,
        location=found.location,
        mode=planned.mode,
        created_at=clock.now(),
        trigger=Trigger("rerun", parent.run_id) if parent else Trigger(),
        tags=planned.tags,
        config=planned.config,
        selection=planned.selection,
        executor=planned.executor,
        max_concurrent_steps=workspace.settings.executor.max_concurrent_steps,
        parent_run_id=parent.run_id if parent else None,
        root_run_id=(parent.root_run_id or parent.run_id) if parent else None,
        plan=msgspec.Raw(encode_plan(planned.plan)),
        reused=msgspec.Raw(msgspec.json.encode(reused)),
    )


def _reused(
    workspace: Workspace, planned: PlannedRun, parent: RunRecord | None, continued: Continued | None
) -> list[StepReused]:
    if parent is None or continued is None:
        return unselected_steps(planned.plan, now=clock.now())
    lookup = produced_by_ancestors(workspace, parent)
    keep: Callable[[RunStep], bool] = _runs_again
    if continued.only_failed:
        keep = finished_before(progress_of(workspace.state.run(parent.run_id)))
    return reused_steps(planned.plan, lookup, keep, now=clock.now())


def _runs_again(_step: RunStep) -> bool:
    return False


def produced_by_ancestors(workspace: Workspace, parent: RunRecord) -> Lookup:
    """Finds the outputs of a step in the nearest of the runs that led here: the parent, its parent, and so on."""
    loaded: list[tuple[str, RunProgress]] = []
    chain = ancestors(workspace.state, parent)

    def lookup(step: str) -> Any:
        for run_id, progress in _both(loaded, chain):
            found = progress.network.steps.get(step)
            # A step that was itself reused from no known run says nothing of where its value is.
            if found is not None and found.outputs and (found.run_id or found.state is StepState.SUCCESS):
                return found.run_id or run_id, found.outputs
        return None

    return lookup


def _both(loaded: list[tuple[str, RunProgress]], chain: Any) -> Any:
    yield from loaded
    for item in chain:
        loaded.append(item)
        yield item
