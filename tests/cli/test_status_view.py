"""The status page stays one screen, however much there is."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from orchestrator.cli.output import Painter
from orchestrator.cli.status_view import status_lines
from orchestrator.model.executor_health import ExecutorHealth
from orchestrator.model.run import RunSummary
from orchestrator.model.states import RunState
from orchestrator.service.status_report import AutomationStatus, DaemonStatus, LocationStatus, Problem, Status

NOW = datetime.now(UTC)


def page(**changes):
    known = {"ok": True, "problems": (), "workspace": "/w", "state_dir": "/w/.orchestrator", "locations": ()}
    return list(status_lines(Status(**{**known, **changes}), Painter(False)))


def sensor(number, **changes):
    known = {
        "name": f"main/s{number:03}",
        "kind": "sensor",
        "is_on": True,
        "gone": False,
        "failures": 0,
        "next_at": NOW + timedelta(minutes=number + 1),
    }
    return AutomationStatus(**{**known, **changes})


def test_of_many_sensors_the_ones_that_need_somebody_come_first_then_what_is_next():
    many = [sensor(number) for number in range(100)]
    many[70] = sensor(70, failures=9)
    many[90] = sensor(90, gone=True)
    lines = page(automations=tuple(many))
    start = lines.index("\nschedules and sensors")
    names = [line.split()[0] for line in lines[start + 2 : start + 18]]
    assert names == ["main/s070", "main/s090", *(f"main/s{number:03}" for number in range(14))]
    assert "  and 84 more that are on: orchestrator sensor list" in lines
    assert len(lines) < 30


def test_of_many_runs_and_reasons_the_rest_is_counted():
    runs = tuple(
        RunSummary(run_id=f"{number:012}", pipeline="p", mode="m", status=RunState.STARTED, created_at=NOW)
        for number in range(50)
    )
    waiting = {f"{number:012}": "no room" for number in range(50)}
    daemon = DaemonStatus(running=True, pid=7, running_runs=50, queued=1000, waiting=waiting)
    lines = page(active_runs=runs, daemon=daemon)
    assert "  and 42 more: orchestrator runs list" in lines
    assert "  995 more queued" in lines
    assert len(lines) < 30


@pytest.mark.parametrize(
    ("concern", "line"),
    [
        ({"alive": True, "erroring": True}, "    ✗ store: alive, erroring"),
        ({"alive": False, "erroring": False}, "    ✗ store: gets no turns, not erroring"),
    ],
)
def test_a_concern_that_is_not_well_is_shown_with_both_facts(concern, line):
    told = ({"name": "store", "error": "x", "error_at": None, **concern},)
    assert line in page(daemon=DaemonStatus(running=True, pid=7, concerns=told))


def test_a_concern_that_is_well_takes_no_room():
    told = ({"name": "store", "alive": True, "erroring": False, "error": None, "error_at": None},)
    assert not any("store" in line for line in page(daemon=DaemonStatus(running=True, pid=7, concerns=told)))


def test_one_problem_is_one_line_in_a_pipe(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    problem = Problem("state", "x", "x " * 200, "`orchestrator state check`")
    assert f"  - {problem.text}" in page(ok=False, problems=(problem,))


def test_of_many_failed_runs_it_says_how_many_more_there_are_than_were_asked_for():
    runs = tuple(
        RunSummary(run_id=f"{number:012}", pipeline="p", mode="m", status=RunState.FAILURE, created_at=NOW)
        for number in range(8)
    )
    more = "  and 20 more: orchestrator runs list --status FAILURE --since 1d --limit 0"
    assert more in page(failed_runs=runs, failed_count=28)
    assert not any("more:" in line for line in page(failed_runs=runs, failed_count=8))


def test_of_a_long_traceback_the_end_is_shown():
    trace = "\n".join(f"line {number}" for number in range(100))
    lines = page(locations=(LocationStatus("main", False, error="broken", traceback=trace, state="broken"),))
    assert "      line 99" in lines
    assert "      line 0" not in lines


def test_a_cluster_has_a_line_with_what_waits_in_it_and_whether_it_answers():
    cluster = ExecutorHealth("kubernetes", "https://c, namespace data", 2, 3, {"no room": 2, "no image": 1}, None, NOW)
    since = datetime.now(UTC) - timedelta(hours=4, minutes=30)
    away = replace(cluster, problem="It does not answer.", since=since)
    lines = page(daemon=DaemonStatus(running=True, pid=7, executors=(cluster,)))
    start = lines.index("    ✓ kubernetes: 2 running, 3 waiting   https://c, namespace data")
    assert lines[start + 1 : start + 3] == ["      … 2 waiting: no room", "      … 1 waiting: no image"]
    lines = page(daemon=DaemonStatus(running=True, pid=7, executors=(away,)))
    assert any(line.startswith("    ✗ kubernetes: unreachable for 4h ") for line in lines)
