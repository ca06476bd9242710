"""Alerts: each end of a run is told once, whatever the reaction to another one does."""

import pytest

HEAD = """
    import os
    import time
    from dataclasses import dataclass
    from orchestrator import RunRequest, SkipReason, pipeline, run_status_sensor, schedule, sensor, step

    @dataclass
    class What:
        what: str = "good"

    @step
    def work(config: What) -> None:
        if config.what == "bad":
            raise ValueError("it is bad")

    @pipeline(tags={"team": "sales"})
    def working():
        work()

    @step
    def nothing() -> None: ...

    @pipeline
    def cleaning():
        nothing()

    def tell(context, run):
        with open("ledger", "a") as ledger:
            ledger.write(f"{context.name}:{run.tags['name']}:{run.status}\\n")

    @sensor(pipeline=working, interval=1, default_on=True)
    def starts(context):
        for name in sorted(os.listdir(".")):
            if name.startswith("start-"):
                kind, name = name.removeprefix("start-").split("-")
                tags = {"name": name}
                yield RunRequest(name, {"steps": {"work": {"config": {"what": kind}}}}, tags=tags)
"""


def alert(body="tell(context, run)", name="alert", status="FAILURE", **options):
    given = "".join(f", {key}={value!r}" for key, value in {"default_on": True, "interval": 3600, **options}.items())
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    return f"\n    @run_status_sensor(status={status!r}{given})\n    def {name}(context, run):\n{lines}"


class Runs:
    """A daemon's life in which runs end well or badly when the test says so."""

    def __init__(self, bench, ticking):
        self.bench, self.ticking = bench, ticking
        self.minute = 0

    def begin(self, *definitions):
        self.bench.write(HEAD + "".join(definitions))
        self.ticking.__enter__()
        return self.go_on()

    def go_on(self):
        self.minute += 1
        self.ticking.at(f"2019-02-27T{self.minute:02}:00:00Z").at(f"2019-02-27T{self.minute:02}:00:01Z")
        return self

    def end(self, *names):
        """Has runs end: each name is kind-name, kind good or bad."""
        for name in names:
            (self.bench.path / f"start-{name}").touch()
        return self.go_on()

    @property
    def told(self):
        return sorted(self.bench.ledger())

    def __getattr__(self, name):
        return getattr(self.ticking, name)


@pytest.fixture
def runs(bench, ticking):
    made = Runs(bench, ticking)
    yield made
    if ticking.daemon is not None:
        ticking.__exit__()


def test_each_failure_is_told_once_and_at_once(runs):
    runs.begin(alert()).end("bad-a", "good-b", "bad-c").go_on()
    assert runs.told == ["alert:a:FAILURE", "alert:c:FAILURE"]
    runs.end("bad-d").go_on()
    assert runs.told == ["alert:a:FAILURE", "alert:c:FAILURE", "alert:d:FAILURE"]


def test_each_alert_has_a_tick_that_says_of_which_run(runs):
    runs.begin(alert()).end("bad-a")
    tick = runs.ticks("alert")[-1]
    run = next(run for run in runs.runs() if run.tags.get("name") == "a")
    assert (str(tick.status), tick.run_ids) == ("SUCCESS", ())
    assert (tick.about_run, tick.output) == (run.run_id, None)


def test_what_it_is_told_of_a_run(runs):
    body = "print(run.pipeline, run.mode, run.status, run.tags['team'], run.failed_steps, run.finished_at.year)"
    runs.begin(alert(body)).end("bad-a")
    assert "working default FAILURE sales {'work': 'ValueError: it is bad'} 2019" in runs.ticks("alert")[-1].output


def test_what_it_is_told_of_why_a_run_existed(runs):
    runs.begin(alert("print(run.trigger.kind, run.trigger.name, run.trigger.run_key)")).end("bad-a")
    assert "sensor main/starts a" in runs.ticks("alert")[-1].output


def test_one_for_each_way_to_end(runs):
    both = alert(name="both", status=["SUCCESS", "FAILURE"])
    runs.begin(alert(), alert(name="cheer", status="SUCCESS"), both).end("bad-a", "good-b")
    assert runs.told == ["alert:a:FAILURE", "both:a:FAILURE", "both:b:SUCCESS", "cheer:b:SUCCESS"]


def test_a_run_that_is_canceled(runs):
    holds = """
    @step
    def hold() -> None:
        time.sleep(60)

    @pipeline
    def holding():
        hold()

    @sensor(pipeline=holding, interval=1, default_on=True)
    def asks(context):
        return RunRequest("h", tags={"name": "h"})
"""
    runs.bench.write(HEAD + holds + alert(status="CANCELED"))
    runs.ticking.__enter__()
    runs.at("2019-02-27T00:00:00Z").at("2019-02-27T00:00:01Z", until=lambda: list(runs.daemon.runs.active))
    runs.daemon.cancel(next(iter(runs.daemon.runs.active)), "a test")
    runs.at("2019-02-27T00:01:00Z")
    assert runs.told == ["alert:h:CANCELED"]


def test_only_of_some_pipelines(runs):
    runs.begin(alert(pipelines=["cleaning"])).end("bad-a")
    assert runs.told == []


@pytest.mark.parametrize(("start", "told"), [("now", []), ("beginning", ["alert:a:FAILURE"])])
def test_what_ended_before_it_was_turned_on(runs, start, told):
    runs.begin(alert(start=start, default_on=False)).end("bad-a").turn_on("alert")
    runs.go_on()
    assert runs.told == told


def test_a_reaction_may_ask_for_a_run_and_is_not_told_of_that_one(runs):
    body = "tell(context, run)\nreturn RunRequest(run.run_id, tags={'name': 'cleanup'})"
    runs.begin(alert(body, status="SUCCESS", pipeline="cleaning")).end("good-a").go_on().go_on()
    assert runs.told == ["alert:a:SUCCESS"]
    assert [run.pipeline for run in runs.runs()] == ["working", "cleaning"]


def test_one_alert_is_told_of_runs_that_another_has_asked_for(runs):
    asks = "return RunRequest(run.run_id, tags={'name': 'cleanup'})"
    asking = alert(asks, name="asking", status="SUCCESS", pipeline="cleaning", pipelines=["working"])
    runs.begin(asking, alert(status="SUCCESS")).end("good-a").go_on()
    assert runs.told == ["alert:a:SUCCESS", "alert:cleanup:SUCCESS"]


def test_alerts_that_react_to_each_other_come_to_an_end(runs):
    asks = "tell(context, run)\nreturn RunRequest(run.run_id, tags={'name': context.name})"
    both = [alert(asks, name=name, status="SUCCESS", pipeline="cleaning") for name in ("one", "two")]
    runs.begin(*both).end("good-a").go_on().go_on().go_on()
    assert runs.told == ["one:a:SUCCESS", "one:two:SUCCESS", "two:a:SUCCESS", "two:one:SUCCESS"]
    led_to_by = sorted(run.tags.get("orchestrator/alerts", "") for run in runs.runs())
    assert led_to_by == ["", "main/one", "main/one main/two", "main/two", "main/two main/one"]
    last = next(run for run in runs.runs() if run.tags.get("orchestrator/alerts") == "main/one main/two")
    runs.ticking.__exit__()
    shown = runs.bench("runs", "show", last.run_id).ok().out
    assert "  alerts  not told to main/one, main/two, which led to it\n" in shown


def test_a_run_that_a_person_repeats_is_told_to_the_alert_that_asked_for_it_first(runs):
    body = "tell(context, run)\nreturn RunRequest(run.run_id, tags={'name': 'cleanup'})"
    runs.begin(alert(body, status="SUCCESS", pipeline="cleaning")).end("good-a").go_on()
    runs.ticking.__exit__()
    runs.bench("run", "--rerun", "last").ok()
    runs.ticking.__enter__()
    runs.go_on().go_on()
    assert runs.told == ["alert:a:SUCCESS", "alert:cleanup:SUCCESS"]


def test_one_that_wants_nothing_this_time_says_so(runs):
    runs.begin(alert("return SkipReason('it is night')")).end("bad-a")
    tick = runs.ticks("alert")[-1]
    assert (str(tick.status), tick.skip_reason) == ("SKIPPED", "it is night")


def test_ends_while_no_daemon_was_there_are_told_by_the_next_one(runs):
    runs.begin(alert())
    runs.ticking.__exit__()
    failed = runs.bench("run", "working", "--set", "steps.work.config.what=bad", "--tag", "name=by_hand")
    assert failed.code == 1
    runs.ticking.__enter__()
    runs.go_on().go_on()
    assert runs.told == ["alert:by_hand:FAILURE"]
