"""`orchestrator simulate`: what schedules and sensors would do, with nothing done."""

import json
from datetime import timedelta

import pytest
from msgspec.structs import replace

from orchestrator.catalog.automations import list_automations, save_automations
from orchestrator.catalog.maintenance import TABLES
from orchestrator.catalog.session import open_store
from orchestrator.state_dir import StateDir

WORKSPACE = """
    from pathlib import Path
    from orchestrator import RunRequest, SkipReason, asset_sensor, pipeline, run_status_sensor, schedule, sensor, step

    @step
    def note() -> None:
        with open("ledger", "a") as file:
            file.write("ran ")

    @pipeline
    def work():
        note()

    @schedule(cron="30 2 * * *", timezone="Europe/Berlin", pipeline=work)
    def nightly(context):
        return RunRequest(run_key=f"{context.scheduled_at:%m-%d %H:%M %z}")

    @schedule(cron="0 * * * *", timezone="Europe/Berlin", pipeline=work)
    def hourly(context):
        if context.scheduled_at.hour == 12:
            return SkipReason("lunch")
        if context.scheduled_at.hour == 13:
            raise ValueError("unlucky")

    def caught_up(policy):
        @schedule(name=f"up_{policy}", cron="0 6 * * *", pipeline=work, catch_up=policy, catch_up_window="7d")
        def made():
            return None
        return made

    up_latest, up_all, up_none, up_2 = map(caught_up, ("latest", "all", "none", 2))

    @sensor(pipeline=work, interval=3600)
    def inbox(context):
        seen = int(context.cursor or 0)
        context.update_cursor(str(seen + 1))
        for path in sorted(Path("inbox").glob("*")):
            yield RunRequest(run_key=path.name)
        if seen == 2:
            yield RunRequest(run_key="third time")

    @asset_sensor(asset="orders", pipeline=work)
    def on_orders(context, materialization):
        yield RunRequest()
"""
SPRING = ("--from", "2026-03-27T12:00Z", "--to", "2026-03-30T12:00Z")


def ticks(bench, *arguments):
    return json.loads(bench("simulate", *arguments, "--json").ok().out)


def instants(found, name, status="SUCCESS"):
    return [tick["scheduled_at"] for tick in found if tick["name"] == f"main/{name}" and tick["status"] == status]


def rows(bench):
    """Everything in the database."""
    with open_store(StateDir(bench.state), ingest=False) as store:
        return {table: store.database.rows(f"SELECT * FROM {table} ORDER BY ALL") for table in TABLES}


def files(bench):
    return {str(path): path.stat().st_mtime_ns for path in bench.path.rglob("*") if "__pycache__" not in str(path)}


@pytest.fixture
def bench(bench):
    return bench.write(WORKSPACE)


def test_the_week_in_which_clocks_go_forward(bench):
    found = ticks(bench, *SPRING, "--set-on", "nightly", "--set-on", "hourly")
    assert instants(found, "nightly") == ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
    nightly = [tick for tick in found if tick["name"] == "main/nightly"]
    assert [tick["run_keys"] for tick in nightly] == [
        ["03-28 02:30 +0100"],
        ["03-29 03:00 +0200"],
        ["03-30 02:30 +0200"],
    ]
    every = [tick["scheduled_at"] for tick in found if tick["name"] == "main/hourly"]
    assert len(every) == len(set(every)) == 73
    assert every == sorted(every)
    shown = bench("simulate", *SPRING, "--set-on", "nightly", "--set-on", "hourly").ok().out
    assert "Sun 2026-03-29 Europe/Berlin: at 02:00 the clocks go forward to 03:00 (+0100 to +0200), 01:00Z" in shown
    assert "main/nightly (30 2 * * *)  Sun 2026-03-29 03:00 +0200  01:00Z  its time does not exist that day" in shown


def test_ticks_have_the_shape_of_those_that_happened(bench):
    bench("run", "work").ok()
    (tick, *_) = ticks(bench, *SPRING, "--set-on", "nightly")
    fields = "tick_id name kind status at scheduled_at duration_s run_ids run_keys skip_reason error cursor"
    assert set(fields.split()) <= tick.keys()
    assert len(tick["run_ids"]) == 1
    assert tick["requests"] == [{"run_key": "03-28 02:30 +0100"}]


def test_a_weekend_asleep_with_each_policy_of_catching_up(bench):
    names = ("up_latest", "up_all", "up_none", "up_2")
    on = [word for name in names for word in ("--set-on", name)]
    span = ("--from", "2026-11-06T00:00Z", "--to", "2026-11-09T23:00Z")
    found = ticks(bench, *span, *on, "--asleep", "2026-11-06T18:00Z..2026-11-09T08:00Z")
    days = {name: [instant[8:10] for instant in instants(found, name)] for name in names}
    assert days == {
        "up_latest": ["06", "09"],
        "up_all": ["06", "07", "08", "09"],
        "up_none": ["06"],
        "up_2": ["06", "08", "09"],
    }
    missed = {name: [instant[8:10] for instant in instants(found, name, "MISSED")] for name in names}
    assert missed == {"up_latest": ["07", "08"], "up_all": [], "up_none": ["07", "08", "09"], "up_2": ["07"]}
    late = [tick for tick in found if tick["at"] != tick["scheduled_at"]]
    assert {tick["at"] for tick in late} == {"2026-11-09T08:00:00Z"}
    shown = bench("simulate", *span, *on, "--asleep", "2026-11-06T18:00Z..+62h").ok().out
    assert "Asleep from 2026-11-06 18:00:00Z to 2026-11-09 08:00:00Z (2d 14h)." in shown
    assert "nothing is caught up on (catch_up=none)" in shown
    assert "Made up for late" in shown


def test_runs_that_last_longer_than_their_interval_are_in_each_others_way(bench):
    span = ("--from", "2026-06-01T14:00Z", "--to", "2026-06-01T19:00Z", "--set-on", "hourly")
    found = ticks(bench, *span, "--run-duration", "90m")
    outcomes = [tick["status"] for tick in found]
    assert outcomes == ["SUCCESS", "SKIPPED"] * 3
    assert found[1]["skip_reason"] == "the previous run has not finished (overlap=skip)"
    assert found[1]["about_run"] == "hourly@2026-06-01T14:00:00Z"
    shown = bench("simulate", *span, "--run-duration", "90m").ok().out
    assert "the previous run has not finished (overlap=skip): run hourly@2026-06-01T14:00:00Z" in shown
    assert {tick["status"] for tick in ticks(bench, *span)} == {"SUCCESS"}


def test_what_user_code_says_no_to_and_fails_at_is_told(bench):
    done = bench("simulate", "--from", "2026-06-01T00:00Z", "--to", "2026-06-06T00:00Z", "--set-on", "hourly").ok()
    (line,) = [line for line in done.out.splitlines() if line.startswith("main/hourly")]
    assert line.split()[-5:] == ["121", "111", "5", "0", "5"]
    assert "5 times from Mon 2026-06-01 12:00 +0200 to Fri 2026-06-05 12:00 +0200\n      lunch" in done.out
    assert "ValueError: unlucky" in done.out
    assert "Every tick: --all, or --json." in done.err
    assert "lunch" not in bench("simulate", "--from", "2026-06-01T18:00Z", "--to", "+3h", "--set-on", "hourly").ok().out


def test_all_ticks_are_listed_in_local_time_beside_utc(bench):
    shown = bench("simulate", *SPRING, "--set-on", "hourly", "--all").ok().out
    around = [line for line in shown.splitlines() if "03-29 00:00Z" in line or "03-29 01:00Z" in line]
    assert around[0].startswith("Sun 2026-03-29 01:00 +0100  03-29 00:00Z  ✓ success  main/hourly  1 run")
    assert around[1].startswith("Sun 2026-03-29 03:00 +0200  03-29 01:00Z  ✓ success  main/hourly  1 run")


@pytest.mark.long
def test_the_state_is_left_as_it_is_and_nothing_runs(bench):
    bench("run", "work").ok()
    bench.here("schedule", "start", "hourly").ok()
    bench.here("sensor", "start", "inbox").ok()
    before = rows(bench)
    shown = bench("simulate", "--to", "+3d", "--asleep", "+1d..+5h", "--sensors", "--set-on", "nightly").ok()
    assert "main/nightly" in shown.out
    assert "main/hourly" in shown.out
    assert "main/inbox" in shown.out
    assert rows(bench) == before
    assert bench.ledger() == ["ran"]
    bench.wait_until(lambda: bench.processes() == [], "every process to end")


def test_without_a_state_none_is_made(bench):
    before = files(bench)
    bench("simulate", *SPRING, "--set-on", "nightly", "--set-on", "inbox", "--sensors").ok()
    assert files(bench) == before


def daemon_has_loaded(bench):
    """Whether it answers, and lists come from it and are whole."""
    return bench.here("daemon", "status").code == 0 and "still loading" not in bench.here("schedule", "list").err


def test_a_daemon_that_runs_is_asked_and_left_alone(bench):
    bench.start("daemon", "start")
    bench.wait_until(lambda: daemon_has_loaded(bench), "a daemon that has loaded everything")
    bench.here("schedule", "start", "hourly").ok()
    told = bench.json("schedule", "list")
    found = ticks(bench, "--to", "+2d", "--sensors", "--set-on", "inbox")
    assert {tick["name"] for tick in found} == {"main/hourly", "main/inbox"}
    assert bench.json("schedule", "list") == told
    assert bench.json("runs", "list") == []
    assert not bench.json("sensor", "ticks")
    assert "simulat" not in (bench.state / "daemon.log").read_text()
    bench("daemon", "stop").ok()


def test_what_is_overdue_is_made_up_first_unless_a_beginning_is_given(bench):
    bench.here("schedule", "start", "up_all").ok()
    with open_store(StateDir(bench.state)) as store:
        (one,) = [one for one in store(list_automations) if one.name == "up_all"]
        since = replace(one, since=one.since.replace(hour=7) - timedelta(days=3))
        store(save_automations, [since])
    late = [tick for tick in ticks(bench, "--to", "+1h") if tick["is_late"]]
    assert len(late) >= 2
    assert not [tick for tick in ticks(bench, "--from", "+0s", "--to", "+1h") if tick["is_late"]]


def test_how_long_runs_last_is_what_is_recorded_of_their_pipeline(bench):
    bench("run", "work").ok()
    with open_store(StateDir(bench.state)) as store:
        store.database.execute("UPDATE runs SET finished_at = started_at + INTERVAL 70 MINUTE")
    span = ("--from", "2026-06-01T14:00Z", "--to", "2026-06-01T17:00Z", "--set-on", "hourly")
    assert [tick["status"] for tick in ticks(bench, *span)] == ["SUCCESS", "SKIPPED", "SUCCESS", "SKIPPED"]
    assert "Runs are taken to last as recorded (work 1h 10m)." in bench("simulate", *span).ok().out


def test_sensors_are_asked_for_real_and_their_cursors_and_keys_go_on(bench):
    (bench.path / "inbox").mkdir()
    for name in "ab":
        (bench.path / "inbox" / name).write_text("")
    span = ("--from", "2026-06-01T00:00Z", "--to", "2026-06-01T04:30Z", "--set-on", "inbox", "--set-on", "on_orders")
    found = ticks(bench, *span, "--sensors")
    inbox = [tick for tick in found if tick["name"] == "main/inbox"]
    assert [tick["run_keys"] for tick in inbox] == [["a", "b"], [], ["third time"], [], []]
    assert [tick["cursor"] for tick in inbox] == ["1", "2", "3", "4", "5"]
    done = bench("simulate", *span, "--sensors").ok()
    assert "main/on_orders is simulated up to 2026-06-01T00:00:00Z: it has seen everything" in done.err
    assert bench("simulate", *span).ok().err.count("inbox") == 0


def test_a_sensor_is_asked_a_bounded_number_of_times(bench):
    done = bench("simulate", "--from", "2026-06-01", "--to", "+30d", "--set-on", "inbox", "--sensors").ok()
    assert "main/inbox is simulated up to 2026-06-05T03:00:00Z: that was evaluation 100 of it." in done.err


def test_a_schedule_that_hangs_or_dies_fails_alone_and_is_not_asked_for_ever(bench):
    bench.write("""
        import os, time
        from orchestrator import pipeline, schedule, step

        @step
        def nothing(): pass

        @pipeline
        def work(): nothing()

        @schedule(cron="0 * * * *", pipeline=work, default_on=True)
        def well(): pass

        @schedule(cron="0 * * * *", pipeline=work, timeout=0.2, default_on=True)
        def hangs(context):
            if context.scheduled_at.hour == 3:
                time.sleep(600)

        @schedule(cron="0 * * * *", pipeline=work, default_on=True)
        def dies(context):
            if context.scheduled_at.hour >= 20:
                os._exit(3)
    """)
    found = ticks(bench, "--from", "2026-06-01T00:00Z", "--to", "2026-06-01T23:30Z")
    assert len(instants(found, "well")) == 24
    assert instants(found, "hangs", "FAILURE") == ["2026-06-01T03:00:00Z"]
    assert len(instants(found, "hangs")) == 23
    assert len(instants(found, "dies")) == 20
    errors = [tick["error"] for tick in found if tick["name"] == "main/dies" and tick["error"]]
    assert errors[:3] == ["Its process ended with exit code 3."] * 3
    assert errors[3].startswith("It was not asked any more.")


def test_a_sensor_that_hangs_is_left_off_and_the_others_go_on(bench):
    bench.write("""
        import time
        from orchestrator import RunRequest, pipeline, schedule, sensor, step

        @step
        def nothing(): pass

        @pipeline
        def work(): nothing()

        @sensor(pipeline=work, timeout=0.2, default_on=True)
        def hangs(context):
            time.sleep(600)

        @sensor(pipeline=work, interval=60, default_on=True)
        def well(context):
            yield RunRequest()
    """)
    done = bench("simulate", "--from", "2026-06-01T00:00Z", "--to", "2026-06-01T00:10Z", "--sensors").ok()
    (well,) = [line.split() for line in done.out.splitlines() if line.startswith("main/well")]
    assert well[-5:-3] == ["10", "10"]
    assert "main/hangs is simulated up to 2026-06-01T00:0" in done.err
    assert "it was lost 3 times: It timed out after 0.20s, and was ended." in done.err


def test_configuration_that_the_pipeline_refuses_is_a_failure(bench):
    bench.write("""
        from dataclasses import dataclass
        from orchestrator import pipeline, schedule, step

        @dataclass
        class Count:
            n: int

        @step
        def counted(config: Count): pass

        @pipeline
        def work(): counted()

        @schedule(cron="0 0 * * *", pipeline=work, default_on=True)
        def daily(context):
            day = context.scheduled_at.day
            return {"steps": {"counted": {"config": {"n": "many" if day == 13 else day}}}}
    """)
    found = ticks(bench, "--from", "2026-06-01T00:00Z", "--to", "2026-06-30T00:00Z")
    assert instants(found, "daily", "FAILURE") == ["2026-06-13T00:00:00Z"]
    (error,) = [tick["error"] for tick in found if tick["error"]]
    assert "steps.counted.config.n" in error


def test_a_broken_location_is_named_with_what_is_missing_and_the_rest_is_shown(bench):
    bench.settings("locations: [{name: main, file: pipelines.py}, {name: other, file: other.py}]")
    bench.write(WORKSPACE.replace("nightly", "other_nightly"), file="other.py")
    bench.here("schedule", "start", "other_nightly").ok()
    bench.write("import nonsense", file="other.py")
    done = bench("simulate", *SPRING, "--set-on", "nightly")
    assert done.code == 3
    assert "main/nightly" in done.out
    assert "warning: Location 'other' is broken" in done.err
    assert "Missing here, and known of it: other/other_nightly." in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--from", "2026-03-29", "--to", "2026-03-28"], 2, "is not after --from"),
        (["--to", "soon"], 2, "--to: 'soon' is not a time."),
        (["--from", "+7x"], 2, "--from: '+7x' is not a time."),
        (["--asleep", "2026-03-29"], 2, "'2026-03-29' is no span of time."),
        (["--asleep", "+2d..2020-01-01"], 2, "ends before it begins."),
        (["--asleep", "x..+8h"], 2, "--asleep: 'x' is not a time."),
        (["--run-duration", "long"], 2, "--run-duration: 'long' is not a duration"),
        (["--set-on", "nightli"], 4, "Did you mean nightly?"),
    ],
)
@pytest.mark.sample(8)
def test_what_makes_no_sense_is_refused_with_one_word_about_it(bench, arguments, code, message):
    done = bench("simulate", *arguments)
    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert "Traceback" not in done.err


def test_with_nothing_on_it_says_what_to_do(bench):
    done = bench("simulate").ok()
    assert "--set-on NAME" in done.err
    assert ticks(bench) == []


def test_what_its_executor_cannot_carry_out_fails_in_every_place_that_looks_ahead(bench):
    """As in the daemon: values in memory do not reach the next step's process."""
    bench.write("""
        from orchestrator import Mode, memory_io_manager, pipeline, schedule, step

        @step
        def one() -> int:
            return 1

        @step
        def two(x: int) -> None: ...

        @pipeline(modes=[Mode("test", resources={"io_manager": memory_io_manager})])
        def work():
            two(one())

        @schedule(cron="@daily", pipeline=work)
        def nightly(context):
            return None
    """)
    bench("schedule", "start", "nightly").ok()
    wrong = "keeps the outputs of step 'one' in memory (memory_io_manager)"
    simulated = bench.json("simulate", "--to", "+2d")
    failed = [tick for tick in simulated if tick["status"] == "FAILURE"]
    assert failed
    assert wrong in failed[0]["error"]
    preview = bench.here("schedule", "preview", "nightly")
    assert wrong in preview.out + preview.err, preview
