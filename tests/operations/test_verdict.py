"""Is all well? The judgement as a table: one condition, one sentence."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator._version import __version__
from orchestrator.operations.condition import DaemonStatus, InstigatorStatus, LocationStatus, Status
from orchestrator.operations.verdict import LOADING, problems_of
from orchestrator.records import RunSummary, Trigger
from orchestrator.states import RunState, TickState
from orchestrator.store.overview import NotRun
from orchestrator.ticks import Tick

NOW = datetime(2026, 3, 30, 9, tzinfo=UTC)
YESTERDAY = NOW - timedelta(hours=26)
ALIVE = {"name": "sensors", "alive": True, "erroring": False, "error": None, "error_at": None}
RUNNING = DaemonStatus(running=True, pid=7, version=__version__, concerns=(ALIVE,))
ON = InstigatorStatus("main/inbox", "sensor", True, False, 0)
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


WELL = [
    pytest.param(status(), id="a daemon and nothing to do"),
    pytest.param(status(daemon=DaemonStatus(running=False)), id="no daemon and nothing that needs one"),
    pytest.param(status(instigators=(ON,)), id="a sensor that is on"),
    pytest.param(
        status(daemon=DaemonStatus(running=False), instigators=(InstigatorStatus("x", "sensor", False, False, 3),)),
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
    (status(unreadable="The state is in use by process 9."), "The state is in use by process 9."),
    (
        status(daemon=daemon(silence="The daemon (process 7) is suspended.")),
        "The daemon (process 7) is suspended.",
    ),
    (
        status(daemon=daemon(version="0.0.1")),
        f"the daemon is version 0.0.1, and this command {__version__}: stop it and start it again after an upgrade",
    ),
    (
        status(daemon=daemon(workspace_error="The workspace file is not valid:\n  - line 3")),
        "the daemon goes by what the workspace file said before: The workspace file is not valid:",
    ),
    (status(daemon=concern(alive=False)), "the daemon's sensors gets no turns"),
    (
        status(daemon=concern(erroring=True, error="The disk is full", error_at="2026-03-30T08:50:00Z")),
        "the daemon's sensors fails for 10m 00s: The disk is full",
    ),
    (
        status(daemon=DaemonStatus(running=False), instigators=(ON,)),
        "no daemon is running, and a schedule or sensor that is on waits for it: `orchestrator daemon start`",
    ),
    (
        status(daemon=DaemonStatus(running=False, queued=2, turned_at=YESTERDAY), instigators=(ON, ON)),
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
        "the process of location main has ended by itself 4 times",
    ),
    (
        status(instigators=(InstigatorStatus("main/inbox", "sensor", True, False, 1, last=FAILED),)),
        "main/inbox has failed: ConnectionError: api.example.com: refused",
    ),
    (
        status(
            instigators=(
                InstigatorStatus("main/inbox", "sensor", True, False, 1440, last=FAILED, failing_since=YESTERDAY),
            )
        ),
        "main/inbox has failed 1,440 times in a row, for 1d 2h: ConnectionError: api.example.com: refused",
    ),
    (
        status(instigators=(InstigatorStatus("main/old", "schedule", True, True, 0),)),
        "main/old is on and its definition is gone: `orchestrator schedule forget main/old`",
    ),
    (
        status(interrupted_runs=(RUN,)),
        "nobody drives run 4zg9h2kq7m1x of people: `orchestrator runs resume 4zg9h2kq7m1x`, or cancel it",
    ),
    (
        status(standing_failures=(RUN,)),
        "the last run of people has failed, 2h 00m ago: `orchestrator runs show 4zg9h2kq7m1x`",
    ),
]


@pytest.mark.parametrize("seen", WELL)
def test_all_is_well_with(seen):
    assert list(problems_of(seen, NOW)) == []


@pytest.mark.parametrize(("seen", "sentence"), NOT_WELL, ids=[sentence[:40] for _, sentence in NOT_WELL])
def test_a_problem_is_said_in_a_sentence(seen, sentence):
    assert list(problems_of(seen, NOW)) == [sentence]


def test_that_a_concern_is_alive_and_that_it_fails_are_two_facts():
    told = list(problems_of(status(daemon=concern(alive=False, erroring=True, error="x")), NOW))
    assert told == ["the daemon's sensors gets no turns", "the daemon's sensors fails: x"]
