"""Every row of the benchmark can be measured. What it measures is not judged here: no test asserts a time."""

import math
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.benchmarks.calibration import REFERENCE, WHAT, Calibration, after, calibrate
from tests.benchmarks.measure import Row, Size
from tests.benchmarks.peers import Nobody
from tests.benchmarks.run import every_row, print_table

# It waits for a minute to begin, so the other rows are measured meanwhile.
WAITING = "daemon schedule latency"


@pytest.mark.long
def test_every_row_can_be_measured_in_a_tiny_size(tmp_path, capsys):
    size = Size(is_tiny=True)
    measures = dict(every_row(tmp_path, Nobody(), size))
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(lambda: list(measures.pop(WAITING)()))
        rows = [row for name, measure in list(measures.items()) if name != WAITING for row in measure()]
        rows += waiting.result()
    assert unmeasured(rows) == []
    calibration = calibrate(tmp_path, size)
    print_table([(row, calibration) for row in rows], markdown=True)
    table = capsys.readouterr().out
    assert table.count("\n| ") == len(rows), table
    assert re.search(r"\| `orchestrator --help` \| [\d.]+ s \| <= 0.150 s \| <= [\d.]+ s \| (met|MISSED) \|", table)


def unmeasured(rows):
    """The rows whose value cannot have been measured."""
    return [row for row in rows if not math.isfinite(row.value) or (row.value < 0 and not row.is_difference)]


def calibration(**factors):
    """A machine that takes so many times as long as the one of the budgets."""
    return Calibration({name: seconds * factors.get(name, 1.0) for name, seconds in REFERENCE.items()})


@pytest.mark.parametrize(
    ("value", "row", "machine", "budget", "met"),
    [
        (1.0, {"budget": 2.0}, {}, 2.0, True),
        (3.0, {"budget": 2.0, "yardstick": "python"}, {}, 2.0, False),
        (3.0, {"budget": 2.0, "yardstick": "python"}, {"python": 2.0}, 4.0, True),
        (3.0, {"budget": 2.0, "yardstick": "python"}, {"loop": 2.0}, 2.0, False),
        (1.5, {"budget": 2.0, "yardstick": "python"}, {"python": 0.5}, 1.0, False),
        (3.0, {"budget": 2.0}, {"python": 9.0}, 2.0, False),
        (60.0, {"budget": 100.0, "more_is_better": True, "yardstick": "loop"}, {"loop": 2.0}, 50.0, True),
        (60.0, {"budget": 100.0, "more_is_better": True}, {"loop": 2.0}, 100.0, False),
        (60.0, {}, {}, None, None),
    ],
)
def test_a_budget_is_scaled_by_the_yardstick_of_its_row(value, row, machine, budget, met):
    row = Row("a row", value, "s", **row)
    here = calibration(**machine)
    assert (here.budget(row), here.is_met(row)) == (pytest.approx(budget), met)


def test_the_machine_is_measured_again_after_a_row_and_the_mean_counts(tmp_path):
    before = calibration(python=2.0)
    meanwhile, now = after(before, ["fsync"], tmp_path, Size(is_tiny=True))
    assert meanwhile.measured["fsync"] == (before.measured["fsync"] + now.measured["fsync"]) / 2
    assert meanwhile.measured["python"] == now.measured["python"] == before.measured["python"]


def test_every_yardstick_is_measured_and_described(tmp_path):
    measured = calibrate(tmp_path, Size(is_tiny=True)).measured
    assert measured.keys() == REFERENCE.keys() == WHAT.keys()
    assert all(seconds > 0 for seconds in measured.values())
