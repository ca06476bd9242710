"""Starting runs: new ones, ones that continue an earlier run, and interrupted ones. Drives none: what is new here lies
on disk when it is handed over.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from orchestrator import clock
from orchestrator.attempts.package import run_package
from orchestrator.engine.progress import RunProgress
from orchestrator.engine.reuse import Lookup, check_keys, finished_before, nearest, reused_steps, unselected_steps
from orchestrator.engine.step_graph import RunStep
from orchestrator.errors import NotFound, NotPossible
from orchestrator.ids import new_run_id
from orchestrator.locks import HeldLock
from orchestrator.model.events import StepReused
from orchestrator.model.queued_run import as_queued
from orchestrator.model.run import ALERTS_TAG, IGNORED_LIMITS_TAG, RunRecord, Trigger
from orchestrator.planning.plan import Inherited, Plan, PlannedRun, PlanRequest
from orchestrator.runlog.creation import create_run
from orchestrator.runlog.run_log import RunLog
from orchestrator.service.admission import Terms, enter, limits_in_the_way
from orchestrator.service.driver import OwnedRun
from orchestrator.service.history import ancestors, progress_of
from orchestrator.service.interrupts import Interrupts
from orchestrator.service.run_checks import capabilities_of, check_attempts, check_forking, check_planned
from orchestrator.service.workspace import FoundPipeline, Workspace, find_pipeline, in_workspace, plan
from orchestrator.state_dir import StateDir

_NOT_INHERITED = (ALERTS_TAG, IGNORED_LIMITS_TAG)


class Continued(Struct, frozen=True):
    """An earlier run that a new one continues: all of it again, or only what did not succeed."""

    run_id: str
    only_failed: bool


def new_run(
    workspace: Workspace,
    request: PlanRequest,
    continued: Continued | None = None,
    *,
    terms: Terms | None = None,
    interrupts: Interrupts | None = None,
) -> OwnedRun:
    """Plans a run and creates it, once limits allow it. Raises before anything is written when the run cannot be
    right, when `terms` do not let it wait, and when an interrupt ends the wait."""
    terms = terms or Terms()
    found, planned, record, reused = plan_new(workspace, request, continued)
    state, settings = workspace.state, workspace.settings
    queued = as_queued(record, foreground=True)
    if terms.ignore_limits:
        ignored = limits_in_the_way(state, settings, queued) or "nothing was in the way"
        record = replace(record, tags={**record.tags, IGNORED_LIMITS_TAG: ignored})

    def create() -> tuple[RunLog, HeldLock]:
        run_log = create_run(state, record)
        return run_log, run_log.own()  # before the look at stored values, which may take long

    interrupts = interrupts or Interrupts()
    run_log, lock = enter(state, settings, queued, record.trigger, create, terms, interrupts)
    try:
        if request.memoize:
            interrupts.is_raising = True  # stored values are looked at by user code, which may hang
            reused += _memoized(workspace, found, planned, run_log, {event.step for event in reused})
    except BaseException:
        lock.release()
        raise
    finally:
        interrupts.is_raising = False
    return OwnedRun(run_log, record, lock, tuple(reused), planned.plan)


def plan_new(
    workspace: Workspace, request: PlanRequest, continued: Continued | None
) -> tuple[FoundPipeline, PlannedRun, RunRecord, list[StepReused]]:
    """Everything there is to know of a run before it exists."""
    parent = read_parent(workspace, continued.run_id) if continued else None
    if parent is not None:
        request = _inherited(request, parent)
    if not request.pipeline:
        raise NotFound("No pipeline was named.")
    found = find_pipeline(workspace, request.pipeline)
    planned = plan(workspace, found, in_workspace(workspace, replace(request, pipeline=found.info.name)))
    capabilities = capabilities_of(planned, workspace.executor)
    check_planned(planned, capabilities)
    loaded = found.process.loaded
    check_forking(planned, capabilities, found.location, None if loaded is None else loaded.fork_problem)
    reused, planned = _reused(workspace, planned, parent, continued)
    preset = request.preset or (parent.preset if parent else None)
    record = _record(workspace, found, planned, preset, parent, reused)
    check_attempts(record, planned, str(StateDir(workspace.settings.state_path).storage), workspace.executor)
    return found, planned, record, reused


def _memoized(
    workspace: Workspace, found: FoundPipeline, planned: PlannedRun, run_log: RunLog, known: set[str]
) -> list[StepReused]:
    """The steps whose outputs are stored in the version that this run would make."""
    number = found.process.find_memoized(run_package(run_log.record(), str(workspace.state.storage)))
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
        return RunLog(workspace.state, run_id).record()
    except FileNotFoundError:
        raise NotPossible(
            f"Run {run_id} cannot be continued: it has no files here, because it has not begun or they were deleted."
        ) from None


def _inherited(request: PlanRequest, parent: RunRecord) -> PlanRequest:
    """What the earlier run was, except where the caller says otherwise: a preset that is named takes the place of its
    mode, configuration and selection. Its configuration is merged when the new run is planned."""
    return replace(
        request,
        pipeline=request.pipeline or f"{parent.location}/{parent.pipeline}",
        mode=request.mode or (None if request.preset else parent.mode),
        selection=request.selection or (() if request.preset else parent.selection),
        # Alerts see a run that a person asks for, whatever started the one before; and limits apply to it again.
        tags={**{name: value for name, value in parent.tags.items() if name not in _NOT_INHERITED}, **request.tags},
        executor=request.executor or parent.executor,
        inherited=Inherited(parent.mode, parent.config),
    )


def _record(
    workspace: Workspace,
    found: FoundPipeline,
    planned: PlannedRun,
    preset: str | None,
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
        preset=preset,
        selection=planned.selection,
        executor=planned.executor,
        max_concurrent_steps=workspace.settings.executor.max_concurrent_steps,
        parent_run_id=parent.run_id if parent else None,
        root_run_id=(parent.root_run_id or parent.run_id) if parent else None,
        plan=planned.encoded_plan,
        reused=msgspec.Raw(msgspec.json.encode(reused)),
    )


def _reused(
    workspace: Workspace, planned: PlannedRun, parent: RunRecord | None, continued: Continued | None
) -> tuple[list[StepReused], PlannedRun]:
    """What the run need not do, and its plan, which says of that under which version it is stored."""
    if parent is None or continued is None:
        return unselected_steps(planned.plan, now=clock.now()), planned
    before = progress_of(RunLog(workspace.state, parent.run_id))
    lookup = nearest(ancestors(workspace.state, parent))
    keep: Callable[[RunStep], bool] = _runs_again
    if continued.only_failed:
        _check_over(workspace, parent.run_id, before)
        keep = finished_before(before, planned.changed)
    reused = reused_steps(planned.plan, lookup, keep, now=clock.now())
    check_keys(planned.plan, reused, parent.run_id)
    return reused, planned.with_plan(_as_stored(planned.plan, reused, lookup))


def _check_over(workspace: Workspace, run_id: str, before: RunProgress) -> None:
    if not before.is_finished and RunLog(workspace.state, run_id).is_owned():
        raise NotPossible(
            f"Run {run_id} is not over, so it is not known yet what fails in it.",
            hint=f"`orchestrator runs wait {run_id}` waits for it, `orchestrator runs cancel {run_id}` ends it.",
        )


def _as_stored(plan: Plan, reused: list[StepReused], lookup: Lookup) -> Plan:
    """The plan with each value that is reused where the run that made it has put it: under its version, or not."""
    versions: dict[str, str | None] = {}
    for event in reused:
        found = lookup(event.step)
        if found is not None:
            versions[plan.origin_of(event.step).key] = found.version
    steps = (msgspec.structs.replace(step, version=versions.get(step.key, step.version)) for step in plan.steps)
    return msgspec.structs.replace(plan, steps=tuple(steps))


def _runs_again(_step: RunStep) -> bool:
    return False
