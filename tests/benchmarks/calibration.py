"""Measures the machine, so that budgets can be scaled to it.

An absolute budget says how long something may take on the machine where it was set. Each row names the yardstick that
fits what it does most; its budget is multiplied by how much slower (or faster) this machine is by that yardstick. A
virtual machine does not stay the same for the minutes that a table takes, so the yardstick of a row is measured again
right after it, and the mean of before and after counts.
"""

import os
import statistics
import time
from dataclasses import dataclass

from tests.benchmarks.measure import fork_and_reap, printed, python_itself, timed

# Seconds on the machine where the budgets were set: two cores of an AMD EPYC of 2021, Python 3.11, an NVMe disk.
REFERENCE = {"python": 0.012, "fork": 0.0023, "loop": 0.055, "fsync": 0.0010, "duckdb": 0.060}
WHAT = {
    "python": "start of `python -c pass`",
    "fork": "fork and reap of a process with pyarrow and duckdb imported",
    "loop": "a fixed loop of a million additions",
    "fsync": "a write of 4 KB forced to disk",
    "duckdb": "import of duckdb and opening of a new database",
}

OPENING = """
import sys, time
started = time.perf_counter()
import duckdb
duckdb.connect(sys.argv[1]).close()
print(time.perf_counter() - started)
"""


@dataclass(frozen=True)
class Calibration:
    """Seconds of each yardstick on this machine."""

    measured: dict[str, float]

    def factor(self, yardstick):
        """How many times as long this machine takes as the one where the budgets were set; 1 without a yardstick."""
        return self.measured[yardstick] / REFERENCE[yardstick] if yardstick else 1.0

    def budget(self, row):
        """The budget of a row on this machine; None if it has none."""
        if row.budget is None:
            return None
        factor = self.factor(row.yardstick)
        return row.budget / factor if row.more_is_better else row.budget * factor

    def is_met(self, row):
        budget = self.budget(row)
        if budget is None:
            return None
        return row.value >= budget if row.more_is_better else row.value <= budget

    def lines(self):
        """A line a yardstick, for the head of the table."""
        for name, seconds in self.measured.items():
            factor = self.factor(name)
            yield f"{WHAT[name]}: {seconds * 1000:.2f} ms, {factor:.2f} x the machine of the budgets ({name})"


def calibrate(scratch, size):
    """Measures every yardstick in the directory where the rows are measured too."""
    return Calibration({name: measure(name, scratch, size) for name in REFERENCE})


def after(before, yardsticks, scratch, size):
    """The calibration of rows that have just been measured, and that of the machine as it is now."""
    now = {**before.measured, **{name: measure(name, scratch, size) for name in yardsticks}}
    return Calibration({name: (before.measured[name] + now[name]) / 2 for name in now}), Calibration(now)


def measure(name, scratch, size):
    """The seconds of one yardstick."""
    if name == "python":
        return python_itself(size(15, 1))
    if name == "fork":
        return fork_and_reap("duckdb, pyarrow")
    if name == "loop":
        return timed(loop, size(9, 1))
    if name == "fsync":
        return forced_write(scratch / "forced", size(101, 3))
    return statistics.median(printed(OPENING, new_file(scratch)) for _ in range(size(7, 1)))


def new_file(scratch):
    """The path of a database that is not there."""
    path = scratch / "opened.duckdb"
    path.unlink(missing_ok=True)
    return str(path)


def loop():
    total = 0
    for number in range(1_000_000):
        total += number
    return total


def forced_write(path, times):
    taken = []
    with path.open("wb") as file:
        for _ in range(times):
            started = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - started)
    return statistics.median(taken)
