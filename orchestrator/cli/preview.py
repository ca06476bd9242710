"""Asking a schedule or sensor once, and showing what it would run."""

from __future__ import annotations

import select
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator import clock
from orchestrator.cli.options import store_of, workspace
from orchestrator.cli.output import print_json, say
from orchestrator.daemon.evaluations import PLANNING_TIMEOUT_S, plan_request_of
from orchestrator.daemon.instigation import plan_request
from orchestrator.errors import ExecutionError, NotPossible
from orchestrator.execution.evaluators import EvaluatorPool
from orchestrator.messages import FoundAsset
from orchestrator.operations.instigators import known, next_instants, pick
from orchestrator.store.assets import materializations_after
from orchestrator.store.endings import endings_after
from orchestrator.store.instigators import used_keys
from orchestrator.ticks import Evaluation, Instigator, ScheduleInfo, SensorInfo

if TYPE_CHECKING:
    from orchestrator.operations.workspace import Workspace
    from orchestrator.store.session import Store


def show_preview(name: str, *, schedules: bool, at: datetime | None, json: bool) -> None:
    """Prints the requests as YAML, or as JSON. Writes nothing."""
    import yaml

    now = clock.now()
    with workspace() as found, store_of(found) as store:
        one = pick(known(found, store, now), name, schedules=schedules)
        if one.declared is None or one.gone_at is not None:
            raise NotPossible(f"{one.id} is not defined any more.")
        evaluation, problems = _ask(found, store, one, now, at or [*next_instants(one, now), now][0])
        used = set(store(used_keys, one.id, [r.run_key for r in evaluation.requests if r.run_key]))
    if json:
        print_json(evaluation)
        return
    if evaluation.output:
        say(evaluation.output.rstrip())
    if evaluation.error:
        raise ExecutionError(f"{one.id} failed:\n{evaluation.error}")
    for request in evaluation.requests:
        told = {key: value for key, value in msgspec.to_builtins(request).items() if value}
        if request.run_key in used:
            told["already used"] = True
        print(yaml.safe_dump([told], sort_keys=False, allow_unicode=True), end="")
    if problems:
        raise ExecutionError(f"{one.id} would fail, and run nothing:\n" + "\n".join(dict.fromkeys(problems)))
    if not evaluation.requests:
        why = f": {evaluation.skip_reason}" if evaluation.skip_reason else ". It does not say why; a SkipReason would."
        say(f"It would run nothing{why}")


def _ask(
    found: Workspace, store: Store, one: Instigator, now: datetime, scheduled_at: datetime
) -> tuple[Evaluation, list[str]]:
    """What it answers, and what is wrong with the runs that it asks for."""
    declared = one.declared
    assert declared is not None
    process = found.pool.get(one.location)
    found.pool.wait_loaded(process)
    pool = EvaluatorPool(process, most=1)
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
        evaluation = msgspec.json.decode(_wait(pool, store, one.id), type=Evaluation)
        return evaluation, _problems(found, pool, store, one, evaluation)
    finally:
        pool.close()


def _problems(
    found: Workspace, pool: EvaluatorPool, store: Store, one: Instigator, evaluation: Evaluation
) -> list[str]:
    declared = one.declared
    assert declared is not None
    if not evaluation.requests or evaluation.error:
        return []
    wanted = [plan_request_of(request, declared.pipeline, declared.mode) for request in evaluation.requests]
    encoded = tuple(dict.fromkeys(msgspec.json.encode(plan_request(found, request)) for request in wanted))
    pool.make_plans(encoded, timeout=PLANNING_TIMEOUT_S)
    answers = msgspec.json.decode(_wait(pool, store, one.id), type=list[dict[str, msgspec.Raw]])
    return [msgspec.json.decode(answer["problem"], type=str) for answer in answers if "problem" in answer]


def _seen(store: Store, declared: ScheduleInfo | SensorInfo) -> dict[str, Any]:
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
        for question in pool.asked():
            find = question.find
            answer = store(materializations_after, [find.asset], find.after, find.limit, True)
            pool.reply(question, FoundAsset(tuple(answer)))
        deadline = pool.next_deadline()
        poll = select.poll()
        for descriptor in pool.descriptors():
            poll.register(descriptor, select.POLLIN)
        poll.poll(None if deadline is None else max(1, int((deadline - clock.monotonic()) * 1000) + 1))
