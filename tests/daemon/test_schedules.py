"""Schedules over days and years: what is run, what is not and why, whatever the function behind one answers."""

from datetime import datetime

import pytest

HEAD = """
    import os
    import time
    from dataclasses import dataclass
    from pathlib import Path
    from orchestrator import RunRequest, SkipReason, pipeline, schedule, step

    @dataclass
    class What:
        what: str = "nothing"

    @step
    def note(context, config: What) -> None:
        with open("ledger", "a") as ledger:
            ledger.write(config.what + "\\n")

    @pipeline(tags={"team": "sales"})
    def work():
        note()

    @step
    def hold() -> None:
        while not Path("go").exists():
            time.sleep(0.01)

    @pipeline
    def slow():
        hold()

    def config(what):
        return {"steps": {"note": {"config": {"what": what}}}}
"""


def source(cron="0 0 * * *", body="return config(context.scheduled_at.isoformat())", pipeline="work", **options):
    """A module with one schedule, called `it`."""
    given = "".join(f", {name}={value!r}" for name, value in options.items())
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    return f"{HEAD}\n    @schedule(cron={cron!r}, pipeline={pipeline}{given})\n    def it(context):\n{lines}"


@pytest.fixture
def schedule(bench, ticking):
    """Begins a daemon's life with one schedule, which is turned on at the given instant."""

    def begin(turned_on="2019-02-27T23:59:59Z", **declared):
        bench.write(source(**declared))
        ticking.__enter__()
        return ticking.at(turned_on).turn_on("it", at=turned_on)

    yield begin
    if ticking.daemon is not None:
        ticking.__exit__()


def ledger(ticking):
    return sorted(ticking.bench.ledger())


class TestWhatIsDue:
    def test_each_occurrence_is_run_once_however_often_one_looks(self, schedule):
        it = schedule(catch_up="all").at("2019-02-27T23:59:59Z")
        assert it.ticks("it") == []
        for instant in ("2019-02-28T00:00:01Z", "2019-02-28T00:00:01Z", "2019-02-28T00:00:03Z"):
            it.at(instant)
            assert it.instants("it") == ["02-28 00:00"]
        it.at("2019-03-01T00:00:00Z")
        assert it.instants("it") == ["02-28 00:00", "03-01 00:00"]
        assert ledger(it) == ["2019-02-28T00:00:00+00:00", "2019-03-01T00:00:00+00:00"]

    def test_one_that_is_turned_on_at_its_instant_is_run_for_it(self, schedule):
        it = schedule("2019-02-27T00:00:00Z").at("2019-02-27T00:00:00Z")
        assert it.instants("it") == ["02-27 00:00"]

    def test_schedules_do_not_wait_for_one_another(self, bench, ticking):
        bench.write(
            HEAD
            + """
    @schedule(cron="0 0 * * *", pipeline=work)
    def daily(context): ...

    @schedule(cron="0 * * * *", pipeline=work)
    def hourly(context): ...
"""
        )
        with ticking:
            ticking.at("2019-02-27T23:59:59Z").turn_on("daily").turn_on("hourly")
            ticking.at("2019-02-28T00:00:01Z")
            assert (ticking.outcomes("daily"), ticking.outcomes("hourly")) == (["SUCCESS"], ["SUCCESS"])
            ticking.at("2019-02-28T01:00:01Z")
            assert (ticking.outcomes("daily"), ticking.outcomes("hourly")) == (["SUCCESS"], ["SUCCESS"] * 2)
            assert len(ticking.runs()) == 3

    @pytest.mark.parametrize(
        ("cron", "turned_on", "now", "instants"),
        [
            pytest.param(
                "0 * * * *", "2019-03-10T07:00:00Z", "2019-03-10T09:00:00Z",
                ["03-10 07:00", "03-10 08:00", "03-10 09:00"], id="hourly-in-spring",
            ),
            pytest.param(
                "0 * * * *", "2019-11-03T05:30:00Z", "2019-11-03T09:30:00Z",
                ["11-03 06:00", "11-03 07:00", "11-03 08:00", "11-03 09:00"], id="hourly-in-autumn",
            ),
            pytest.param(
                "30 2 * * *", "2019-03-09T06:00:00Z", "2019-03-12T05:00:00Z",
                ["03-09 08:30", "03-10 08:00", "03-11 07:30"], id="an-hour-that-does-not-exist",
            ),
            pytest.param(
                "30 1 * * *", "2019-11-02T05:00:00Z", "2019-11-05T06:00:00Z",
                ["11-02 06:30", "11-03 07:30", "11-04 07:30"], id="an-hour-that-comes-twice",
            ),
        ],
    )  # fmt: skip
    @pytest.mark.sample(4)
    def test_clock_changes_in_the_schedules_own_zone(self, schedule, cron, turned_on, now, instants):
        it = schedule(turned_on, cron=cron, timezone="US/Central", catch_up="all", catch_up_window=None)
        it.at(now)
        assert it.instants("it") == instants
        assert len(set(ledger(it))) == len(instants), "each is told its own local time, with the offset"

    def test_a_jittered_occurrence_is_run_later_and_for_its_own_instant(self, schedule):
        it = schedule(jitter=600).at("2019-02-28T00:00:00Z")
        assert it.ticks("it") == []
        due = it.upcoming("it")
        assert due < datetime.fromisoformat("2019-02-28T00:10:00Z")
        it.at(due.isoformat())
        assert it.instants("it") == ["02-28 00:00"]
        assert it.ticks("it")[0].at >= due


class TestCatchingUp:
    @pytest.mark.parametrize(
        ("options", "run", "missed", "reason"),
        [
            pytest.param({"catch_up": "all"}, ["03-02", "03-03", "03-04"], ["02-28", "03-01"], "window", id="all"),
            pytest.param({}, ["03-04"], ["02-28", "03-01", "03-02", "03-03"], "only the latest", id="latest"),
            pytest.param({"catch_up": 2}, ["03-03", "03-04"], ["02-28", "03-01", "03-02"], "at most 2", id="2"),
            pytest.param(
                {"catch_up": "none"}, [], ["02-28", "03-01", "03-02", "03-03", "03-04"], "nothing is caught", id="none"
            ),
        ],
    )
    @pytest.mark.sample(4)
    def test_after_five_days_asleep(self, schedule, options, run, missed, reason):
        it = schedule(catch_up_window="3d", **options).at("2019-03-04T23:59:59Z")
        assert [instant[:5] for instant in it.instants("it")] == run
        assert [instant[:5] for instant in it.instants("it", "MISSED")] == missed
        assert reason in it.ticks("it")[len(missed) - 1].skip_reason
        assert len(it.runs()) == len(run)
        it.at("2019-03-05T00:00:00Z")
        assert it.instants("it")[-1] == "03-05 00:00", "and then it goes on as ever"

    def test_late_occurrences_are_run_oldest_first_and_one_at_a_time(self, schedule):
        it = schedule(catch_up="all", catch_up_window=None).at("2019-03-02T12:00:00Z")
        assert it.bench.ledger() == [f"2019-{day}T00:00:00+00:00" for day in ("02-28", "03-01", "03-02")]

    def test_a_daemon_that_is_started_again_catches_up_the_same_way(self, schedule):
        it = schedule(catch_up="all", catch_up_window=None).at("2019-02-28T12:00:00Z")
        it.__exit__()
        it.__enter__().at("2019-03-02T12:00:00Z")
        assert it.instants("it") == ["02-28 00:00", "03-01 00:00", "03-02 00:00"]
        assert len(it.runs()) == 3

    def test_the_time_off_is_never_made_up(self, schedule):
        it = schedule(catch_up="all", catch_up_window=None).at("2019-02-28T12:00:00Z")
        it.turn_off("it").at("2019-03-02T12:00:00Z").turn_on("it").at("2019-03-02T12:00:00Z")
        assert it.instants("it") == ["02-28 00:00"]
        it.at("2019-03-03T00:00:00Z")
        assert it.instants("it") == ["02-28 00:00", "03-03 00:00"]
        assert it.instants("it", "MISSED") == [], "it was off: nothing was missed"


class TestWhatTheFunctionAnswers:
    def answer(self, schedule, body, **options):
        return schedule(body=body, **options).at("2019-02-28T00:00:01Z")

    @pytest.mark.parametrize(
        ("body", "requested"),
        [
            pytest.param("return None", ["nothing"], id="nothing-is-a-run-without-config"),
            pytest.param("return config('a')", ["a"], id="config"),
            pytest.param("yield config('a')", ["a"], id="config-yielded"),
            pytest.param("return RunRequest(config=config('a'))", ["a"], id="a-request"),
            pytest.param("for key in 'ab': yield RunRequest(key, config(key))", ["a", "b"], id="several-with-keys"),
            pytest.param("return [RunRequest(key, config(key)) for key in 'aba']", ["a", "b"], id="a-key-twice"),
        ],
    )
    @pytest.mark.sample(4)
    def test_runs(self, schedule, body, requested):
        it = self.answer(schedule, body)
        assert it.outcomes("it") == ["SUCCESS"]
        assert ledger(it) == requested
        assert len(it.ticks("it")[0].run_ids) == len(requested)

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            pytest.param("return SkipReason('a holiday')", "a holiday", id="with-a-reason"),
            pytest.param("yield SkipReason('a holiday')", "a holiday", id="yielded"),
            pytest.param("return SkipReason()", None, id="without-a-reason"),
            pytest.param("return []", None, id="no-requests"),
            pytest.param("yield from ()", None, id="a-generator-of-nothing"),
        ],
    )
    def test_no_run(self, schedule, body, reason):
        it = self.answer(schedule, body)
        tick = it.ticks("it")[0]
        assert (str(tick.status), tick.skip_reason, tick.run_ids) == ("SKIPPED", reason, ())
        assert it.at("2019-02-28T12:00:00Z").outcomes("it") == ["SKIPPED"], "it is never looked at again"

    @pytest.mark.parametrize(
        ("body", "error"),
        [
            pytest.param(
                "return [RunRequest('a'), RunRequest()]",
                "ValueError: Schedule 'it' must specify a run_key in each RunRequest, because it gave several",
                id="several-and-one-without-a-key",
            ),
            pytest.param(
                "return [RunRequest('a'), SkipReason('no')]",
                "TypeError: Schedule 'it' gave a SkipReason and a RunRequest; it can only be one of the two",
                id="a-request-and-a-reason-for-none",
            ),
            pytest.param(
                "return 5", "TypeError: Schedule 'it' must give RunRequests or a SkipReason, got 5", id="a-number"
            ),
            pytest.param(
                "return 'work'",
                "TypeError: Schedule 'it' must give RunRequests or a SkipReason, got 'work'",
                id="a-text",
            ),
            pytest.param("return RunRequest(5)", "run_key must be a text of 1 to 1000 characters, got 5", id="a-key"),
            pytest.param(
                "return RunRequest(pipeline='wrok')", "There is no pipeline 'wrok'.", id="a-pipeline-that-is-not-there"
            ),
            pytest.param("return {'steps': {'note': 5}}", "steps.note", id="config-that-does-not-fit"),
            pytest.param("raise SystemExit(3)", "SystemExit: 3", id="an-exit"),
            pytest.param("os._exit(3)", "Its process ended with exit code 3.", id="the-process-dies"),
            pytest.param("import signal; os.kill(os.getpid(), signal.SIGSEGV)", "killed by SIGSEGV.", id="a-segfault"),
        ],
    )
    @pytest.mark.sample(5)
    def test_failures(self, schedule, body, error):
        it = self.answer(schedule, body)
        tick = it.ticks("it")[0]
        assert (str(tick.status), tick.run_ids) == ("FAILURE", ())
        assert error in tick.error
        assert it.runs() == []

    def test_an_exception_is_told_from_the_users_own_line_on(self, schedule):
        it = self.answer(schedule, "return config(1 / 0)")
        lines = it.ticks("it")[0].error.splitlines()
        assert lines[0] == "Traceback (most recent call last):"
        assert lines[1].startswith(f'  File "{it.bench.path}/pipelines.py", line ')
        assert lines[2] == "    return config(1 / 0)"
        assert lines[-1] == "ZeroDivisionError: division by zero"

    def test_a_generator_that_fails_after_some_requests_requests_none(self, schedule):
        it = self.answer(schedule, "yield RunRequest('a')\nyield RunRequest('b')\nraise ValueError('late')")
        assert it.outcomes("it") == ["FAILURE"]
        assert it.runs() == []

    def test_an_error_of_the_users_is_not_repeated_and_the_next_occurrence_is_run(self, schedule):
        it = self.answer(
            schedule, "if context.scheduled_at.day % 2 == 0: raise ValueError('an even day')", catch_up="all"
        )
        it.at("2019-02-28T23:00:00Z").at("2019-03-01T00:00:00Z")
        assert it.outcomes("it") == ["FAILURE", "SUCCESS"]

    def test_an_evaluation_that_was_lost_is_made_again_for_the_same_occurrence(self, schedule):
        it = self.answer(schedule, "if not os.path.exists('calm'): os._exit(1)\nreturn config('a')")
        assert it.outcomes("it") == ["FAILURE"]
        (it.bench.path / "calm").touch()
        it.at("2019-02-28T00:00:30Z")
        assert it.outcomes("it") == ["FAILURE", "SUCCESS"]
        assert {tick.scheduled_at for tick in it.ticks("it")} == {datetime.fromisoformat("2019-02-28T00:00:00Z")}
        assert ledger(it) == ["a"]

    def test_one_that_is_always_lost_is_given_up_and_the_next_occurrence_is_tried_afresh(self, schedule):
        it = self.answer(schedule, "os._exit(1)")
        for second in range(2, 60, 2):
            it.at(f"2019-02-28T00:00:{second:02}Z")
        assert it.outcomes("it") == ["FAILURE"] * 4
        it.at("2019-03-01T00:00:00Z").at("2019-03-01T00:00:30Z")
        assert len(it.ticks("it")) == 6

    def test_one_that_hangs_is_ended_after_its_timeout(self, schedule):
        it = self.answer(schedule, "time.sleep(60)", timeout=0.2)
        assert it.ticks("it")[0].error == "It timed out after 0.20s, and was ended."


def test_a_run_says_which_occurrence_it_is_of_and_carries_the_tags_of_all(schedule):
    it = schedule(body="return RunRequest('k', config('a'), tags={'day': 'x'})", tags={"by": "cron"})
    it.at("2019-02-28T00:00:01Z")
    run = it.runs()[0]
    assert run.tags == {"team": "sales", "by": "cron", "day": "x"}
    trigger = run.trigger
    assert (trigger.kind, trigger.name, trigger.run_key) == ("schedule", "main/it", "k")
    assert trigger.scheduled_at == datetime.fromisoformat("2019-02-28T00:00:00Z")


def test_the_function_is_told_its_instant_in_its_own_zone_and_when_it_is_asked(schedule):
    body = "return config(f'{context.name}|{context.scheduled_at.isoformat()}|{context.now.isoformat()}')"
    it = schedule(cron="30 2 * * *", timezone="Europe/Berlin", body=body).at("2019-02-28T09:00:00Z")
    name, instant, now = ledger(it)[0].split("|")
    assert (name, instant) == ("it", "2019-02-28T02:30:00+01:00")
    assert now.startswith("2019-02-28T09:00:00")


class TestOverlap:
    """Runs that are not over when the next occurrence is due: `go` lets them end."""

    @pytest.mark.parametrize(
        ("overlap", "running", "queued", "skipped"),
        [
            pytest.param("skip", 1, 0, 2, id="skip"),
            pytest.param("allow", 3, 0, 0, id="allow"),
            pytest.param("buffer_one", 1, 1, 1, id="buffer_one"),
            pytest.param("buffer_all", 1, 2, 0, id="buffer_all"),
        ],
    )
    @pytest.mark.sample(5)
    def test_of_three_occurrences(self, schedule, overlap, running, queued, skipped):
        it = schedule(cron="0 * * * *", pipeline="slow", body="return None", overlap=overlap)
        for instant in ("2019-02-28T00:00:00Z", "2019-02-28T01:00:00Z", "2019-02-28T02:00:00Z"):
            it.at(instant, until=lambda instant=instant: self.is_told(it, instant))
        it.daemon.runs.catch_up()  # the index lags behind the journals of runs in flight
        states = [str(run.status) for run in it.runs()]
        assert (states.count("STARTED"), states.count("QUEUED")) == (running, queued)
        passed = [(tick.skip_reason, tick.about_run) for tick in it.ticks("it") if tick.status == "SKIPPED"]
        state = "begun" if overlap == "buffer_one" else "finished"  # there the newest of them waits in the queue
        reason = f"the previous run has not {state} (overlap={overlap})"
        assert passed == [(reason, it.runs()[queued].run_id)] * skipped
        (it.bench.path / "go").touch()
        it.at("2019-02-28T02:00:10Z")
        assert [str(run.status) for run in it.runs()] == ["SUCCESS"] * (running + queued)

    def test_cancel_other(self, schedule):
        it = schedule(cron="0 * * * *", pipeline="slow", body="return None", overlap="cancel_other")
        for instant in ("2019-02-28T00:00:00Z", "2019-02-28T01:00:00Z"):
            it.at(instant, until=lambda instant=instant: self.is_told(it, instant))
        (it.bench.path / "go").touch()
        it.at("2019-02-28T01:00:10Z")
        assert sorted(str(run.status) for run in it.runs()) == ["CANCELED", "SUCCESS"]
        canceled = next(run for run in it.runs() if run.status == "CANCELED")
        assert canceled.trigger.scheduled_at == datetime.fromisoformat("2019-02-28T00:00:00Z")

    def is_told(self, it, instant):
        """The occurrence has its tick, and whatever run it has is going or waits."""
        told = any(tick.scheduled_at == datetime.fromisoformat(instant) for tick in it.ticks("it"))
        return told and not it.daemon.queue.is_busy and bool(it.daemon.runs.active)


class TestEdits:
    def test_another_cron_counts_from_the_edit(self, schedule):
        it = schedule(catch_up="all", catch_up_window=None).at("2019-02-28T00:00:01Z")
        it.edit(source(cron="0 6 * * *", catch_up="all", catch_up_window=None), at="2019-03-03T12:00:00Z")
        assert it.instants("it") == ["02-28 00:00"], "neither the old times nor the new ones are made up"
        it.at("2019-03-04T06:00:00Z")
        assert it.instants("it") == ["02-28 00:00", "03-04 06:00"]

    def test_another_zone_counts_from_the_edit(self, schedule):
        it = schedule().at("2019-02-28T00:00:01Z")
        it.edit(source(timezone="Asia/Tokyo"), at="2019-02-28T14:00:00Z").at("2019-02-28T15:00:00Z")
        assert it.instants("it") == ["02-28 00:00", "02-28 15:00"]

    def test_any_other_edit_counts_for_what_is_due_and_not_yet_run(self, schedule):
        it = schedule(catch_up="all").at("2019-02-28T00:00:01Z")
        it.edit(source(catch_up="all", body="return config('new')"), at="2019-03-01T00:00:01Z")
        assert it.instants("it") == ["02-28 00:00", "03-01 00:00"]
        assert ledger(it)[-1] == "new"

    @pytest.mark.long
    def test_one_that_is_gone_is_shown_and_counts_from_its_return(self, schedule):
        it = schedule(catch_up="all", catch_up_window=None).at("2019-02-28T00:00:01Z")
        it.edit(HEAD, at="2019-02-28T12:00:00Z").at("2019-03-03T00:00:01Z")
        assert f"{it.one('it').gone_at:%m-%d %H:%M}" == "02-28 12:00"
        assert it.one("it").is_on
        it.edit(source(catch_up="all", catch_up_window=None), at="2019-03-05T12:00:00Z").at("2019-03-06T00:00:00Z")
        assert it.instants("it") == ["02-28 00:00", "03-06 00:00"]

    def test_while_its_file_is_broken_it_waits_and_then_catches_up(self, schedule):
        it = schedule(catch_up="all").at("2019-02-28T00:00:01Z")
        it.edit("this is no Python", at="2019-02-28T12:00:00Z").at("2019-03-01T00:00:01Z")
        assert it.one("it").gone_at is None
        it.edit(source(catch_up="all"), at="2019-03-01T00:10:00Z")
        assert it.instants("it") == ["02-28 00:00", "03-01 00:00"]

    def test_config_that_did_not_fit_runs_once_the_code_is_mended(self, schedule):
        it = schedule(body="return {'steps': {'noet': {}}}").at("2019-02-28T00:00:01Z")
        assert it.outcomes("it") == ["FAILURE"]
        it.edit(source(), at="2019-02-28T12:00:00Z").at("2019-03-01T00:00:00Z")
        assert it.outcomes("it") == ["FAILURE", "SUCCESS"]

    def test_one_that_is_on_by_default_counts_from_when_it_is_first_seen(self, bench, ticking):
        bench.write(source(default_on=True, catch_up="all"))
        with ticking:
            ticking.at("2019-02-27T12:00:00Z").at("2019-02-28T00:00:00Z")
            assert ticking.instants("it") == ["02-28 00:00"]
            ticking.turn_off("it")
        with ticking:
            ticking.at("2019-03-01T00:00:00Z")
            assert not ticking.one("it").is_on, "what the user said last counts for more than the default"


def test_a_clock_that_is_set_back_runs_nothing_twice(schedule):
    it = schedule(cron="0 * * * *").at("2019-02-28T03:00:00Z")
    assert it.instants("it") == ["02-28 03:00"]
    it.at("2019-02-28T01:30:00Z").at("2019-02-28T02:00:00Z").at("2019-02-28T03:00:00Z")
    assert it.instants("it") == ["02-28 03:00"]
    it.at("2019-02-28T04:00:00Z")
    assert it.instants("it") == ["02-28 03:00", "02-28 04:00"]


def test_one_turned_on_again_after_the_clock_was_set_back_skips_what_was_run_already(schedule):
    it = schedule(cron="0 * * * *").at("2019-02-28T03:00:00Z")
    it.turn_off("it").turn_on("it", at="2019-02-28T02:30:00Z").at("2019-02-28T03:00:00Z")
    assert [tick.skip_reason for tick in it.ticks("it") if tick.status == "SKIPPED"] == [
        "this occurrence was run already"
    ]
    assert len(it.runs()) == 1


def test_one_that_is_turned_off_and_on_while_it_is_asked_counts_from_the_moment_it_was_turned_on(schedule):
    body = "open('asked', 'w').close()\nwhile not os.path.exists('answer'): time.sleep(0.01)\nreturn config('x')"
    it = schedule(cron="0 * * * *", catch_up="all", body=body)
    it.at("2019-02-28T00:00:00Z", until=(it.bench.path / "asked").exists)
    it.turn_off("it").turn_on("it", at="2019-02-28T05:30:00Z")
    (it.bench.path / "answer").touch()
    it.at("2019-02-28T05:30:00Z")
    assert it.instants("it") == ["02-28 00:00"]


def test_nothing_that_is_off_is_asked(bench, ticking):
    bench.write(source(body="open('asked', 'w')"))
    with ticking:
        ticking.at("2019-02-27T00:00:00Z").at("2019-03-04T00:00:00Z")
        assert ticking.ticks("it") == []
        assert not (bench.path / "asked").exists()
