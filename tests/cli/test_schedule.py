"""`orchestrator schedule` as a person and as a script use it."""

import json
import re
from datetime import timedelta

import pytest
from msgspec.structs import replace

from orchestrator.catalog.automations import list_automations, save_automations
from orchestrator.catalog.session import open_store
from orchestrator.state_dir import StateDir

PIPELINES = """
    from orchestrator import RunRequest, SkipReason, pipeline, schedule, sensor, step

    @step
    def work() -> None: ...

    @pipeline
    def working():
        work()

    @schedule(cron="30 2 * * *", timezone="Europe/Berlin", pipeline=working)
    def nightly(context):
        return RunRequest("a", tags={"for": f"{context.scheduled_at:%Y-%m-%d %H:%M %z}"})

    @schedule(cron="0 0 1 1 *", pipeline=working)
    def yearly(context):
        return SkipReason("a holiday")

    @schedule(cron="0 0 * * *", pipeline=working)
    def broken(context):
        print("about to divide")
        return 1 / 0

    @schedule(cron="0 0 1 1 *", pipeline=working)
    def misfit(context):
        return {"steps": {"wrok": {}}}

    @sensor(pipeline=working)
    def watching(context): ...
"""
CONTRACT = (
    "tick_id", "name", "kind", "status", "at", "scheduled_at", "duration_s", "run_ids", "run_keys", "skip_reason",
    "error", "cursor", "output", "occurrences", "until", "about_run",
)  # fmt: skip


@pytest.fixture
def schedules(bench):
    return bench.write(PIPELINES)


class TestNext:
    def test_any_expression_as_a_script_gets_it(self, bench):
        bench.write(PIPELINES)
        instants = bench.json(
            "schedule", "next", "--cron", "30 2 * * *", "--timezone", "US/Central",
            "--from", "2019-03-09T00:00-06:00", "--to", "2019-03-12T00:00-05:00",
        )  # fmt: skip
        assert instants == [
            {"at": "2019-03-09T08:30:00Z", "local": "2019-03-09T02:30:00-06:00", "note": None},
            {"at": "2019-03-10T08:00:00Z", "local": "2019-03-10T03:00:00-05:00", "note": "the clocks have changed"},
            {"at": "2019-03-11T07:30:00Z", "local": "2019-03-11T02:30:00-05:00", "note": None},
        ]

    def test_what_may_surprise_in_an_expression_is_said_beside_the_result(self, bench):
        done = bench.write(PIPELINES).here("schedule", "next", "--cron", "0 0 */2 * 1", "--from", "2027-03-01").ok()
        assert done.out.splitlines()[1] == "Mon 2027-03-15 00:00 +0000   2027-03-15 00:00Z"
        assert "note: One of the two day fields begins with a star, so a day must match both" in done.err

    def test_a_schedule_as_a_person_sees_it_with_the_clock_change(self, schedules):
        out = schedules.here("schedule", "next", "nightly", "--from", "2026-03-28", "--count", "3").ok().out
        assert out.splitlines() == [
            "Sat 2026-03-28 02:30 +0100   2026-03-28 01:30Z",
            "Sun 2026-03-29 03:00 +0200   2026-03-29 01:00Z   the clocks have changed",
            "Mon 2026-03-30 02:30 +0200   2026-03-30 00:30Z",
        ]

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            pytest.param(["--cron", "0 0 30 2 *"], "0 0 30 2 *", id="never"),
            pytest.param(["--cron", "0 0 32 1 *"], "0 0 32 1 *", id="out-of-range"),
            pytest.param(["--cron", "0 0 0 * * *"], "0 0 0 * * *", id="six-fields"),
            pytest.param(["--cron", "@daily", "--timezone", "Europe/Berln"], "Europe/Berln", id="zone"),
            pytest.param(["--cron", "@daily", "--from", "tomorrow"], "'tomorrow' is not a time", id="time"),
            pytest.param([], "Name a schedule, or give --cron", id="nothing"),
            pytest.param(["nightly", "--cron", "@daily"], "not both", id="both"),
        ],
    )
    def test_what_makes_no_sense_is_a_mistake_of_usage(self, schedules, arguments, said):
        done = schedules.here("schedule", "next", *arguments)
        assert done.code == 2
        assert said in done.err


def test_turning_on_and_off_and_what_the_list_says(schedules):
    assert {one["name"]: one["on"] for one in schedules.json("schedule", "list")} == {
        "main/broken": False, "main/misfit": False, "main/nightly": False, "main/yearly": False,
    }  # fmt: skip
    done = schedules.here("schedule", "start", "nightly", "main/yearly").ok()
    assert re.search(r"main/nightly is on. First: \w{3} \d{4}-\d\d-\d\d 02:30 \+0[12]00\.", done.out)
    assert "No daemon is running" in done.err
    again = schedules.here("schedule", "start", "nightly")
    assert (again.code, "main/nightly is on already." in again.out) == (0, True)
    listed = {one["name"]: one for one in schedules.json("schedule", "list")}
    assert listed["main/nightly"]["next_at"].endswith(("T00:30:00Z", "T01:30:00Z", "T01:00:00Z"))
    assert listed["main/yearly"]["next_at"].endswith("-01-01T00:00:00Z")
    assert listed["main/broken"]["next_at"] is None
    assert "main/broken is on" in schedules.here("schedule", "start", "--all").ok().out
    assert schedules.here("schedule", "stop", "--all").ok().out.count("is off.") == 4
    assert "main/nightly is off already." in schedules.here("schedule", "stop", "nightly").ok().out
    assert schedules.here("schedule", "start").code == 2
    assert schedules.here("schedule", "start", "nightly", "--all").code == 2


def test_a_name_that_is_not_there_is_nearly_found(schedules):
    done = schedules.here("schedule", "start", "nihgtly")
    assert done.code == 4
    assert "There is no schedule 'nihgtly'." in done.err
    assert "nightly" in done.err
    assert schedules.here("schedule", "ticks", "watching").code == 4, "that one is a sensor"
    state = schedules.here("schedule", "ticks", "--status", "misst")
    assert (state.code, "MISSED" in state.err) == (2, True)


def test_a_preview_shows_what_would_be_run_and_writes_nothing(schedules):
    done = schedules.here("schedule", "preview", "nightly", "--at", "2026-03-29T01:00Z").ok()
    assert done.out == "- run_key: a\n  tags:\n    for: 2026-03-29 03:00 +0200\n"
    assert "It would run nothing: a holiday" in schedules.here("schedule", "preview", "yearly").ok().err
    failed = schedules.here("schedule", "preview", "broken")
    assert failed.code == 6
    assert "about to divide" in failed.err
    assert "ZeroDivisionError" in failed.err
    misfit = schedules.here("schedule", "preview", "misfit")
    assert (misfit.code, "would fail, and run nothing" in misfit.err, "wrok" in misfit.err) == (6, True, True)
    assert schedules.json("schedule", "ticks") == []
    assert schedules.json("runs", "list") == []


def test_ticks_have_the_promised_shape_and_a_failure_is_told_in_full(schedules):
    schedules.here("schedule", "start", "broken", "nightly").ok()
    with open_store(StateDir(schedules.state)) as store:
        started = [one for one in store(list_automations) if one.is_on]
        store(save_automations, [replace(one, since=one.since - timedelta(days=2)) for one in started])
    schedules("daemon", "tick").ok()
    ticks = schedules.json("schedule", "ticks")
    assert {tuple(tick) for tick in ticks} == {CONTRACT}
    assert {(tick["name"], tick["status"]) for tick in ticks} == {
        ("main/broken", "FAILURE"), ("main/broken", "MISSED"), ("main/nightly", "SUCCESS"), ("main/nightly", "MISSED"),
    }  # fmt: skip
    run = schedules.json("runs", "list")[0]
    succeeded = next(tick for tick in ticks if tick["status"] == "SUCCESS")
    assert (succeeded["kind"], succeeded["run_ids"], succeeded["run_keys"]) == ("schedule", [run["run_id"]], ["a"])
    assert run["trigger"] == {
        "kind": "schedule", "name": "main/nightly", "run_key": "a", "scheduled_at": succeeded["scheduled_at"],
    }  # fmt: skip
    out = schedules.here("schedule", "ticks", "broken").ok().out
    assert "ZeroDivisionError: division by zero" in out.splitlines()[1]
    assert "    return 1 / 0" in out
    assert out.rstrip().endswith("It printed:\nabout to divide")
    missed = schedules.json("schedule", "ticks", "nightly", "--status", "missed")
    assert {tick["skip_reason"] for tick in missed} <= {
        "late, and only the latest occurrence is caught up on (catch_up=latest)",
        "late by more than the catch-up window of 24h 00m",
        "late by more than the catch-up window of 1d 0h",
    }
    assert len(schedules.json("schedule", "ticks", "--limit", "1")) == 1


def test_what_is_gone_can_be_forgotten_and_nothing_else(schedules):
    schedules.here("schedule", "start", "yearly").ok()
    still_there = schedules.here("schedule", "forget", "yearly")
    assert (still_there.code, "is still defined" in still_there.err) == (4, True)
    schedules.write(PIPELINES.replace("def yearly", "def every_year"))
    gone = next(one for one in schedules.json("schedule", "list") if one["name"] == "main/yearly")
    assert gone["on"]
    assert gone["gone_at"]
    assert "gone, still on" in schedules.here("schedule", "list").ok().out
    schedules.here("schedule", "forget", "yearly").ok()
    assert "main/yearly" not in schedules.here("schedule", "list").ok().out


def test_json_is_json(schedules):
    assert json.loads(schedules.here("schedule", "ticks", "--json").ok().out) == []
    assert "No ticks yet." in schedules.here("schedule", "ticks").ok().err


@pytest.mark.parametrize("kind", ["schedule", "sensor"])
def test_what_may_be_in_a_location_that_is_broken_is_not_said_to_be_nowhere(bench, kind):
    bench.write("def nightly(:\n")
    said = "Location 'main' is broken: pipelines.py cannot be imported: SyntaxError"
    for command in (["start", "nightly"], ["ticks", "nightly"], ["preview", "nightly"]):
        refused = bench.here(kind, *command)
        assert refused.code == 4
        assert said in refused.err
        assert "orchestrator config check" in refused.err
    listed = bench.here(kind, "list").err
    assert said in listed
    assert "None yet" not in listed
    assert bench.json(kind, "list") == []
