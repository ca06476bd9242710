"""An alert that fails is tried again until it gets through: whatever failed, and whatever happens meanwhile."""

from datetime import datetime, timedelta

import pytest

from orchestrator.catalog.deliveries import list_deliveries
from orchestrator.engine.deliveries import MOST_ATTEMPTS

from .test_run_status_sensors import HEAD, Runs, alert

# Fails about the runs named in the file `down`, in the way that the first word of the file says.
UNRELIABLE = """
with open("calls", "a") as calls:
    calls.write(f"{run.tags['name']} {context.attempt} {context.delivery_key}\\n")
how, *names = open("down").read().split() if os.path.exists("down") else [""]
if run.tags["name"] in names:
    if how == "raise":
        raise ConnectionError("no mail")
    if how == "die":
        os._exit(3)
    time.sleep(60)
tell(context, run)"""


class Alerts(Runs):
    def fail(self, how, *names):
        (self.bench.path / "down").write_text(" ".join((how, *names)))
        return self

    def recover(self):
        (self.bench.path / "down").unlink()
        return self

    def after(self, seconds):
        """The clock goes on by that much."""
        self.ticking.at((self.ticking.now + timedelta(seconds=seconds)).isoformat())
        return self

    def calls(self, name):
        """(attempt, key) of each call about that run."""
        lines = [line.split() for line in (self.bench.path / "calls").read_text().splitlines()]
        return [(int(attempt), key) for run, attempt, key in lines if run == name]

    @property
    def undelivered(self):
        return [(one.run.tags["name"], one.attempts, str(one.status)) for one in self.store(list_deliveries)]


@pytest.fixture
def alerts(bench, ticking):
    made = Alerts(bench, ticking)
    yield made
    if ticking.daemon is not None:
        ticking.__exit__()


@pytest.mark.parametrize(
    ("how", "error"),
    [("raise", "ConnectionError: no mail"), ("die", "exit code 3"), ("hang", "It timed out after 0.50s")],
)
@pytest.mark.sample(1)
def test_whatever_failed_it_is_tried_again_and_the_others_are_not_held_up(alerts, how, error):
    alerts.begin(alert(UNRELIABLE, timeout=0.5)).fail(how, "b")
    alerts.end("bad-a", "bad-b", "bad-c")
    assert alerts.told == ["alert:a:FAILURE", "alert:c:FAILURE"]
    assert alerts.undelivered == [("b", 1, "PENDING")]
    (failed,) = [tick for tick in alerts.ticks("alert") if tick.status == "FAILURE"]
    assert error in failed.error
    assert failed.about_run == next(run.run_id for run in alerts.runs() if run.tags.get("name") == "b")
    alerts.end("bad-d")  # an hour later
    assert alerts.told[-1] == "alert:d:FAILURE"
    alerts.recover().after(20)
    assert alerts.told[1] == "alert:b:FAILURE"
    assert alerts.undelivered == []
    assert [attempt for attempt, _ in alerts.calls("b")] == [1, 2, 3]
    assert len({key for _, key in alerts.calls("b")}) == 1
    assert len(alerts.calls("a")) == len(alerts.calls("c")) == 1


def test_pauses_grow_and_nothing_is_tried_between(alerts):
    alerts.begin(alert(UNRELIABLE)).fail("raise", "a").end("bad-a")
    for pause, attempt in ((10, 2), (20, 3), (40, 4)):
        alerts.after(pause - 1)
        assert len(alerts.calls("a")) == attempt - 1
        alerts.after(1)
        assert [attempt for attempt, _ in alerts.calls("a")] == list(range(1, attempt + 1))


def test_the_same_files_loaded_again_because_they_were_saved_while_loading_hurry_nothing(alerts):
    alerts.begin(alert(UNRELIABLE)).fail("raise", "a").end("bad-a")
    locations = alerts.ticking.daemon.locations
    location = locations.all["main"]
    before, location.doubted = location.loaded_at, location.files
    locations.reload()
    alerts.after(1)
    assert location.loaded_at != before
    assert len(alerts.calls("a")) == 1


def test_two_alerts_of_which_one_fails(alerts):
    alerts.begin(alert(UNRELIABLE), alert(name="other")).fail("raise", "a", "b").end("bad-a", "bad-b")
    assert alerts.told == ["other:a:FAILURE", "other:b:FAILURE"]
    alerts.recover().after(10)
    assert alerts.told == ["alert:a:FAILURE", "alert:b:FAILURE", "other:a:FAILURE", "other:b:FAILURE"]


def test_it_survives_the_daemon_the_deletion_of_its_run_and_a_clock_that_is_set_back(alerts):
    alerts.begin(alert(UNRELIABLE)).fail("raise", "a").end("bad-a")
    key = alerts.calls("a")[0][1]
    alerts.ticking.__exit__()
    run = next(run for run in alerts.bench.json("runs", "list") if run["tags"].get("name") == "a")
    alerts.bench.here("runs", "delete", run["run_id"], "--yes").ok()
    alerts.ticking.now = datetime.fromisoformat("2017-01-01T00:00:00Z")
    alerts.recover().ticking.__enter__()
    alerts.after(0).after(11)
    assert alerts.told == ["alert:a:FAILURE"]
    assert alerts.calls("a") == [(1, key), (2, key)]


@pytest.mark.long
def test_eighty_runs_fail_while_it_is_down_and_each_is_delivered_once_it_is_up(alerts):
    names = [f"r{number:02}" for number in range(80)]
    alerts.begin(alert(UNRELIABLE)).fail("raise", *names).end(*(f"bad-{name}" for name in names))
    assert len(alerts.undelivered) == 80
    assert alerts.told == []
    alerts.recover().after(10)
    assert alerts.told == [f"alert:{name}:FAILURE" for name in names]
    assert {tuple(attempt for attempt, _ in alerts.calls(name)) for name in names} == {(1, 2)}
    assert all(len({key for _, key in alerts.calls(name)}) == 1 for name in names)
    assert alerts.undelivered == []


def test_when_one_gets_through_after_an_outage_the_others_do_not_wait_for_their_turn(alerts):
    alerts.begin(alert(UNRELIABLE)).fail("raise", "a", "b").end("bad-a")
    for pause in (10, 20, 40, 80, 160, 320):
        alerts.after(pause)
    alerts.end("bad-b").recover()  # a is due in a quarter of an hour, b in seconds
    alerts.after(61)
    assert alerts.told == ["alert:a:FAILURE", "alert:b:FAILURE"]


def test_one_that_fails_for_a_reason_of_its_own_is_not_tried_after_every_success(alerts):
    alerts.begin(alert(UNRELIABLE)).fail("raise", "a", "b", "c", "d").end("bad-a", "bad-b", "bad-c", "bad-d")
    alerts.fail("raise", "b").after(10)
    assert alerts.told == ["alert:a:FAILURE", "alert:c:FAILURE", "alert:d:FAILURE"]
    assert [attempt for attempt, _ in alerts.calls("b")] == [1, 2]


def test_new_code_is_tried_at_once(alerts):
    broken = HEAD + alert("raise ValueError('a mistake')")
    alerts.bench.write(broken)
    alerts.ticking.__enter__()
    alerts.go_on().end("bad-a")
    for pause in (10, 20, 40, 80, 160, 320):
        alerts.after(pause)
    assert alerts.undelivered == [("a", 7, "PENDING")]
    alerts.ticking.edit(HEAD + alert(), (alerts.now + timedelta(seconds=2)).isoformat())
    alerts.after(1)
    assert alerts.told == ["alert:a:FAILURE"]


def test_it_is_given_up_after_three_days_and_said_so(alerts):
    alerts.begin(alert(UNRELIABLE)).fail("raise", "a").end("bad-a")
    one = next(iter(alerts.daemon.registry.undelivered["main/alert"].values()))
    import msgspec

    last = msgspec.structs.replace(one, attempts=MOST_ATTEMPTS - 1)
    alerts.daemon.registry.undelivered["main/alert"][one.key] = last
    alerts.after(10)
    assert alerts.undelivered == [("a", MOST_ATTEMPTS, "FAILED")]
    alerts.recover().after(86400)
    assert alerts.told == []
    assert "alert given up" in (alerts.bench.state / "daemon.log").read_text()


def test_one_that_is_turned_off_and_on_again_goes_on(alerts):
    alerts.begin(alert(UNRELIABLE)).fail("raise", "a").end("bad-a").turn_off("alert")
    alerts.recover().after(3600)
    assert alerts.told == []
    alerts.turn_on("alert")
    alerts.after(1)
    assert alerts.told == ["alert:a:FAILURE"]


def test_the_log_says_what_failed_when_it_is_tried_again_and_that_it_got_through(alerts):
    alerts.begin(alert(UNRELIABLE)).fail("raise", "a").end("bad-a").recover().after(10)
    lines = (alerts.bench.state / "daemon.log").read_text().splitlines()
    failed = next(line for line in lines if " alert failed" in line)
    assert "error   alert failed sensor=main/alert run=" in failed
    assert " pipeline=working attempt=1 next_try_at=" in failed
    delivered = next(line for line in lines if " alert delivered" in line)
    assert "info    alert delivered sensor=main/alert" in delivered
    assert delivered.endswith(" pipeline=working attempt=2")


def test_what_it_asks_for_is_run_once_however_often_it_is_tried(alerts):
    body = UNRELIABLE + "\nreturn RunRequest(run.run_id, tags={'name': 'cleanup'})"
    alerts.begin(alert(body, pipeline="cleaning", pipelines=["working"])).fail("raise", "a").end("bad-a")
    alerts.recover().after(10)
    assert [run.pipeline for run in alerts.runs()] == ["working", "cleaning"]
