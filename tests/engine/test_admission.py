"""Which queued runs are let in, and what the others are told."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.admission import QueueLimits, TagLimitRule, admit, is_limited, why_not
from orchestrator.model.queued_run import QueuedRun
from orchestrator.model.run import SERIALIZE_TAG, priority_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TINY = TagLimitRule(key="database", value="tiny", limit=1)


def runs(*described):
    """Runs from "id key=value ... !priority", in the order in which they came; with `fg` one in a terminal, with `hand`
    one that a person asked for."""
    made = []
    for number, text in enumerate(described):
        run_id, *words = text.split()
        tags = dict(word.split("=") for word in words if "=" in word)
        priority = next((word[1:] for word in words if word.startswith("!")), "0")
        at = NOW + timedelta(seconds=number)
        made.append(
            QueuedRun(
                run_id=run_id,
                created_at=at,
                tags=tags,
                priority=priority_of({"priority": priority}),
                pipeline="p",
                location="main",
                mode="dev" if "dev" in words else "default",
                foreground="fg" in words,
                by_hand="hand" in words,
            )
        )
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


def test_every_reason_to_wait_is_put_into_words():
    running = runs("r database=tiny")
    waiting = admit(runs("a database=tiny"), running, QueueLimits(10, (TINY,)), NOW).waiting
    assert waiting == {"a": "1 of 1 runs with database=tiny are going (r)"}
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


SERIAL = f"{SERIALIZE_TAG}=main/s"


@pytest.mark.parametrize(
    ("queued", "running", "most", "rules", "expected"),
    [
        pytest.param("a", "", 0, [], "the queue is paused (run_queue.max_concurrent_runs is 0)", id="paused"),
        pytest.param("a", "r", 0, [], "the queue is paused (run_queue.max_concurrent_runs is 0)", id="paused-one-goes"),
        pytest.param("a", "r", 1, [], "1 of 1 runs are going", id="full"),
        pytest.param(
            "a db=x", "", 9, [TagLimitRule("db", 0)], "no run with the tag db may start (its limit is 0)", id="closed"
        ),
        pytest.param(
            "a db=x", "r db=y fg", 9, [TagLimitRule("db", 1)], "1 of 1 runs with the tag db are going (r)", id="any"
        ),
        pytest.param(
            "a db=x",
            "r db=x, s db=x fg, t db=x, u db=x",
            9,
            [TagLimitRule("db", 4, per_value=True)],
            "4 of 4 runs with db=x are going (r, s, t, ...)",
            id="several-holders",
        ),
        pytest.param(f"a {SERIAL}", f"r {SERIAL}", 9, [], "run r of main/s is not over yet", id="serialized"),
        pytest.param(f"a {SERIAL}", f"r {SERIALIZE_TAG}=main/other", 9, [], None, id="another-schedule"),
        pytest.param(
            f"a {SERIAL}", "r hand fg", 9, [], "run r of p, which was started by hand, is not over yet", id="by-hand"
        ),
        pytest.param(f"a {SERIAL}", "r hand dev fg", 9, [], None, id="by-hand-in-another-mode"),
        pytest.param(f"a {SERIAL}", "r", 9, [], None, id="asked-for-by-a-sensor"),
        pytest.param("a hand fg", f"r {SERIAL}", 9, [], None, id="overlap-does-not-hold-a-person-up"),
    ],
)
def test_the_words_for_each_reason(queued, running, most, rules, expected):
    going = runs(*filter(None, running.split(", ")))
    assert admit(runs(queued), going, QueueLimits(most, tuple(rules)), NOW).waiting.get("a") == expected


def test_a_run_whose_location_is_unavailable_waits_and_takes_no_slot():
    queued = [msgspec.structs.replace(runs("a database=tiny !9")[0], location="broken"), *runs("b database=tiny")]
    admission = admit(queued, [], QueueLimits(1, (TINY,)), NOW, {"broken": "location broken is broken"})
    assert admission.run_ids == ("b",)
    assert admission.waiting == {"a": "location broken is broken"}
    assert admission.claims == (), "it could not start even if a slot were free"


def test_max_concurrent_runs_neither_holds_foreground_runs_up_nor_counts_them():
    assert let_in(runs("a fg", "b"), runs("r"), most=1) == ["a"]
    assert let_in(runs("a fg", "b"), most=0) == ["a"]
    assert let_in(runs("a"), runs("r fg", "s fg"), most=1) == ["a"]
    assert let_in(runs("a fg", "b", "c"), most=1) == ["a", "b"], "one in front of them does not count either"


def test_a_slot_goes_by_priority_and_then_by_arrival_whoever_drives_the_run():
    for queued, expected in [
        (["q database=tiny", "f database=tiny fg"], "q"),
        (["f database=tiny fg", "q database=tiny"], "f"),
        (["q database=tiny", "f database=tiny fg !1"], "f"),
        (["q database=tiny !1", "f database=tiny fg"], "q"),
    ]:
        assert let_in(runs(*queued), rules=[TINY]) == [expected]
        (foreground,) = (run for run in runs(*queued) if run.foreground)
        (rival,) = (run for run in runs(*queued) if not run.foreground)
        blocked = why_not(foreground, [rival], [], QueueLimits(10, (TINY,)), NOW)
        assert (blocked is None) == (expected == "f")
        assert blocked in (None, "1 of 1 runs with database=tiny are going or come first (q)")


def test_a_run_does_not_wait_for_itself():
    one = runs("a database=tiny fg")[0]
    assert why_not(one, [one], [one], QueueLimits(10, (TINY,)), NOW) is None


def test_claims_are_the_first_in_line_for_each_limit_and_wait_for_nothing_else():
    rules = [TINY, TagLimitRule(key="user", limit=2, per_value=True)]
    running = runs("r database=tiny", "s user=ann", "t user=ann")
    queued = runs(
        "a database=tiny", "b database=tiny !1", "c user=ann", "d user=ann", "e user=ann", "f user=bob", "g !9"
    )
    assert admit(queued, running, QueueLimits(10, tuple(rules)), NOW).claims == ("b", "c", "d")
    assert admit(queued, running, QueueLimits(3, tuple(rules)), NOW).claims == (), "they wait for room as well"


@pytest.mark.parametrize(
    ("described", "expected"),
    [("a", False), ("a database=large", False), ("a database=tiny", True), (f"a {SERIAL}", True)],
)
def test_which_runs_are_limited_at_all(described, expected):
    assert is_limited(runs(described)[0], QueueLimits(1, (TINY,))) is expected


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["k=a", "k=b", "k=a j=1", "j=1", f"{SERIAL}", f"{SERIAL} k=a", "hand", ""]),
            st.sampled_from(["", "fg"]),
            st.integers(-1, 1),
        ),
        max_size=14,
    ),
    st.integers(0, 4),
    st.integers(0, 2),
    st.integers(0, 2),
    st.lists(st.integers(0, 20), max_size=40),
)
def test_however_runs_come_and_go_no_limit_is_exceeded_and_nobody_is_overtaken(coming, most, k_limit, j_limit, ends):
    """Plays runs through admission one after another; the limits are counted here by hand, apart from the code."""
    rules = (TagLimitRule("k", k_limit, per_value=True), TagLimitRule("j", j_limit))
    waiting = runs(*(f"r{number} {tags} {where} !{prio}" for number, (tags, where, prio) in enumerate(coming)))
    going = []
    for end in [*ends, *range(40)]:
        admission = admit(waiting, going, QueueLimits(most, rules), NOW)
        before = len(going)
        going += [run for run_id in admission.run_ids for run in waiting if run.run_id == run_id]
        waiting = [run for run in waiting if run.run_id not in admission.run_ids]
        assert sum(not run.foreground for run in going) <= most or before == len(going)
        for value in "ab":
            assert sum(run.tags.get("k") == value for run in going) <= k_limit
        assert sum("j" in run.tags for run in going) <= j_limit
        assert sum(SERIALIZE_TAG in run.tags for run in going) <= 1
        for late in going[before:]:
            for early in waiting:
                same = early.tags == late.tags and early.foreground == late.foreground
                if same and early.by_hand == late.by_hand:
                    assert (-early.priority, early.created_at) > (-late.priority, late.created_at)
        if going:
            del going[end % len(going)]
    stuck = [run for run in waiting if run.foreground and not (run.tags.keys() & {"k", "j"})]
    assert stuck == [], "nothing limits these"
