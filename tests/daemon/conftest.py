"""A workspace with a sensor and a schedule, a ledger that steps append to, and a daemon to kill."""

import os
import signal
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from orchestrator.catalog.automations import list_automations, save_automations
from orchestrator.catalog.session import open_store
from orchestrator.state_dir import StateDir

from .ticking import Ticking

PIPELINES = """
    import os
    from dataclasses import dataclass
    from pathlib import Path
    from orchestrator import RunRequest, SkipReason, pipeline, schedule, sensor, step

    @dataclass
    class What:
        what: str

    @step
    def note(config: What) -> None:
        descriptor = os.open("ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{config.what}\\n".encode())
        os.close(descriptor)

    @pipeline
    def work():
        note()

    def config(what):
        return {"steps": {"note": {"config": {"what": what}}}}

    @sensor(pipeline=work, interval=0.1, default_on=True)
    def inbox(context):
        for path in sorted(Path("inbox").glob("*")):
            yield RunRequest(run_key=path.name, config=config(path.name))

    @schedule(cron="* * * * *", pipeline=work, catch_up="all", overlap="allow")
    def minutely(context):
        return config(context.scheduled_at.strftime("%H:%M"))
"""


class DaemonBench:
    """A bench whose daemon can be started, killed and asked."""

    def __init__(self, bench):
        self.bench = bench
        self.path = bench.path
        self.process = None

    def start(self, *, to=None, **environment):
        """`to` is a file for what it says: a pipe that nobody reads is full at some time, and the daemon waits."""
        self.process = self.bench.start("daemon", "start", to=to, **environment)
        return self

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.bench.here("daemon", "stop").ok()
        assert self.process.wait(timeout=30) == 0

    def drop(self, *names):
        inbox = self.path / "inbox"
        inbox.mkdir(exist_ok=True)
        for name in names:
            (inbox / name).write_text("")

    def until(self, condition, what):
        self.bench.wait_until(condition, what)

    def until_ledger(self, *expected):
        self.until(lambda: set(expected) <= set(self.bench.ledger()), f"{expected} in the ledger {self.bench.ledger()}")

    def automations(self):
        with open_store(StateDir(self.bench.state)) as store:
            return {one.name: one for one in store(list_automations)}

    def turn_back(self, name, minutes):
        """Makes a schedule that is on one that has waited for that long; the occurrences that are due by now."""
        start = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=minutes - 1)
        one = replace(self.automations()[name], since=start, since_inclusive=True)
        with open_store(StateDir(self.bench.state)) as store:
            store(save_automations, [one])
        return [(start + timedelta(minutes=minute)).strftime("%H:%M") for minute in range(minutes)]


@pytest.fixture
def daemon(bench):
    bench.write(PIPELINES)
    return DaemonBench(bench)


@pytest.fixture(autouse=True)
def _no_leftover_variables():
    assert "ORCHESTRATOR_CRASH_AT" not in os.environ


@pytest.fixture
def ticking(bench, monkeypatch):
    return Ticking(bench, monkeypatch)
