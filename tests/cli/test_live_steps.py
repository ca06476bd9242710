"""A run while it goes on, on a screen of few lines: how far it is, and what somebody has to know of."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.cli.live_steps import how_far, live_lines
from orchestrator.engine.step_graph import RunStep
from orchestrator.model.states import StepState
from orchestrator.planning.plan import PlannedStep

NOW = datetime(2026, 11, 25, 9, tzinfo=UTC)


def step(key, state, **more):
    planned = PlannedStep(key=f"{key.partition('[')[0]}[?]" if "[" in key else key, node=key)
    return RunStep(key, planned, (), (), [], state=StepState(state), **more)


def mapped(count, *, done=0, running=(), failed=()):
    states = dict.fromkeys(range(count), "READY") | dict.fromkeys(range(done), "SUCCESS")
    states |= dict.fromkeys(running, "RUNNING") | dict.fromkeys(failed, "FAILURE")
    return [step(f"square[n{number}]", state) for number, state in states.items()]


def shown(steps, room=12):
    return ["".join(text for text, _ in line) for line in live_lines(steps, room, NOW)]


def test_all_steps_are_shown_where_they_fit():
    running = step("load", "RUNNING", started_at=NOW - timedelta(seconds=3), attempt=2)
    again = step("send", "RETRYING", due_at=NOW + timedelta(seconds=30))
    steps = [step("read", "SUCCESS", seconds=1.5), running, again, step("total", "WAITING")]
    assert shown(steps) == [
        "  ✓ read     1.50s",
        "  ▸ load     3.00s  attempt 2",
        "  ↻ send   again in 30.0s",
        "  · total",
    ]


def test_two_thousand_steps_of_one_kind_are_one_line_and_the_ones_that_matter():
    steps = [
        step("numbers", "SUCCESS", seconds=2.0),
        *mapped(2000, done=1000, running=[1000, 1001], failed=[7]),
        step("total", "WAITING"),
    ]
    assert shown(steps) == [
        "  ✓ numbers            2.00s",
        "  ▸ square[…]        ━━━━━━━━━━────────── 1,000 of 2,000 done",
        "    ✗ square[n7]",
        "    ▸ square[n1000]    0.00s",
        "    ▸ square[n1001]    0.00s",
        "  · total",
    ]
    states = [one.state for one in steps]
    assert how_far(states) == "1,001 of 2,002 steps done, 2 running, 1 failed"


def test_however_much_goes_wrong_it_fits_and_what_runs_comes_first():
    lines = shown(mapped(2000, failed=range(1000), running=[1500]), room=8)
    assert len(lines) == 8
    assert lines[0] == "  ▸ square[…]        ━━━━━━━━━━────────── 1,000 of 2,000 done"
    assert "    ▸ square[n1500]    0.00s" in lines
    assert lines[-1] == "    and 995 more"


@pytest.mark.parametrize(
    ("steps", "symbol"),
    [
        pytest.param(mapped(20), "·", id="waiting"),
        pytest.param(mapped(20, done=1), "▸", id="begun"),
        pytest.param(mapped(20, done=20), "✓", id="done"),
        pytest.param(mapped(20, done=20, failed=[3]), "✗", id="failed"),
    ],
)
def test_the_mark_of_many(steps, symbol):
    assert shown(steps, room=5)[0].startswith(f"  {symbol} square[…]  ")


def test_a_step_whose_process_has_not_begun_says_what_it_waits_for():
    waiting = step("load", StepState.RUNNING, waits_for="Unschedulable: 0/1 nodes\n  are available")
    assert shown([waiting]) == ["  ▸ load  waits: Unschedulable: 0/1 nodes are available"]
    long = step("load", StepState.RUNNING, waits_for="x" * 500)
    assert len(shown([long])[0]) < 130
