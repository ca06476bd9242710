"""`overlap` and runs that the daemon does not drive, and a queue under a flood: with real processes where a process is
what matters.
"""

import signal

import pytest
from msgspec.structs import replace

from orchestrator.catalog.automations import save_automations
from orchestrator.catalog.session import open_store
from orchestrator.state_dir import StateDir
from tests.daemon.held import HELD, begun, ended, enqueue, go, statuses

SCHEDULES = (
    HELD
    + """
    from orchestrator import schedule

    def config(what):
        return {"steps": {"hold": {"config": {"what": what}}}}

    @schedule(cron="* * * * *", pipeline=held, overlap="skip")
    def skipping(context):
        return config("scheduled")

    @schedule(cron="* * * * *", pipeline=held, overlap="buffer_one")
    def buffering(context):
        return config("scheduled")

    @schedule(cron="* * * * *", pipeline=held, overlap="cancel_other")
    def canceling(context):
        return config("scheduled")
"""
)


@pytest.fixture
def scheduled(bench, daemon):
    """A workspace with a schedule that has one occurrence due, and a foreground run of its pipeline that goes on."""
    bench.write(SCHEDULES)
    bench.here("schedule", "list").ok()

    def begin(name, *foreground):
        bench.here("schedule", "start", name).ok()
        one = daemon.automations()[name]
        due_at = one.since.replace(second=0, microsecond=0)
        with open_store(StateDir(bench.state)) as store:
            store(save_automations, [replace(one, since=due_at, since_inclusive=True)])
        before = len(begun(bench))
        process = bench.start("run", *foreground, to=bench.path / "mine.out")
        bench.wait_until(lambda: len(begun(bench)) > before, "the foreground run")
        daemon.start(to=bench.path / "daemon.out")
        return process

    yield begin
    if daemon.process is not None:
        daemon.kill()


POINTS = ("cancel.dequeuing", "cancel.dequeued")
BY_HAND = ["held", "--set", "steps.hold.config.what=mine"]


def ticks(bench, name):
    return [(one["status"], one["skip_reason"]) for one in bench.json("schedule", "ticks", name)]


def test_skip_does_not_run_beside_a_foreground_run_of_its_pipeline(bench, scheduled):
    process = scheduled("skipping", *BY_HAND)
    skipped = ("SKIPPED", "a run that was started by hand has not finished (overlap=skip)")
    bench.wait_until(lambda: skipped in ticks(bench, "skipping"), "the tick")
    assert begun(bench) == ["mine"]
    go(bench)
    assert process.wait(timeout=30) == 0


@pytest.mark.long
def test_skip_counts_the_rerun_of_one_of_its_runs(bench, daemon, scheduled):
    (bench.path / "go-mine").touch()
    first = scheduled("skipping", *BY_HAND)
    assert first.wait(timeout=30) == 0
    (bench.path / "go-scheduled").touch()
    bench.wait_until(lambda: SCHEDULED in finished(bench), "a run of the schedule itself")
    daemon.stop()
    (bench.path / "go-scheduled").unlink()
    own = finished(bench)[SCHEDULED]
    known = {one["tick_id"] for one in bench.json("schedule", "ticks", "skipping")}
    process = scheduled("skipping", "--rerun", own)
    bench.wait_until(lambda: {one["tick_id"] for one in reasons(bench)} - known, "a new skipped tick")
    assert [run["trigger"]["kind"] for run in bench.json("runs", "list") if run["status"] == "STARTED"] == ["rerun"]
    go(bench)
    assert process.wait(timeout=30) == 0


SCHEDULED = ("schedule", "main/skipping")


def finished(bench):
    """The runs that succeeded, by what asked for them."""
    runs = [run for run in bench.json("runs", "list") if run["status"] == "SUCCESS"]
    return {(run["trigger"]["kind"], run["trigger"]["name"]): run["run_id"] for run in runs}


def reasons(bench):
    """The ticks that were skipped because of a run that a person started."""
    ticks = bench.json("schedule", "ticks", "skipping")
    return [one for one in ticks if "started by hand has not finished" in (one["skip_reason"] or "")]


def test_a_buffered_run_waits_in_the_queue_for_a_foreground_run(bench, scheduled):
    process = scheduled("buffering", *BY_HAND)
    bench.wait_until(lambda: "QUEUED" in statuses(bench).values(), "a queued run")
    queued = next(run for run, status in statuses(bench).items() if status == "QUEUED")
    reason = "which was started by hand, is not over yet"
    bench.wait_until(lambda: reason in bench.json("runs", "show", queued)["waits_for"], "the reason")
    assert begun(bench) == ["mine"]
    go(bench)
    assert process.wait(timeout=30) == 0
    bench.wait_until(lambda: "scheduled" in ended(bench), "the scheduled run")
    assert begun(bench)[:2] == ended(bench)[:2] == ["mine", "scheduled"]


@pytest.mark.long
def test_cancel_other_cancels_a_foreground_run_and_starts_only_when_it_has_ended(bench, scheduled):
    process = scheduled("canceling", *BY_HAND)
    assert process.wait(timeout=30) == 130
    assert "schedule main/canceling" in (bench.path / "mine.out").read_text()
    bench.wait_until(lambda: "scheduled" in begun(bench), "the scheduled run")
    go(bench)
    bench.wait_until(lambda: "scheduled" in ended(bench), "its end")
    events = bench.json("sql", "SELECT occurred_at, event FROM events WHERE event IN ('run_started', 'run_finished')")
    kinds = [event["event"] for event in sorted(events, key=lambda event: event["occurred_at"])]
    assert kinds[:3] == ["run_started", "run_finished", "run_started"], "never two at once"


@pytest.mark.long
@pytest.mark.parametrize("point", ["queue.admitted", "queue.taking", "queue.taken", "queue.created"])
def test_a_run_canceled_after_the_daemon_died_taking_it_never_begins(bench, daemon, point):
    bench.write(HELD)
    (run,) = enqueue(bench, "a")
    daemon.start(to=bench.path / "daemon.out", ORCHESTRATOR_CRASH_AT=f"{point}@{bench.path}/reached")
    assert daemon.process.wait(timeout=30) == -signal.SIGKILL
    bench("runs", "cancel", run).ok()
    assert statuses(bench)[run] == "CANCELED"
    daemon.start(to=bench.path / "daemon.out")
    (later,) = enqueue(bench, "later")
    go(bench)
    daemon.until(lambda: statuses(bench)[later] == "SUCCESS", "a run behind it")
    daemon.stop()
    assert begun(bench) == ["later"]
    assert statuses(bench)[run] == "CANCELED"
    assert bench.json("sql", "SELECT count(*) AS n FROM queue") == [{"n": 0}]
    bench.here("state", "check").ok()


@pytest.mark.parametrize(("point", "status"), [(POINTS[0], "QUEUED"), (POINTS[1], "CANCELED")])
@pytest.mark.sample(1)
def test_a_command_killed_while_it_cancels_a_queued_run_has_done_so_or_not(bench, daemon, point, status):
    bench.write(HELD)
    (run,) = enqueue(bench, "a")
    bench("runs", "cancel", run, ORCHESTRATOR_CRASH_AT=f"{point}@{bench.path}/reached")
    assert (bench.path / "reached").exists()
    assert statuses(bench)[run] == status
    go(bench)
    daemon.start(to=bench.path / "daemon.out")
    daemon.until(lambda: bench.here("daemon", "status").code == 0, "a daemon that answers")
    daemon.until(lambda: statuses(bench)[run] == ("SUCCESS" if status == "QUEUED" else "CANCELED"), "its end")
    daemon.stop()
    assert begun(bench) == (["a"] if status == "QUEUED" else [])
    assert bench.json("sql", "SELECT count(*) AS n FROM queue") == [{"n": 0}]


@pytest.mark.long
def test_a_flood_in_one_pool_holds_up_nobody_else_and_status_stays_readable(bench, daemon):
    """5,000 requests of one sensor in a pool of one, then a run outside of it and an urgent one."""
    bench.write(
        HELD
        + """
    from orchestrator import RunRequest, sensor

    @sensor(pipeline=held, interval=3600, default_on=True)
    def flood(context):
        for number in range(5000):
            config = {"steps": {"hold": {"config": {"what": f"f{number}"}}}}
            yield RunRequest(run_key=str(number), config=config, tags={"db": "x"})
"""
    )
    bench.settings(
        "locations: [{name: main, file: pipelines.py}]\nrun_queue: {tag_limits: [{key: db, value: x, limit: 1}]}\n"
    )
    daemon.start(to=bench.path / "daemon.out")
    daemon.until(lambda: begun(bench) == ["f0"], "the first of them")
    mine = bench.start("run", "held", "--tag", "db=x", "--tag", "priority=1", *BY_HAND[1:], to=bench.path / "mine.out")
    daemon.until(lambda: "waiting: " in (bench.path / "mine.out").read_text(), "the urgent one waits")
    enqueue(bench, "outside")
    daemon.until(lambda: begun(bench) == ["f0", "outside"], "the one outside")
    assert bench.json("status")["daemon"]["queued"] == 4999
    assert len(bench.here("status").out.splitlines()) < 60
    go(bench, "f0", "mine", "outside")
    assert mine.wait(timeout=30) == 0
    daemon.until(lambda: "f1" in begun(bench), "the next of the flood")
    assert begun(bench) == ["f0", "outside", "mine", "f1"]
    daemon.kill()
