"""Ways of measuring, and what a measured row looks like."""

import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

PROGRAMS = Path(sys.executable).parent
ORCHESTRATOR = str(PROGRAMS / "orchestrator")

# What pip installs is compiled. Where nothing may be compiled (some containers say so to every Python), what is run
# from a checkout would compile itself anew at every start, and what is installed beside it would not.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


_FORKING = """
import os, sys, time, gc
sys.path.insert(0, ".")
import {modules}
gc.collect(); gc.freeze()
taken = []
for _ in range(300):
    started = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    taken.append(time.perf_counter() - started)
print(sorted(taken)[150])
sys.stdout.flush()
os._exit(0)
"""


@dataclass(frozen=True)
class Size:
    """How much to measure: everything, or just enough to see that it can be measured."""

    is_tiny: bool = False

    def __call__(self, full, tiny):
        return tiny if self.is_tiny else full


@dataclass
class Row:
    """One line of the table. `value` is the median of what was measured, in `unit`; `budget` is the most that it may
    be (or the least, with `more_is_better`) on the machine where budgets were set, and `yardstick` says how to scale it
    to another one (see `calibration`); without one it holds everywhere."""

    what: str
    value: float
    unit: str
    budget: float | None = None
    more_is_better: bool = False
    beside: dict[str, float] = field(default_factory=dict)
    beside_unit: str = ""  # of what is beside it, where that is not the row's
    yardstick: str = ""
    is_difference: bool = False  # of two measurements, which may come out below zero when they are tiny


def seconds(command, times=7, **options):
    """The median wall-clock seconds of a command, start to exit."""
    return statistics.median(one_run(command, **options) for _ in range(times))


def one_run(command, check=True, **options):
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, **options)
    took = time.perf_counter() - started
    if check and done.returncode != 0:
        raise RuntimeError(f"{command} failed:\n{done.stdout.decode()}\n{done.stderr.decode()}")
    return took


def timed(function, times=7):
    """The median seconds of a call."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        function()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def slope(few, many, steps_few, steps_many):
    """Seconds a step, from two measured sizes."""
    return (many - few) / (steps_many - steps_few)


def python_itself(times=15):
    """What starting Python costs: the least that any command can."""
    return seconds([sys.executable, "-c", "pass"], times=times)


def fork_and_reap(modules, **options):
    """Seconds to fork and reap a process that has imported those modules: the least that a step can cost."""
    return printed(_FORKING.format(modules=modules), **options)


def printed(program, *arguments, **options):
    """The number that a Python program prints."""
    command = [sys.executable, "-c", program, *arguments]
    return float(subprocess.run(command, capture_output=True, text=True, check=True, **options).stdout)


def memory_of_tree(pid):
    """Proportional set size of a process and all its descendants, in bytes: shared pages are counted once."""
    total, stack = 0, [pid]
    while stack:
        one = stack.pop()
        try:
            total += _pss(one)
            for task in os.listdir(f"/proc/{one}/task"):
                stack += map(int, Path(f"/proc/{one}/task/{task}/children").read_text().split())
        except OSError:
            continue
    return total


def memory_of_programs(*programs, **options):
    """Proportional set size of processes that have run these Python programs and are all alive, in bytes."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    ready = "\nprint(flush=True)\ninput()"
    running = [subprocess.Popen([sys.executable, "-c", one + ready], **pipes, **options) for one in programs]
    try:
        for process in running:
            process.stdout.readline()
        return sum(memory_of_tree(process.pid) for process in running)
    finally:
        for process in running:
            process.communicate(b"\n")


def _pss(pid):
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def machine():
    """The machine in a line."""
    model = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or "unknown processor",
    )
    memory = next((int(line.split()[1]) / 1e6 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} x {model}, {memory:.0f} GB, {system}"


def _lines(path):
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
