"""Which queued runs are let in, and what the others are told."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.queue import QueueLimits, TagLimitRule, admit
from orchestrator.store.queue import priority_of
from orchestrator.ticks import QueuedRun

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TINY = TagLimitRule(key="database", value="tiny", limit=1)


def runs(*described):
    """Runs from "id key=value ... !priority", in the order in which they came."""
    made = []
    for number, text in enumerate(described):
        run_id, *words = text.split()
        tags = dict(word.split("=") for word in words if "=" in word)
        priority = next((word[1:] for word in words if word.startswith("!")), "0")
        at = NOW + timedelta(seconds=number)
        made.append(QueuedRun(run_id=run_id, created_at=at, tags=tags, priority=priority_of({"priority": priority})))
    return made


def let_in(queued, running=(), most=10, rules=()):
    return list(admit(queued, running, QueueLimits(most, tuple(rules)), NOW).run_ids)


@pytest.mark.parametrize(("going", "let"), [(0, 4), (1, 3), (3, 1), (4, 0), (5, 0)])
def test_there_is_room_up_to_the_limit(going, let):
    running = runs(*(f"r{number}" for number in range(going)))
    assert len(let_in(runs(*(f"q{number}" for number in range(8))), running, most=4)) == let


def test_higher_priority_first_then_in_order_and_what_is_no_number_counts_as_0():
    assert let_in(runs("a", "b !-1", "c !3", "d !foobar")) == ["c", "a", "d", "b"]


@pytest.mark.parametrize(
    ("rules", "queued", "expected"),
    [
        ([TINY], ["t1 database=tiny", "t2 database=tiny", "l1 database=large"], ["l1", "t1"]),
        (
            [TINY, TagLimitRule(key="user", value="johann", limit=2)],
            ["1 database=tiny user=johann", "2 database=tiny", "3 user=johann", "4 user=johann"],
            ["1", "3"],
        ),
        (
            [TagLimitRule(key="foo", limit=2), TagLimitRule(key="foo", value="bar", limit=1)],
            ["1 foo=bar", "2 foo=bar", "3 foo=other", "4 foo=other"],
            ["1", "3"],
        ),
        (
            [TagLimitRule(key="user", limit=1, per_value=True)],
            ["1 user=a", "2 user=a", "3 user=b", "4"],
            ["1", "3", "4"],
        ),
        ([TagLimitRule(key="paused", limit=0)], ["1 paused=yes", "2"], ["2"]),
    ],
)
def test_a_run_that_a_tag_limit_blocks_is_passed_over_and_holds_up_nobody(rules, queued, expected):
    assert sorted(let_in(runs(*queued), rules=rules)) == expected


def test_whoever_waits_is_told_why():
    running = runs("r database=tiny")
    waiting = admit(runs("a database=tiny"), running, QueueLimits(10, (TINY,)), NOW).waiting
    assert waiting == {"a": "1 of 1 runs with database=tiny are going"}
    assert admit(runs("a"), running, QueueLimits(1), NOW).waiting == {"a": "1 of 1 runs are going"}


@given(
    st.lists(st.sampled_from(["x k=a", "x k=b", "x"]), max_size=12),
    st.lists(st.sampled_from(["x k=a", "x k=b", "x"]), max_size=6),
    st.integers(0, 6),
    st.integers(0, 3),
)
def test_no_limit_is_ever_exceeded_and_nobody_waits_without_need(queued, running, most, limit):
    queue = runs(*(text.replace("x", f"q{number}", 1) for number, text in enumerate(queued)))
    going = runs(*(text.replace("x", f"r{number}", 1) for number, text in enumerate(running)))
    rule = TagLimitRule(key="k", limit=limit, per_value=True)
    admission = admit(queue, going, QueueLimits(most, (rule,)), NOW)
    by_id = {run.run_id: run for run in queue}
    after = going + [by_id[run_id] for run_id in admission.run_ids]
    count = {value: sum(run.tags.get("k") == value for run in after) for value in "ab"}
    for run_id in admission.run_ids:
        assert len(after) <= most
        assert count.get(by_id[run_id].tags.get("k"), 0) <= limit
    for run_id in admission.waiting:
        value = by_id[run_id].tags.get("k")
        assert len(after) >= most or (value is not None and count[value] >= limit)
    assert {*admission.run_ids, *admission.waiting} == set(by_id)
