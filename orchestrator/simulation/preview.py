"""Asking one schedule or sensor once, for real: what it would run, and what is wrong with that. Remembers nothing, and
shows nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from orchestrator.catalog.assets import materializations_after
from orchestrator.catalog.automations import used_keys
from orchestrator.catalog.endings import endings_after
from orchestrator.catalog.session import BriefStore, Store
from orchestrator.code_locations.evaluator_pool import EvaluatorPool, wait_for_any
from orchestrator.daemon.answers import AnswerUnreadable, read_evaluation, read_plans
from orchestrator.daemon.evaluations import PLANNING_TIMEOUT_S, find_asset, plan_request_of
from orchestrator.errors import ExecutionError
from orchestrator.model.automation import Automation, Declared, ScheduleInfo
from orchestrator.model.tick import Evaluation
from orchestrator.service.workspace import Workspace, load_locations

T = TypeVar("T")


class Preview(Struct, frozen=True):
    """What it answered, which of the keys in that were used already, and why the daemon would run none of it."""

    evaluation: Evaluation
    used: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()


def ask_once(workspace: Workspace, one: Automation, now: datetime, scheduled_at: datetime) -> Preview:
    """Asks it as if it were due at `now`; a schedule, for `scheduled_at`. Raises ExecutionError when there is no
    answer: it took too long, or ended its process. The store is open only while it is asked something: user code may
    take its time."""
    declared = one.declared
    assert declared is not None
    store = BriefStore(workspace.state, workspace.tell)
    (loaded,) = load_locations(workspace, one.location)
    if loaded.process is None:
        assert loaded.error is not None
        raise loaded.error
    pool = EvaluatorPool(loaded.process, most=1)
    try:
        pool.evaluate(
            timeout=declared.timeout,
            name=one.name,
            at=now,
            scheduled_at=scheduled_at if isinstance(declared, ScheduleInfo) else None,
            cursor=one.cursor,
            last_run_key=one.last_run_key,
            last_tick_at=one.last_tick_at,
            **_seen(store, declared),
        )
        evaluation = _read(one.id, lambda: read_evaluation(_wait(pool, store, one.id)))
        problems = _problems(workspace, pool, store, one, evaluation)
    finally:
        pool.close()
    keys = [request.run_key for request in evaluation.requests if request.run_key]
    return Preview(evaluation, frozenset(store(used_keys, one.id, keys)), problems)


def _problems(
    workspace: Workspace, pool: EvaluatorPool, store: Store, one: Automation, evaluation: Evaluation
) -> tuple[str, ...]:
    declared = one.declared
    assert declared is not None
    if not evaluation.requests or evaluation.error:
        return ()
    wanted = [plan_request_of(workspace, request, declared.pipeline, declared.mode) for request in evaluation.requests]
    requests = tuple(dict.fromkeys(map(msgspec.json.encode, wanted)))
    pool.make_plans(requests, timeout=PLANNING_TIMEOUT_S)
    plans = _read(one.id, lambda: read_plans(_wait(pool, store, one.id), len(requests), workspace.executor))
    return tuple(dict.fromkeys(plan for plan in plans if isinstance(plan, str)))


def _read(id: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except AnswerUnreadable as error:
        raise ExecutionError(f"{id} failed:\n{error}") from None


def _seen(store: Store, declared: Declared) -> dict[str, Any]:
    """What an asset sensor or a run-status sensor is shown: the newest there is."""
    if isinstance(declared, ScheduleInfo) or declared.kind == "sensor":
        return {}
    if declared.kind == "asset_sensor":
        found = [one for asset in declared.assets for one in store(materializations_after, [asset], 0, 1, True)]
        return {"materializations": tuple(found)}
    runs = store(endings_after, 0, list(declared.statuses), list(declared.pipelines), 10_000)
    return {"runs": tuple(runs[-1:])}


def _wait(pool: EvaluatorPool, store: Store, id: str) -> bytes:
    while True:
        for finished in pool.poll():
            if finished.result is None:
                raise ExecutionError(f"{id} failed:\n{finished.problem or 'No answer.'}")
            return finished.result
        pool.answer_questions(lambda question: find_asset(store, question))
        wait_for_any([pool])
