"""What a look at everything asks of the index."""

import msgspec
import pytest

from orchestrator.catalog.acknowledgements import acknowledge_run, acknowledgement_of
from orchestrator.catalog.dashboard import (
    ActiveRun,
    Behind,
    SkippedInARow,
    active_runs,
    behind_schedule,
    failing_since,
    not_run_since,
    skipped_in_a_row,
    standing_failures,
    undelivered_alerts,
)
from orchestrator.catalog.deliveries import save_deliveries
from orchestrator.catalog.maintenance import rebuild
from orchestrator.catalog.queue import cancel_queued
from orchestrator.catalog.runs import delete_run
from orchestrator.catalog.ticks import EnqueuedRun, TickBatch, commit_ticks, latest_ticks
from orchestrator.model.run import Acknowledgement, RunRecord, Trigger
from orchestrator.model.states import DeliveryState, RunState, TickState
from orchestrator.model.tick import Tick
from tests.catalog.journals import a_finished_run, a_run, append, at, started
from tests.engine.test_deliveries import a_delivery

BY_SCHEDULE = Trigger(kind="schedule", name="main/nightly")


@pytest.fixture
def ticked(ask):
    """Writes ticks: (name, status, second) with whatever else they have."""

    def ticked(*ticks):
        made = [
            Tick(
                tick_id=f"{number:012}",
                name=f"main/{name}",
                kind=more.pop("kind", "sensor"),
                status=status,
                at=at(second),
                **more,
            )
            for number, (name, status, second, more) in enumerate(ticks)
        ]
        ask(commit_ticks, TickBatch(made, [], []))

    return ticked


def test_a_sensor_fails_since_its_first_failure_after_its_last_other_tick(ask, ticked):
    ticked(
        ("inbox", TickState.FAILURE, 1, {}),
        ("inbox", TickState.SKIPPED, 2, {}),
        ("inbox", TickState.FAILURE, 3, {}),
        ("inbox", TickState.MISSED, 4, {}),  # says nothing of whether it works
        ("inbox", TickState.FAILURE, 5, {}),
        ("always", TickState.FAILURE, 2, {}),
        ("mended", TickState.FAILURE, 2, {}),
        ("mended", TickState.SUCCESS, 3, {}),
    )
    names = ["main/inbox", "main/always", "main/mended", "main/unheard"]
    assert ask(failing_since, names) == {"main/inbox": at(3), "main/always": at(2)}


def test_the_latest_tick_of_each_is_the_one_of_the_last_occurrence_when_several_came_at_once(ask, ticked):
    kind = {"kind": "schedule"}
    ticked(
        ("nightly", TickState.MISSED, 5, {**kind, "scheduled_at": at(1)}),
        ("nightly", TickState.SUCCESS, 5, {**kind, "scheduled_at": at(2)}),
        ("nightly", TickState.SUCCESS, 3, {**kind, "scheduled_at": at(3)}),
        ("inbox", TickState.SKIPPED, 1, {}),
    )
    latest = {tick.name: tick for tick in ask(latest_ticks)}
    assert latest.keys() == {"main/nightly", "main/inbox"}
    assert (latest["main/nightly"].at, latest["main/nightly"].scheduled_at) == (at(5), at(2))


def test_occurrences_that_were_not_run_are_counted_by_schedule(ask, ticked):
    kind = {"kind": "schedule"}
    many = {"skip_reason": "late", "occurrences": 37, "until": at(18)}
    ticked(
        ("nightly", TickState.MISSED, 100, {**kind, "scheduled_at": at(10), **many}),
        ("nightly", TickState.MISSED, 100, {**kind, "scheduled_at": at(20), "skip_reason": "late"}),
        ("hourly", TickState.SKIPPED, 90, {**kind, "scheduled_at": at(80), "skip_reason": "running", "about_run": "x"}),
        (
            "hourly",
            TickState.SKIPPED,
            95,
            {**kind, "scheduled_at": at(95), "skip_reason": "a holiday", "duration_s": 0.1},
        ),
        ("hourly", TickState.SUCCESS, 96, {**kind, "scheduled_at": at(96)}),
        ("early", TickState.MISSED, 50, {**kind, "scheduled_at": at(40), "skip_reason": "late"}),
        ("inbox", TickState.SKIPPED, 99, {"skip_reason": "nothing new"}),
    )
    nightly, hourly = ask(not_run_since, at(60))
    assert (nightly.name, nightly.count, nightly.first, nightly.last) == ("main/nightly", 38, at(10), at(20))
    assert (nightly.noticed_at, nightly.reason) == (at(100), "late")
    assert (hourly.name, hourly.count, hourly.reason) == ("main/hourly", 1, "running")
    assert (hourly.about_run, nightly.about_run) == ("x", None)


A, B, C = ("a" * 12, "b" * 12, "c" * 12)
FAILS, WORKS, CANCELED = RunState.FAILURE, RunState.SUCCESS, RunState.CANCELED
SOME = {"selection": ("load",)}


@pytest.mark.parametrize(
    ("runs", "found"),
    [
        pytest.param([(A, FAILS, BY_SCHEDULE, {})], [A], id="a failure that nobody watched"),
        pytest.param([(A, FAILS, Trigger(), {})], [A], id="a failure of a run that somebody started"),
        pytest.param([(A, FAILS, BY_SCHEDULE, {}), (B, WORKS, Trigger(), {})], [], id="mended by hand"),
        pytest.param([(A, WORKS, BY_SCHEDULE, {}), (B, FAILS, BY_SCHEDULE, {})], [B], id="not any more"),
        pytest.param([(A, FAILS, BY_SCHEDULE, {}), (B, FAILS, BY_SCHEDULE, {})], [B], id="only the last"),
        pytest.param(
            [(A, FAILS, BY_SCHEDULE, {}), (B, CANCELED, Trigger(), {})], [A], id="canceled counts for nothing"
        ),
        pytest.param([(A, FAILS, Trigger(), {}), (B, WORKS, Trigger(), SOME)], [A], id="some steps mend nothing"),
        pytest.param([(A, WORKS, Trigger(), {}), (B, FAILS, Trigger(), SOME)], [], id="some steps break nothing"),
        pytest.param([(A, FAILS, Trigger(), SOME)], [], id="nothing but some steps"),
        pytest.param([(A, FAILS, BY_SCHEDULE, SOME)], [A], id="a schedule that runs some steps"),
    ],
)
def test_a_failure_stands_until_a_run_of_the_pipeline_succeeds(state, ask, runs, found):
    for seconds, (run_id, status, trigger, more) in enumerate(runs):
        a_finished_run(state, run_id=run_id, seconds=seconds, status=status, trigger=trigger, **more)
    assert [run.run_id for run in ask(standing_failures)] == found


def test_a_failure_is_dismissed_for_good_and_the_next_one_counts_again(state, ask):
    a_finished_run(state, run_id=A, status=FAILS)
    ask(acknowledge_run, A, None, at(20))
    ask(acknowledge_run, A, "no file came", at(30))
    assert ask(standing_failures) == []
    assert ask(acknowledgement_of, A) == Acknowledgement(at(30), "no file came")
    ask(rebuild, state, [A])
    assert ask(standing_failures) == []
    a_finished_run(state, run_id=B, seconds=40, status=FAILS)
    assert [run.run_id for run in ask(standing_failures)] == [B]
    ask(delete_run, B)
    assert ask(standing_failures) == []


def test_failures_of_different_pipelines_stand_for_themselves(state, ask):
    for letter, pipeline, location in (("a", "people", "main"), ("b", "people", "other"), ("c", "orders", "main")):
        more = {"trigger": BY_SCHEDULE, "pipeline": pipeline, "location": location}
        a_finished_run(state, run_id=letter * 12, status=RunState.FAILURE, **more)
    assert len(ask(standing_failures)) == 3


def blocked(second, run="x", **more):
    facts = {"kind": "schedule", "scheduled_at": at(second), "skip_reason": "still active", "about_run": run}
    return ("often", TickState.SKIPPED, second, {**facts, **more})


def ran(second, status=TickState.SUCCESS):
    return ("often", status, second, {"kind": "schedule", "scheduled_at": at(second), "duration_s": 0.1})


@pytest.mark.parametrize(
    ("ticks", "found"),
    [
        pytest.param([ran(1)], None, id="none"),
        pytest.param([blocked(1), blocked(2), blocked(3)], (3, 1, 3, "x"), id="all of them"),
        pytest.param([blocked(1), ran(2), blocked(3)], (1, 3, 3, "x"), id="those since the last that ran"),
        pytest.param([blocked(1), ran(2)], None, id="until one runs"),
        pytest.param([blocked(1), ran(2, TickState.FAILURE)], None, id="until one fails by itself"),
        pytest.param([blocked(1, "w"), blocked(2, "x")], (2, 1, 2, "x"), id="the run that is in the way now"),
        pytest.param([blocked(1, occurrences=40, until=at(9))], (40, 1, 9, "x"), id="many in one tick"),
        pytest.param([ran(1), blocked(2, None)], None, id="not because of a run"),
    ],
)
def test_occurrences_that_were_skipped_in_a_row_because_of_a_run(ask, ticked, ticks, found):
    ticked(*ticks)
    expected = [] if found is None else [SkippedInARow("main/often", found[0], at(found[1]), at(found[2]), found[3])]
    assert ask(skipped_in_a_row) == expected


def test_how_long_the_runs_of_a_pipeline_usually_take(state, ask):
    """Each run starts at the first second, and the ones that succeed end at the ninth."""
    for letter in "abc":
        a_finished_run(state, run_id=letter * 12)
    a_finished_run(state, run_id="d" * 12, status=RunState.FAILURE)
    a_finished_run(state, run_id="e" * 12, selection=("load",))
    append(a_run(state, run_id="f" * 12), started(70))
    append(a_run(state, run_id="g" * 12, pipeline="other"), started(80))
    assert ask(active_runs) == [
        ActiveRun("f" * 12, "people", at(70), 8.0, 3),
        ActiveRun("g" * 12, "other", at(80), None, 0),
    ]


def test_how_far_schedules_are_behind(ask):
    for name, second in (("often", 50), ("often", 10), ("seldom", 30)):
        trigger = Trigger("schedule", f"main/{name}", scheduled_at=at(second))
        run_id = f"{name[0]}{second:011}"
        record = RunRecord(
            run_id=run_id, pipeline="p", location="main", mode="default", created_at=at(60), trigger=trigger
        )
        ask(commit_ticks, TickBatch([], [], [EnqueuedRun(record=record, plan=msgspec.Raw(b"{}"))]))
    assert ask(behind_schedule) == [Behind("main/often", 2, at(10)), Behind("main/seldom", 1, at(30))]
    ask(cancel_queued, "o00000000010", at(61))
    assert ask(behind_schedule)[0] == Behind("main/often", 1, at(50))


def test_failed_alerts_are_counted_by_sensor(ask):
    one = a_delivery()
    given_up = a_delivery("l", failed=5, status=DeliveryState.FAILED, due=None, error="still no mail")
    ask(save_deliveries, [one, given_up, a_delivery("m", sensor="main/other")], [])
    first, other = ask(undelivered_alerts)
    assert (first.sensor, first.pending, first.given_up, first.error) == ("main/alert", 1, 1, "still no mail")
    assert (first.first_failed_at, first.next_at) == (one.first_failed_at, one.next_at)
    assert (other.sensor, other.pending, other.given_up) == ("main/other", 1, 0)
    ask(save_deliveries, [], ["k", "l"])
    assert [alerts.sensor for alerts in ask(undelivered_alerts)] == ["main/other"]
