"""Health rules as a table: one condition, one problem."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from orchestrator._version import __version__
from orchestrator.catalog.dashboard import ActiveRun, Behind, NotRun, SkippedInARow, UndeliveredAlerts
from orchestrator.model.executor_health import ExecutorHealth
from orchestrator.model.run import RunSummary, Trigger
from orchestrator.model.states import RunState, TickState
from orchestrator.model.tick import Tick
from orchestrator.service.health import LOADING, problems_of
from orchestrator.service.status_report import AutomationStatus, DaemonStatus, LocationStatus, Status

NOW = datetime(2026, 3, 30, 9, tzinfo=UTC)
YESTERDAY = NOW - timedelta(hours=26)
ALIVE = {"name": "sensors", "alive": True, "erroring": False, "error": None, "error_at": None}
RUNNING = DaemonStatus(running=True, pid=7, version=__version__, concerns=(ALIVE,))
ON = AutomationStatus("main/inbox", "sensor", True, False, 0)
RUN = RunSummary(
    run_id="4zg9h2kq7m1x",
    pipeline="people",
    mode="default",
    status=RunState.FAILURE,
    created_at=NOW - timedelta(hours=2),
    trigger=Trigger(kind="schedule", name="main/nightly"),
)
FAILED = Tick(
    tick_id="1",
    name="main/inbox",
    kind="sensor",
    status=TickState.FAILURE,
    at=NOW,
    error='Traceback (most recent call last):\n  File "x.py", line 1\nConnectionError: api.example.com: refused\n',
)


def status(**changes):
    known = {"ok": True, "problems": (), "workspace": "w", "state_dir": "s", "locations": (), "daemon": RUNNING}
    return Status(**{**known, **changes})


def daemon(**changes):
    known = {"running": True, "pid": 7, "version": __version__, "concerns": (ALIVE,)}
    return DaemonStatus(**{**known, **changes})


def concern(**changes):
    return daemon(concerns=({**ALIVE, **changes},))


LOOK_OR_CANCEL = "`orchestrator runs show 4zg9h2kq7m1x`, `orchestrator runs cancel 4zg9h2kq7m1x`"
SKIPPED = SkippedInARow("main/often", 3, NOW - timedelta(minutes=3), NOW, "4zg9h2kq7m1x")
HUNG = ActiveRun("4zg9h2kq7m1x", "people", NOW - timedelta(minutes=4), None, 0)


def usually(seconds, runs=3, minutes=4):
    return replace(HUNG, started_at=NOW - timedelta(minutes=minutes), usual_s=float(seconds), runs=runs)


def alerts(**changes):
    known = {
        "sensor": "main/alert",
        "pending": 1,
        "given_up": 0,
        "first_failed_at": NOW - timedelta(minutes=3),
        "next_at": NOW + timedelta(minutes=1),
        "error": "ConnectionError: no mail",
    }
    return UndeliveredAlerts(**{**known, **changes})


CLUSTER = ExecutorHealth("kubernetes", "https://c:6443, namespace data", running=2, waiting=1, since=YESTERDAY)

WELL = [
    pytest.param(status(skipped=(replace(SKIPPED, count=2),), usual=(HUNG,)), id="two occurrences skipped"),
    pytest.param(status(skipped=(SKIPPED,)), id="occurrences skipped because of a run that is over by now"),
    pytest.param(
        status(skipped=(SKIPPED,), usual=(usually(121),)), id="a schedule that is more frequent than its runs are fast"
    ),
    pytest.param(status(usual=(usually(60, minutes=9),)), id="a run that is slower than usual, but not by far"),
    pytest.param(status(usual=(usually(1, minutes=5),)), id="a short run that is slow today"),
    pytest.param(status(usual=(usually(1, runs=2, minutes=99),)), id="a run of a pipeline that has hardly run before"),
    pytest.param(status(usual=(HUNG,)), id="the first run of a pipeline"),
    pytest.param(status(behind=(Behind("x", 2, YESTERDAY),)), id="two runs of a schedule that wait for room"),
    pytest.param(
        status(behind=(Behind("x", 99, NOW - timedelta(minutes=5)),)), id="runs of a schedule that wait for minutes"
    ),
    pytest.param(
        status(automations=(AutomationStatus("x", "schedule", True, False, 0, replaces="y"),)),
        id="a schedule that was renamed and is on",
    ),
    pytest.param(status(), id="a daemon and nothing to do"),
    pytest.param(status(daemon=daemon(executors=(CLUSTER,))), id="a cluster with attempts that wait"),
    pytest.param(status(daemon=DaemonStatus(running=False)), id="no daemon and nothing that needs one"),
    pytest.param(status(automations=(ON,)), id="a sensor that is on"),
    pytest.param(
        status(daemon=DaemonStatus(running=False), automations=(AutomationStatus("x", "sensor", False, False, 3),)),
        id="a sensor that has failed and is off",
    ),
    pytest.param(status(failed_runs=(RUN,)), id="a run that has failed, and one after it has not"),
    pytest.param(
        status(locations=(LocationStatus("main", False, state="loading", since=NOW),)), id="a location that loads"
    ),
    pytest.param(
        status(
            not_run=(NotRun(name="x", count=3, first=YESTERDAY, last=NOW, noticed_at=NOW, reason="late"),),
        ),
        id="occurrences that are not made up, as their schedule wants it",
    ),
]

NOT_WELL = [
    (
        status(daemon=daemon(executors=(replace(CLUSTER, problem="The API server does not answer: refused."),))),
        "kubernetes cannot be reached for 1d 2h; 3 attempts wait until it can be: The API server does not answer:"
        " refused: `orchestrator kubernetes check`",
    ),
    (status(unreadable="The state is in use by process 9."), "The state is in use by process 9."),
    (
        status(daemon=daemon(silence="The daemon (process 7) is suspended.")),
        "The daemon (process 7) is suspended.",
    ),
    (
        status(daemon=daemon(version="0.0.1")),
        f"the daemon is version 0.0.1, and this command is {__version__}: `orchestrator daemon stop`,"
        " then `orchestrator daemon start`",
    ),
    (
        status(daemon=daemon(workspace_error="The workspace file is not valid:\n  - line 3")),
        "the daemon still uses the previous workspace file: The workspace file is not valid:"
        " `orchestrator config check`",
    ),
    (status(daemon=concern(alive=False)), "the daemon's sensors gets no turns: `orchestrator daemon logs`"),
    (
        status(daemon=concern(erroring=True, error="The disk is full", error_at="2026-03-30T08:50:00Z")),
        "the daemon's sensors fails for 10m 00s: The disk is full",
    ),
    (
        status(daemon=DaemonStatus(running=False), automations=(ON,)),
        "no daemon is running, and a schedule or sensor that is on waits for it: `orchestrator daemon start`",
    ),
    (
        status(daemon=DaemonStatus(running=False, queued=2, turned_at=YESTERDAY), automations=(ON, ON)),
        "no daemon is running (the last one died 1d 2h ago), and 2 schedules and sensors that are on and 2 queued runs"
        " wait for it: `orchestrator daemon start`",
    ),
    (
        status(locations=(LocationStatus("bad", False, error="Location 'bad' is broken: x\nhint", state="broken"),)),
        "Location 'bad' is broken: x",
    ),
    (
        status(locations=(LocationStatus("slow", False, state="loading", since=NOW - 2 * LOADING),)),
        "location slow has been loading for 2m 00s",
    ),
    (
        status(locations=(LocationStatus("main", True, restarts=4),)),
        "the process of location main has ended by itself 4 times: `orchestrator daemon logs`",
    ),
    (
        status(automations=(AutomationStatus("main/inbox", "sensor", True, False, 1, last=FAILED),)),
        "main/inbox has failed: ConnectionError: api.example.com: refused",
    ),
    (
        status(
            automations=(
                AutomationStatus("main/inbox", "sensor", True, False, 1440, last=FAILED, failing_since=YESTERDAY),
            )
        ),
        "main/inbox has failed 1,440 times in a row, for 1d 2h: ConnectionError: api.example.com: refused",
    ),
    (
        status(automations=(AutomationStatus("main/old", "schedule", True, True, 0),)),
        "main/old is on and its definition is gone: `orchestrator schedule forget main/old`",
    ),
    (
        status(interrupted_runs=(RUN,)),
        "run 4zg9h2kq7m1x of people has no owner: `orchestrator runs resume 4zg9h2kq7m1x`,"
        " or `orchestrator runs cancel 4zg9h2kq7m1x`",
    ),
    (
        status(standing_failures=(RUN,)),
        "the last run of people failed, 2h 00m ago: `orchestrator runs show 4zg9h2kq7m1x`; to dismiss it,"
        " `orchestrator runs acknowledge 4zg9h2kq7m1x`",
    ),
    (
        status(
            automations=(AutomationStatus("main/old", "schedule", True, True, 0, renamed_to="main/new"),),
        ),
        "main/old is on and its definition is gone; main/new is new, off, and has the same pipeline and cron:"
        " `orchestrator schedule start main/new`, then `orchestrator schedule forget main/old`",
    ),
    (
        status(automations=(AutomationStatus("main/new", "schedule", False, False, 0, replaces="main/old"),)),
        "main/new is off and has the same pipeline and cron as main/old, which was on until it was renamed or removed:"
        " `orchestrator schedule start main/new`, or `orchestrator schedule stop main/new` to leave it off",
    ),
    (
        status(undelivered=(alerts(),)),
        "an alert of main/alert could not be delivered, for 3m 00s: ConnectionError: no mail (next try in 1m 00s):"
        " `orchestrator sensor deliveries main/alert`",
    ),
    (
        status(undelivered=(alerts(pending=2, given_up=1),)),
        "3 alerts of main/alert could not be delivered, for 3m 00s: ConnectionError: no mail (1 given up):"
        " `orchestrator sensor deliveries main/alert`, then `orchestrator sensor retry main/alert`,"
        " or `orchestrator sensor acknowledge main/alert`",
    ),
    (
        status(undelivered=(alerts(is_on=False),)),
        "an alert of main/alert could not be delivered, for 3m 00s: ConnectionError: no mail"
        " (the sensor is off, and retries nothing): `orchestrator sensor start main/alert`,"
        " or `orchestrator sensor acknowledge main/alert`",
    ),
    (
        status(skipped=(SKIPPED,), usual=(HUNG,)),
        "main/often was skipped 3 times in a row because run 4zg9h2kq7m1x has not finished (running for 4m 00s):"
        f" {LOOK_OR_CANCEL}",
    ),
    (
        status(skipped=(replace(SKIPPED, count=1100),), usual=(usually(10),)),
        "main/often was skipped 1,100 times in a row because run 4zg9h2kq7m1x has not finished (running for 4m 00s,"
        f" usually 10.0s): {LOOK_OR_CANCEL}",
    ),
    (
        status(skipped=(SKIPPED,), usual=(replace(HUNG, started_at=None),)),
        "main/often was skipped 3 times in a row because run 4zg9h2kq7m1x is still waiting in the queue:"
        f" {LOOK_OR_CANCEL}",
    ),
    (
        status(usual=(usually(60, minutes=11),)),
        f"run 4zg9h2kq7m1x of people has been running for 11m 00s, usually 1m 00s: {LOOK_OR_CANCEL}",
    ),
    (
        status(behind=(Behind("main/often", 3, NOW - timedelta(minutes=25)),)),
        "main/often is 25m 00s behind: 3 runs wait in the queue, the oldest for 2026-03-30 08:35Z:"
        " `orchestrator runs list --status QUEUED`",
    ),
]


@pytest.mark.parametrize("seen", WELL)
def test_all_is_well_with(seen):
    assert list(problems_of(seen, NOW)) == []


@pytest.mark.parametrize(("seen", "sentence"), NOT_WELL, ids=[sentence[:40] for _, sentence in NOT_WELL])
def test_a_problem_is_said_in_a_sentence(seen, sentence):
    (problem,) = problems_of(seen, NOW)
    assert problem.text == sentence
    assert problem.kind
    assert problem.subject


def test_a_run_that_blocks_its_schedule_is_one_problem_and_not_two():
    seen = status(skipped=(SKIPPED,), usual=(usually(1, minutes=60),))
    assert [one.kind for one in problems_of(seen, NOW)] == ["skipped"]


def test_that_a_concern_is_alive_and_that_it_fails_are_two_facts():
    told = [one.text for one in problems_of(status(daemon=concern(alive=False, erroring=True, error="x")), NOW)]
    assert told == ["the daemon's sensors gets no turns: `orchestrator daemon logs`", "the daemon's sensors fails: x"]
