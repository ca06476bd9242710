"""Compares two installations on the same machine in interleaved pairs, so that its moods meet both alike.

    python3 -m tests.benchmarks.pairs OLD NEW [PAIRS]     OLD, NEW: the bin directories of two environments

Prints the median of each row for both, and the median of the ratios. Bytecode should be compiled in both
(`python -m compileall`): an editable installation compiles it at its first run.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks import simulate, workspaces

IN_PYTHON = """
import statistics, sys, time
sys.path.insert(0, ".")
from pipelines import chain2, chain100

def taken(pipeline):
    times = []
    for _ in range(15):
        started = time.perf_counter()
        pipeline.execute_in_process()
        times.append(time.perf_counter() - started)
    return statistics.median(times)

chain2.execute_in_process()
print((taken(chain100) - taken(chain2)) / 98)
"""
ROWS = {
    "`run` of one step": ("s", 1),
    "each further step of a chain": ("ms", 1000),
    "fan-out of 100 steps, beyond one": ("s", 1),
    "`execute_in_process`, each further step": ("ms", 1000),
    "`simulate`, 30 days of 100 hourly schedules": ("s", 1),
}


def main(old, new, pairs=9):
    with tempfile.TemporaryDirectory(prefix="pairs-") as directory:
        sides = [Side(Path(old), Path(directory) / "old"), Side(Path(new), Path(directory) / "new")]
        measured = [[side.measure() for side in sides] for _ in range(int(pairs) + 1)][1:]  # the first warms up
    print("| what | old | new | ratio |\n|---|---|---|---|")
    for number, (what, (unit, factor)) in enumerate(ROWS.items()):
        values = [[side[number] for side in pair] for pair in measured]
        before, after = (statistics.median(column) * factor for column in zip(*values, strict=True))
        ratio = statistics.median(pair[1] / pair[0] for pair in values)
        print(f"| {what} | {before:.3g} {unit} | {after:.3g} {unit} | {ratio:.2f} |")


class Side:
    """One installation with workspaces of its own."""

    def __init__(self, programs, path):
        self.orchestrator, self.python = str(programs / "orchestrator"), str(programs / "python")
        self.steps = workspaces.make(path / "steps")
        self.schedules = workspaces.make(path / "schedules", simulate.SCHEDULES)

    def measure(self):
        """Seconds of each row, in order."""
        one = self._seconds("run", "one")
        chain = (self._seconds("run", "chain50") - one) / 49
        fan = self._seconds("run", "fan100") - one
        said = subprocess.run([self.python, "-c", IN_PYTHON], cwd=self.steps, capture_output=True, check=True).stdout
        period = ["--from", "2026-01-01", "--to", "+30d"]
        return one, chain, fan, float(said), self._seconds("simulate", *period, path=self.schedules)

    def _seconds(self, *words, path=None):
        started = time.perf_counter()
        subprocess.run([self.orchestrator, *words], cwd=path or self.steps, capture_output=True, check=True)
        return time.perf_counter() - started


if __name__ == "__main__":
    main(*sys.argv[1:])
