"""Ticks and what they lead to: all of it or nothing, and once however often the commit is tried."""

from datetime import UTC, datetime

import msgspec
import pytest

from orchestrator.catalog.queue import queued_runs
from orchestrator.catalog.ticks import EnqueuedRun, TickBatch, commit_ticks, list_ticks
from orchestrator.errors import StoreConflict
from orchestrator.ids import new_run_id
from orchestrator.model.filters import TickFilter
from orchestrator.model.run import RunRecord, Trigger
from orchestrator.model.states import TickState
from orchestrator.model.tick import Tick
from orchestrator.planning.plan import encode_plan
from tests.engine.lives import plan

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def tick():
    return Tick(tick_id=new_run_id(), name="main/s", kind="sensor", status=TickState.SUCCESS, at=NOW)


def run(key):
    record = RunRecord(
        run_id=new_run_id(),
        pipeline="p",
        location="main",
        mode="default",
        created_at=NOW,
        trigger=Trigger("sensor", "main/s", key),
        plan=msgspec.Raw(b"null"),
    )
    raw = msgspec.Raw(encode_plan(plan(a={})))
    return EnqueuedRun(record=record, plan=raw, dedupe_in="main/s", dedupe_key=key)


def counts(ask):
    return len(ask(list_ticks, TickFilter())), len(ask(queued_runs))


def test_a_key_that_was_used_refuses_the_whole_batch(ask):
    ask(commit_ticks, TickBatch([tick()], [], [run("k")]))
    with pytest.raises(StoreConflict):
        ask(commit_ticks, TickBatch([tick()], [], [run("l"), run("k")]))
    assert counts(ask) == (1, 1)


def test_a_commit_that_nobody_knew_had_succeeded_can_be_made_again_with_more(ask):
    first, second = (tick(), run("k")), (tick(), run("l"))
    ask(commit_ticks, TickBatch([first[0]], [], [first[1]]))
    ask(commit_ticks, TickBatch([first[0], second[0]], [], [first[1], second[1]], again=True))
    assert counts(ask) == (2, 2)


def test_one_that_had_failed_is_made_again_as_it_is(ask):
    ask(commit_ticks, TickBatch([tick()], [], [run("k")], again=True))
    assert counts(ask) == (1, 1)
