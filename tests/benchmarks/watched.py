"""A daemon that is measured: started, fed, asked, and what its processes use."""

import os
import signal
import statistics
import subprocess
import time
from datetime import datetime
from pathlib import Path

from orchestrator.catalog.query import query
from orchestrator.catalog.session import open_store
from orchestrator.state_dir import StateDir
from tests.benchmarks.measure import ORCHESTRATOR, memory_of_tree

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
HANGS_S = 120


class WatchedDaemon:
    """The daemon of one workspace. `environment`: variables that it is given beside ours."""

    def __init__(self, path, **environment):
        self.path = path
        self.environment = {**os.environ, **environment}
        self.state = StateDir(path / ".orchestrator")
        self.process = None
        self.started = 0.0

    def __enter__(self):
        self.started = time.time()
        self.process = subprocess.Popen(
            [ORCHESTRATOR, "daemon", "start", "--quiet"],
            cwd=self.path,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def ask(self, statement):
        """The rows of a question in SQL, asked of the daemon."""
        with open_store(self.state) as store:
            return store(query, statement).rows

    def until(self, condition, what, pause=0.01):
        """When the condition came true, by the wall clock."""
        deadline = time.monotonic() + HANGS_S
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{what} never came true; see {self.state.daemon_log}")
            time.sleep(pause)
        return time.time()

    def until_loaded(self):
        self.until(lambda: self.state.daemon_sock.exists(), "a daemon that listens")
        log = self.state.daemon_log
        self.until(lambda: log.exists() and "location loaded" in log.read_text(), "a loaded location", 0.05)

    def cpu_s(self):
        """Processor seconds that the daemon and everything below it have used so far."""
        return cpu_s_of_tree(self.process.pid)

    def cpu_during(self, seconds):
        """Processor seconds used within so many seconds from now."""
        before, started = self.cpu_s(), time.monotonic()
        time.sleep(seconds)
        return (self.cpu_s() - before) / (time.monotonic() - started) * seconds

    def memory_mb(self):
        return memory_of_tree(self.process.pid) / 1e6


def cpu_s_of_tree(pid):
    return sum(map(_cpu_of, descendants(pid)))


def descendants(pid):
    found, stack = [], [pid]
    while stack:
        one = stack.pop()
        found.append(one)
        try:
            for task in os.listdir(f"/proc/{one}/task"):
                stack += map(int, Path(f"/proc/{one}/task/{task}/children").read_text().split())
        except OSError:
            continue
    return found


def _cpu_of(pid):
    """User and system seconds of a process, with those of the children it has reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS_A_SECOND


def seconds_between(earlier, later):
    """From an instant in seconds of the epoch to one in ISO 8601."""
    return datetime.fromisoformat(later).timestamp() - earlier


def percentile(values, share):
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]
