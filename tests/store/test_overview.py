"""What a look at everything asks of the index."""

import pytest

from orchestrator.records import Trigger
from orchestrator.states import RunState, TickState
from orchestrator.store.overview import failing_since, not_run_since, standing_failures
from orchestrator.store.ticks import TickBatch, commit_ticks, latest_ticks
from orchestrator.ticks import Tick
from tests.store.journals import a_finished_run, at

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


@pytest.mark.parametrize(
    ("runs", "found"),
    [
        pytest.param([(1, RunState.FAILURE, BY_SCHEDULE, "a")], ["a"], id="a failure that nobody watched"),
        pytest.param([(1, RunState.FAILURE, Trigger(), "a")], [], id="somebody watched it"),
        pytest.param(
            [(1, RunState.FAILURE, BY_SCHEDULE, "a"), (2, RunState.SUCCESS, Trigger(), "b")], [], id="mended by hand"
        ),
        pytest.param(
            [(1, RunState.SUCCESS, BY_SCHEDULE, "a"), (2, RunState.FAILURE, BY_SCHEDULE, "b")], ["b"], id="not any more"
        ),
        pytest.param(
            [(1, RunState.FAILURE, BY_SCHEDULE, "a"), (2, RunState.FAILURE, BY_SCHEDULE, "b")],
            ["b"],
            id="only the last",
        ),
        pytest.param(
            [(1, RunState.FAILURE, BY_SCHEDULE, "a"), (2, RunState.CANCELED, Trigger(), "b")],
            ["a"],
            id="a cancelled run mends nothing",
        ),
    ],
)
def test_a_failure_stands_until_a_run_of_the_pipeline_succeeds(state, ask, runs, found):
    for seconds, status, trigger, letter in runs:
        a_finished_run(state, run_id=letter * 12, seconds=seconds, status=status, trigger=trigger)
    assert [run.run_id[0] for run in ask(standing_failures, at(0), 10)] == found


def test_failures_of_different_pipelines_stand_for_themselves(state, ask):
    for letter, pipeline, location in (("a", "people", "main"), ("b", "people", "other"), ("c", "orders", "main")):
        a_finished_run(
            state,
            run_id=letter * 12,
            status=RunState.FAILURE,
            trigger=BY_SCHEDULE,
            pipeline=pipeline,
            location=location,
        )
    assert len(ask(standing_failures, at(0), 10)) == 3
    assert len(ask(standing_failures, at(0), 2)) == 2
