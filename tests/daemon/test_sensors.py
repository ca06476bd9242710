"""Sensors, look by look: what they ask for, what becomes of it, and that none of them is felt by another."""

import re
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

HEAD = """
    import os
    import time
    from dataclasses import dataclass
    from pathlib import Path
    from orchestrator import RunRequest, SkipReason, pipeline, sensor, step

    @dataclass
    class What:
        what: str = "nothing"

    @step
    def note(config: What) -> None:
        with open("ledger", "a") as ledger:
            ledger.write(config.what + "\\n")

    @pipeline(tags={"team": "sales"})
    def work():
        note()

    def config(what):
        return {"steps": {"note": {"config": {"what": what}}}}
"""


def use_key(database, id, key, run):
    database.insert("run_keys", {"automation": [id], "run_key": [key], "run_id": [run]})


START = datetime.fromisoformat("2019-02-27T23:59:00Z")


def one(body, name="it", **options):
    """A sensor, turned on by default."""
    given = "".join(f", {key}={value!r}" for key, value in {"interval": 59, "default_on": True, **options}.items())
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    return f"\n    @sensor(pipeline=work{given})\n    def {name}(context):\n{lines}"


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def sensors(bench, ticking):
    """Begins a daemon's life with sensors; `look(seconds)` lets it go on to so many seconds after its start."""

    def begin(*definitions):
        bench.write(HEAD + "".join(definitions))
        ticking.__enter__()
        looks = count()

        def look(seconds, **how):
            """A little later than the look before, so that an interval has passed when it has."""
            return ticking.at((START + timedelta(seconds=seconds, milliseconds=next(looks))).isoformat(), **how)

        ticking.look = look
        look(0)
        return look(1)

    yield begin
    if ticking.daemon is not None:
        ticking.__exit__()


class TestWhatTheFunctionAnswers:
    @pytest.mark.parametrize(
        ("body", "keys", "runs"),
        [
            pytest.param("return RunRequest()", (), 1, id="a-request-without-a-key"),
            pytest.param("return RunRequest('a')", ("a",), 1, id="a-request"),
            pytest.param("for key in 'abc': yield RunRequest(key)", ("a", "b", "c"), 3, id="several"),
            pytest.param("yield RunRequest('a')\nyield RunRequest()", ("a",), 2, id="with-and-without-a-key"),
            pytest.param("for key in 'abab': yield RunRequest(key)", ("a", "b"), 2, id="a-key-twice"),
            pytest.param(
                r"context.update_cursor('\udcff')" + "\n"
                r"yield from [RunRequest('a'), RunRequest('b', tags={'\ud800': '\udcff'})]",
                ("a", "b"),
                2,
                id="tags-and-a-cursor-that-are-not-utf-8",
            ),
        ],
    )
    @pytest.mark.sample(4)
    def test_runs(self, sensors, body, keys, runs):
        it = sensors(one(body))
        tick = it.ticks("it")[0]
        assert (str(tick.status), tick.run_keys, len(tick.run_ids)) == ("SUCCESS", keys, runs)
        assert sorted(tick.run_ids) == sorted(run.run_id for run in it.runs())
        assert {str(run.status) for run in it.runs()} == {"SUCCESS"}

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            pytest.param("return SkipReason('no files')", "no files", id="a-reason"),
            pytest.param("yield SkipReason('no files')", "no files", id="a-reason-yielded"),
            pytest.param("return None", None, id="nothing"),
            pytest.param("return []", None, id="an-empty-list"),
            pytest.param("yield from ()", None, id="an-empty-generator"),
        ],
    )
    def test_no_run(self, sensors, body, reason):
        it = sensors(one(body))
        tick = it.ticks("it")[0]
        assert (str(tick.status), tick.skip_reason) == ("SKIPPED", reason)
        assert it.runs() == []

    @pytest.mark.parametrize(
        ("body", "error"),
        [
            pytest.param(
                "yield RunRequest('a')\nyield SkipReason('no')",
                "TypeError: Sensor 'it' gave a SkipReason and a RunRequest; it can only be one of the two",
                id="a-request-and-a-reason",
            ),
            pytest.param(
                "return 5", "TypeError: Sensor 'it' must give RunRequests or a SkipReason, got 5", id="number"
            ),
            pytest.param(
                "return {'a': 1}",
                "TypeError: Sensor 'it' must give RunRequests or a SkipReason, got {'a': 1}",
                id="config-alone",
            ),
            pytest.param("return RunRequest('a\\nb')", "run_key must be one line without control", id="key-of-2-lines"),
            pytest.param("return RunRequest('k' * 10_000)", "1 to 1000 characters", id="a-long-key"),
            pytest.param("return RunRequest('a', tags={'n': 1})", "tags must be texts by name", id="a-tag"),
            pytest.param("return RunRequest('a', tags=['n'])", "tags must be texts by name", id="a-list-of-tags"),
            pytest.param("return RunRequest('a', pipeline=5)", "pipeline must be a name, got 5", id="pipeline-5"),
            pytest.param("return RunRequest('a', mode=5)", "mode must be a name, got 5", id="mode-5"),
            pytest.param("return SkipReason(5)", "a SkipReason is a text, got 5", id="a-reason-that-is-a-number"),
            pytest.param("return RunRequest('a', {'x': object()})", "cannot be written down", id="config-of-objects"),
            pytest.param("context.cursor = 5", "invalid result", id="a-cursor-behind-our-back"),
            pytest.param("context.update_cursor(5)", "a cursor is a text, got int", id="a-cursor"),
            pytest.param("context.update_cursor('c' * 10_000_000)", "may have 1048576 characters", id="a-long-cursor"),
            pytest.param("return RunRequest('a', pipeline='wrok')", "no pipeline 'wrok'", id="an-unknown-pipeline"),
            pytest.param("return RunRequest('a', mode='prdo')", "no mode 'prdo'", id="an-unknown-mode"),
            pytest.param("return RunRequest('a', preset='big')", "no preset 'big'", id="an-unknown-preset"),
            pytest.param("return RunRequest('a', {'stpes': {}})", "stpes", id="config-that-does-not-fit"),
            pytest.param("return (RunRequest(str(n)) for n in range(10**9))", "at most 100000", id="without-end"),
            pytest.param("raise SystemExit(2)", "SystemExit: 2", id="an-exit"),
            pytest.param("raise KeyboardInterrupt", "KeyboardInterrupt", id="an-interrupt"),
            pytest.param("os._exit(3)", "Its process ended with exit code 3.", id="the-process-ends"),
            pytest.param("os.kill(os.getpid(), 11)", "Its process was killed by SIGSEGV.", id="a-segfault"),
            pytest.param("yield RunRequest('a')\nraise ValueError('late')", "ValueError: late", id="after-a-request"),
        ],
    )
    @pytest.mark.sample(9)
    def test_failures(self, sensors, body, error):
        it = sensors(one(body))
        tick = it.ticks("it")[0]
        assert (str(tick.status), tick.run_ids, tick.run_keys) == ("FAILURE", (), ())
        assert error in tick.error
        assert it.runs() == []
        assert it.one("it").is_on

    def test_a_request_without_a_pipeline_anywhere(self, sensors):
        it = sensors("\n    @sensor(default_on=True)\n    def it(context):\n        return RunRequest('a')\n")
        assert "no pipeline is named" in it.ticks("it")[0].error

    def test_an_exception_is_told_from_the_users_own_line_on(self, sensors):
        it = sensors(one("return sum(1 / 0 for _ in 'a')"))
        lines = it.ticks("it")[0].error.splitlines()
        assert lines[1].startswith(f'  File "{it.bench.path}/pipelines.py", line ')
        assert lines[-1] == "ZeroDivisionError: division by zero"
        assert "/orchestrator/" not in it.ticks("it")[0].error

    def test_an_error_that_no_line_of_the_users_is_to_blame_for_has_no_traceback(self, sensors):
        it = sensors(one("return 5"))
        error = it.ticks("it")[0].error
        assert len(error.splitlines()) == 1
        assert re.search(r", got 5 \(pipelines, .*pipelines\.py:\d+\)$", error), "but it says where the sensor is"

    def test_config_without_a_request_is_told_where_it_goes(self, sensors):
        it = sensors(one("return {'steps': {}}"))
        assert "got {'steps': {}}. Config goes into one: RunRequest(config=...) (" in it.ticks("it")[0].error

    def test_what_is_printed_is_kept_to_the_end_of_it(self, sensors):
        it = sensors(one("context.log.info('looking')\nprint('x' * 5_000_000 + 'end')"))
        assert it.ticks("it")[0].output.endswith("xend\n")
        assert len(it.ticks("it")[0].output) < 10_000

    def test_a_request_says_all_that_a_run_can_be_given(self, sensors):
        it = sensors(
            one("return RunRequest('a', config('x'), tags={'file': 'a'}, pipeline='other')", tags={"by": "sensor"}),
            "\n    @pipeline\n    def other():\n        note()\n",
        )
        run = it.runs()[0]
        assert (run.pipeline, run.tags) == ("other", {"by": "sensor", "file": "a"})
        assert (run.trigger.kind, run.trigger.name, run.trigger.run_key) == ("sensor", "main/it", "a")
        assert it.bench.ledger() == ["x"]


class TestKeys:
    ONCE = one("return RunRequest('only_once', config('x'))")

    def test_a_key_is_run_once_and_the_next_tick_says_so(self, sensors):
        it = sensors(self.ONCE).look(61)
        assert it.outcomes("it") == ["SUCCESS", "SKIPPED"]
        assert it.ticks("it")[1].skip_reason == ("nothing new: 1 request with keys that were used already (only_once)")
        assert it.bench.ledger() == ["x"]

    def test_it_stays_used_after_a_new_life_and_can_be_made_usable_again(self, sensors):
        it = sensors(self.ONCE)
        it.__exit__()
        it.__enter__().look(61)
        assert it.outcomes("it") == ["SUCCESS", "SKIPPED"]
        it.free_key("it", "only_once")
        assert it.look(121).outcomes("it") == ["SUCCESS", "SKIPPED", "SUCCESS"]

    def test_two_sensors_do_not_share_their_keys(self, sensors):
        it = sensors(self.ONCE, one("return RunRequest('only_once')", name="other"))
        assert (it.outcomes("it"), it.outcomes("other")) == (["SUCCESS"], ["SUCCESS"])

    @pytest.mark.long
    def test_it_stays_used_when_its_run_is_run_again_or_deleted(self, sensors):
        it = sensors(self.ONCE)
        it.__exit__()
        it.bench("run", "--rerun", "last").ok()
        it.bench("runs", "delete", it.bench.json("runs", "list")[-1]["run_id"], "--yes").ok()
        it.__enter__().look(61)
        assert it.outcomes("it") == ["SUCCESS", "SKIPPED"]
        assert it.bench.ledger() == ["x", "x"]
        (again,) = it.runs()
        assert again.trigger.run_key is None

    def test_one_that_is_used_behind_the_daemons_back_is_not_run_and_costs_nobody_else_anything(self, sensors):
        """As when a commit succeeds without its acknowledgement: the batch is refused and decided again."""
        body = "return RunRequest('k', config({!r})) if Path('go').exists() else SkipReason('not yet')"
        it = sensors(one(body.format("x")), one(body.format("y"), name="other"))
        (it.bench.path / "go").touch()
        evaluations = it.daemon.evaluations
        judge = evaluations._judge

        def used_meanwhile(asked, requests):
            decision = judge(asked, requests)
            if asked.id == "main/it" and decision.fresh:
                it.store(use_key, "main/it", "k", "somebody")
            return decision

        evaluations._judge = used_meanwhile
        it.look(61)
        it.look(62)
        assert it.outcomes("it") == ["SKIPPED", "SKIPPED"]
        assert it.outcomes("other") == ["SKIPPED", "SUCCESS"]
        assert it.bench.ledger() == ["y"]
        assert "decided again" in (it.bench.state / "daemon.log").read_text()

    def test_config_that_does_not_fit_uses_up_no_key(self, sensors):
        it = sensors(one("return RunRequest('k', {'steps': {'noet': {}}})"))
        assert it.outcomes("it") == ["FAILURE"]
        it.edit(HEAD + one("return RunRequest('k', config('mended'))"), at="2019-02-28T00:10:00Z")
        it.at("2019-02-28T00:10:01Z")
        assert it.outcomes("it") == ["FAILURE", "SUCCESS"]
        assert it.bench.ledger() == ["mended"]

    def test_one_bad_request_among_good_ones_holds_back_all_of_them(self, sensors):
        it = sensors(one("yield RunRequest('good')\nyield RunRequest('bad', {'stpes': 1})"))
        assert it.runs() == []
        it.edit(HEAD + one("yield RunRequest('good')\nyield RunRequest('bad')"), at="2019-02-28T00:10:00Z")
        assert it.at("2019-02-28T00:10:01Z").ticks("it")[-1].run_keys == ("good", "bad")

    def test_thousands_of_requests_in_one_tick_are_queued_in_their_order(self, sensors):
        body = "for n in range(2000): yield RunRequest(f'{n:04}', config(str(n % 10)))"
        it = sensors(one(body, default_on=False))
        it.daemon.queue.is_paused = True
        it.turn_on("it").look(60).look(61, until=lambda: it.ticks("it"))
        it.daemon.queue.is_paused = False
        tick = it.ticks("it")[0]
        assert tick.run_keys == tuple(f"{n:04}" for n in range(2000))
        assert [run.run_id for run in it.runs()] == list(tick.run_ids)
        it.daemon.queue.is_paused = True
        it.look(122, until=lambda: len(it.ticks("it")) == 2)
        assert "2000 requests with keys that were used already" in it.ticks("it")[1].skip_reason


class TestCursor:
    COUNT = "n = int(context.cursor or 0) + 1\ncontext.update_cursor(str(n))\n"

    def test_it_goes_on_from_look_to_look_and_from_life_to_life(self, sensors):
        it = sensors(one(self.COUNT)).look(61)
        it.__exit__()
        it.__enter__().look(121)
        assert [tick.cursor for tick in it.ticks("it")] == ["1", "2", "3"]

    @pytest.mark.parametrize(
        "failing",
        ["raise ValueError", "os._exit(1)", "return 5", "return RunRequest('a', {'stpes': 1})", "yield SkipReason(5)"],
    )
    def test_an_evaluation_that_fails_does_not_move_it(self, sensors, failing):
        it = sensors(one(f"{self.COUNT}if n == 2 and not os.path.exists('calm'): {failing}"))
        it.look(61)
        assert it.outcomes("it")[-1] == "FAILURE"
        assert it.one("it").cursor == "1"
        (it.bench.path / "calm").touch()
        it.look(61 + 120)
        assert it.one("it").cursor == "2"

    def test_it_can_be_set_and_cleared(self, sensors):
        it = sensors(one(self.COUNT))
        it.set_cursor("it", "41")
        assert it.look(61).one("it").cursor == "42"
        it.set_cursor("it", None)
        assert it.look(121).one("it").cursor == "1"

    def test_one_that_is_set_while_the_sensor_is_asked_wins(self, sensors):
        wait = "open('asked', 'w').close()\nwhile not os.path.exists('answer'): time.sleep(0.01)\n"
        it = sensors(one(wait + self.COUNT, default_on=False))
        it.turn_on("it").look(60).look(61, until=(it.bench.path / "asked").exists)
        it.set_cursor("it", "41")
        (it.bench.path / "answer").touch()
        it.look(61)
        assert it.one("it").cursor == "41"
        assert it.look(122).one("it").cursor == "42"

    def test_the_sensor_is_told_when_it_ticked_last_and_its_last_key(self, sensors):
        it = sensors(one("print(context.name, context.last_run_key, context.last_tick_at)\nreturn RunRequest('a')"))
        it.look(61)
        assert [tick.output.split()[:3] for tick in it.ticks("it")] == [
            ["it", "None", "None"],
            ["it", "a", "2019-02-27"],
        ]


class TestPace:
    def test_an_interval_is_kept_whatever_came_of_the_last_look_and_across_off_and_on(self, sensors):
        it = sensors(one("return None", interval=60))
        assert it.look(60).outcomes("it") == ["SKIPPED"]
        assert it.look(61).outcomes("it") == ["SKIPPED"] * 2
        it.turn_off("it").look(70)
        assert it.upcoming("it") is None
        it.turn_on("it").look(75)
        assert it.outcomes("it") == ["SKIPPED"] * 2
        assert it.look(122).outcomes("it") == ["SKIPPED"] * 3

    def test_one_that_fails_is_asked_ever_less_often_until_it_succeeds(self, sensors):
        it = sensors(one("if not os.path.exists('calm'): raise ValueError", interval=60))
        last, pauses = START + timedelta(seconds=1), []
        for _ in range(5):
            it.at(it.upcoming("it").isoformat())
            pauses.append(round((it.ticks("it")[-1].at - last).total_seconds()))
            last = it.ticks("it")[-1].at
        assert pauses == [120, 240, 480, 600, 600]
        assert it.one("it").failures == 6
        (it.bench.path / "calm").touch()
        it.at(it.upcoming("it").isoformat())
        assert it.one("it").failures == 0
        assert round((it.upcoming("it") - it.ticks("it")[-1].at).total_seconds()) == 60

    def test_turning_it_off_and_on_forgets_its_failures(self, sensors):
        it = sensors(one("raise ValueError")).look(121).look(361)
        assert it.one("it").failures == 3
        it.turn_off("it").turn_on("it").look(425)
        assert len(it.ticks("it")) == 4

    def test_an_edited_interval_counts_at_once(self, sensors):
        it = sensors(one("return None", interval=3600))
        it.edit(HEAD + one("return None", interval=10), at="2019-02-27T23:59:20Z")
        it.at("2019-02-27T23:59:21Z")
        assert len(it.ticks("it")) == 2


class TestIsolation:
    def test_one_that_hangs_is_killed_with_what_it_started_and_the_others_go_on_meanwhile(self, sensors):
        hang = "import subprocess\nopen('child', 'w').write(str(subprocess.Popen(['sleep', '99']).pid))\ntime.sleep(99)"
        it = sensors(
            one(hang, name="hangs", timeout=1, default_on=False), one("return RunRequest()", name="steady", interval=1)
        )
        it.turn_on("hangs").look(2)
        for second in (3, 5, 7):
            it.look(second, until=lambda second=second: len(it.ticks("steady")) == (second + 1) / 2)
        assert it.outcomes("hangs") == []
        it.look(7)
        assert it.ticks("hangs")[0].error == "It timed out after 1.00s, and was ended."
        child = int((it.bench.path / "child").read_text())
        it.bench.wait_until(lambda: not is_alive(child), "the end of what it started")

    def test_one_that_dies_at_every_look_leaves_the_others_alone(self, sensors):
        it = sensors(one("os._exit(9)", name="dies"), one("return RunRequest()", name="steady"))
        it.look(61).look(121)
        assert it.outcomes("steady") == ["SUCCESS"] * 3
        assert it.outcomes("dies") == ["FAILURE"] * 2

    @pytest.mark.long
    def test_a_location_that_breaks_stops_only_its_own_sensors(self, bench, ticking):
        bench.settings("locations: [{name: main, file: pipelines.py}, {name: other, file: other.py}]")
        bench.write(HEAD + one("return RunRequest()"))
        bench.write(HEAD + one("return RunRequest()"), file="other.py")
        with ticking:
            ticking.at("2019-02-27T00:00:00Z").at("2019-02-27T00:00:01Z")
            bench.write("import nothing_that_exists", file="other.py")
            ticking.daemon.locations.reload()
            ticking.at("2019-02-27T00:10:00Z").at("2019-02-27T00:10:01Z")
            assert len(ticking.ticks("it")) == 2
            assert len(ticking.ticks("it", location="other")) == 1
            bench.write(HEAD + one("return RunRequest()"), file="other.py")
            ticking.daemon.locations.reload()
            ticking.at("2019-02-27T00:20:00Z").at("2019-02-27T00:20:01Z")
            assert len(ticking.ticks("it", location="other")) == 2
