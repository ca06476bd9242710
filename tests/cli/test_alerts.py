"""Failed alerts as somebody sees and handles them, and the daemon that retries them."""

import signal

import pytest

from tests.daemon.conftest import DaemonBench

PIPELINES = """
    import os
    from orchestrator import asset_sensor, pipeline, run_status_sensor, schedule, sensor, step

    @step
    def work() -> None:
        raise ValueError("no rows")

    @pipeline
    def people():
        work()

    @run_status_sensor(status="FAILURE", start="beginning", default_on=True, interval=0.2)
    def alert(context, run):
        print("mailing about", run.run_id)
        with open("calls", "a") as calls:
            calls.write(f"{run.run_id} {context.attempt} {context.delivery_key}\\n")
        if os.path.exists("down"):
            raise ConnectionError("no mail")

    @schedule(cron="0 0 1 1 *", pipeline=people)
    def yearly(context):
        context.log.info("asked for %s", context.scheduled_at.year)
        return {}
"""
OTHER_NAME = PIPELINES.replace("def alert(", "def alarm(")


class Alerts:
    def __init__(self, bench):
        self.bench = bench.write(PIPELINES)

    def fail(self):
        """A run fails while the mail server is down; its id."""
        (self.bench.path / "down").touch()
        assert self.bench("run", "people").code == 1
        self.bench("daemon", "tick").ok()
        return self.bench.json("runs", "list", "--limit", "1")[0]["run_id"]

    def recover(self):
        (self.bench.path / "down").unlink()

    def calls(self):
        return [line.split() for line in (self.bench.path / "calls").read_text().splitlines()]

    def problems(self):
        return {problem["kind"]: problem for problem in self.bench.json("status")["problems"]}

    def __call__(self, *arguments):
        return self.bench.here("sensor", *arguments)


@pytest.fixture
def alerts(bench):
    return Alerts(bench)


@pytest.mark.long
def test_it_is_a_problem_until_it_got_through(alerts):
    run = alerts.fail()
    problem = alerts.problems()["alert"]
    assert problem["subject"] == "main/alert"
    assert "an alert of main/alert could not be delivered, for " in problem["sentence"]
    assert "ConnectionError: no mail" in problem["sentence"]
    assert alerts.bench.here("status").code == 1
    (listed,) = alerts.bench.json("sensor", "deliveries", "alert")
    assert (listed["run_id"], listed["status"], listed["attempts"]) == (run, "PENDING", 1)
    assert listed["delivery_key"] == alerts.calls()[0][2]
    shown = alerts("deliveries").ok().out
    assert run in shown
    assert "ConnectionError: no mail" in shown
    alerts.recover()
    assert "1 alert of main/alert: tried again now." in alerts("retry", "alert", run[:6]).ok().out
    alerts.bench("daemon", "tick").ok()
    assert "alert" not in alerts.problems()
    assert [call[:2] for call in alerts.calls()] == [[run, "1"], [run, "2"]]
    assert alerts.calls()[0][2] == alerts.calls()[1][2]
    assert "No failed alerts." in alerts("deliveries").ok().err


@pytest.mark.long
def test_it_can_be_acknowledged_one_by_one_or_all(alerts):
    first, second, _ = alerts.fail(), alerts.fail(), alerts.fail()
    assert "main/alert: acknowledged" in alerts("acknowledge", "alert", first).ok().out
    assert {one["run_id"] for one in alerts.bench.json("sensor", "deliveries")} == {second, _}
    unknown = alerts("acknowledge", "alert", first)
    assert (unknown.code, "no failed alert about a run" in unknown.err) == (4, True)
    assert "2 alerts of main/alert: acknowledged" in alerts("acknowledge", "main/alert").ok().out
    assert "main/alert has no failed alerts." in alerts("acknowledge", "alert").ok().err
    assert "alert" not in alerts.problems()
    ticks = alerts.bench.json("sensor", "ticks", "alert", "--status", "SKIPPED")
    dismissed = [tick["about_run"] for tick in ticks if tick["skip_reason"] == "acknowledged, and not delivered"]
    assert dismissed[-1] == first


@pytest.mark.long
def test_what_it_printed_is_shown_whether_it_failed_or_not(alerts):
    run = alerts.fail()
    alerts.recover()
    alerts("retry", "alert").ok()
    alerts.bench("daemon", "tick").ok()
    out = alerts("logs", "alert").ok().out
    assert out.count(f"    mailing about {run}\n") == 2
    assert "    ConnectionError: no mail\n" in out
    failed, delivered = alerts.bench.json("sensor", "logs")
    assert (failed["status"], delivered["status"]) == ("FAILURE", "SUCCESS")
    assert delivered["output"] == f"mailing about {run}\n"
    one = alerts("logs", "--tick", delivered["tick_id"]).ok().out
    assert one.count("mailing") == 1
    assert alerts("logs", "--tick", "000000000000").code == 4
    assert alerts("logs", "--limit", "1").ok().out.count("mailing") == 1
    assert "Nothing was printed yet." in alerts.bench.here("schedule", "logs").ok().err


@pytest.mark.long
def test_one_that_is_renamed_is_delivered_under_its_new_name(alerts):
    run = alerts.fail()
    alerts.bench.write(OTHER_NAME)
    alerts.bench("daemon", "tick").ok()
    (listed,) = alerts.bench.json("sensor", "deliveries")
    assert (listed["sensor"], listed["delivery_key"]) == ("main/alarm", alerts.calls()[0][2])
    alerts.recover()
    alerts("retry", "alarm").ok()
    alerts.bench("daemon", "tick").ok()
    assert {(about, key) for about, _, key in alerts.calls()} == {(run, listed["delivery_key"])}
    assert alerts.bench.json("sensor", "deliveries") == []


def test_a_schedule_that_is_renamed_stays_a_problem_until_somebody_decides(alerts):
    alerts.bench.here("schedule", "start", "yearly").ok()
    alerts.bench.write(PIPELINES.replace("def yearly(", "def annual("))
    problem = alerts.problems()["renamed"]
    assert "main/annual is new, off, and has the same pipeline and cron" in problem["sentence"]
    assert problem["hint"].startswith("`orchestrator schedule start main/annual`")
    forgotten = alerts.bench.here("schedule", "forget", "yearly").ok()
    assert "main/annual is off and has the same pipeline and cron." in forgotten.err
    assert "main/annual is off and" in alerts.problems()["renamed"]["sentence"]
    alerts.bench.here("schedule", "stop", "annual").ok()
    assert "renamed" not in alerts.problems()


@pytest.mark.long
def test_a_failed_run_is_acknowledged_and_one_that_did_not_fail_is_not(alerts):
    run = alerts.fail()
    assert alerts.problems()["failed_run"]["subject"] == "people"
    alerts.bench.here("runs", "acknowledge", "last", "--note", "the supplier sent no file").ok()
    assert "failed_run" not in alerts.problems()
    assert "the supplier sent no file" in alerts.bench.here("runs", "show", run).ok().out
    assert alerts.bench.json("runs", "show", run)["acknowledged"]["note"] == "the supplier sent no file"
    alerts.bench.write(PIPELINES.replace('raise ValueError("no rows")', "return None"))
    alerts.bench("run", "people").ok()
    refused = alerts.bench.here("runs", "acknowledge", "last")
    assert (refused.code, "has not failed: SUCCESS" in refused.err) == (4, True)


@pytest.mark.long
def test_a_daemon_that_is_killed_between_two_attempts_loses_none(bench):
    alerts = Alerts(bench)
    daemon = DaemonBench(bench)
    (bench.path / "down").touch()
    runs = []
    for _ in range(2):
        assert bench("run", "people").code == 1
        runs.append(bench.json("runs", "list", "--limit", "1")[0]["run_id"])
    for _ in range(2):
        daemon.start()
        bench.wait_until(lambda: len(bench.json("sensor", "deliveries")) == 2, "both alerts to fail")
        daemon.process.send_signal(signal.SIGKILL)
        daemon.process.wait()
    alerts.recover()
    alerts("retry", "alert").ok()
    daemon.start()
    bench.wait_until(lambda: bench.json("sensor", "deliveries") == [], "both alerts to get through")
    daemon.stop()
    for run in runs:
        assert len({key for about, _, key in alerts.calls() if about == run}) == 1
        assert max(int(attempt) for about, attempt, _ in alerts.calls() if about == run) >= 2
