"""The workspace that the tests of damage damage: made once, and put back for each test."""

import contextlib
import os
import shutil
import signal

import pytest

from orchestrator.layout import RunsDir
from orchestrator.state_dir import prepare
from tests.conftest import Bench

PIPELINES = """
    import os, sys, time
    from pathlib import Path
    from orchestrator import AssetMaterialization, DynamicOut, DynamicOutput, SkipReason
    from orchestrator import pipeline, schedule, sensor, step

    def note(line):
        with open("ledger", "a") as ledger:
            ledger.write(f"{line}\\n")

    def wait_for_go():
        while not Path("go").exists():
            time.sleep(0.02)

    @step
    def first() -> int:
        note("first")
        print("hello")
        return 1

    @step
    def second(value: int) -> int:
        return 2

    @step
    def waits(value: int) -> int:
        note("waits")
        wait_for_go()
        return 2

    @step(outputs=DynamicOut(str))
    def parts():
        for key in "ab":
            yield DynamicOutput(key, key=key)

    @step
    def each(part: str) -> str:
        note(part)
        if part == "b":
            wait_for_go()
        return part

    @step
    def together(parts: list[str]) -> int:
        return len(parts)

    @step
    def scribbles() -> int:
        note("scribbles")
        (events,) = Path(".orchestrator/runs").glob("*/steps/scribbles/1/events.jsonl")
        with events.open("ab") as file:
            file.write(b"\\xff garbage\\n")
        return 1

    @step
    def deep(context):
        note("deep")
        value = []
        for _ in range(5000):
            value = [value]
        sys.setrecursionlimit(10**6)
        context.log_asset(AssetMaterialization("deep", metadata={"x": value}))

    @step
    def fill(value: int) -> int:
        # To the last byte: a large file first, and then what is left over.
        for size in (65536, 1):
            try:
                with open("disk/filler", "ab", buffering=0) as file:
                    while True:
                        file.write(b"x" * size)
            except OSError:
                pass
        return 2

    @pipeline
    def small():
        second(first())

    @pipeline
    def long():
        waits(first())

    @pipeline
    def fan():
        together(parts().map(each).collect())

    @pipeline
    def scribbling():
        scribbles()

    @pipeline
    def too_deep():
        deep()

    @pipeline
    def filling():
        fill(first())

    @schedule(cron="0 0 1 1 *", pipeline=small, default_on=True)
    def yearly(context):
        return {}

    @sensor(pipeline=small, interval=3600, default_on=True)
    def idle(context):
        return SkipReason("nothing to do")
"""


@pytest.fixture
def bench(bench):
    return bench.write(PIPELINES)


class Template:
    """A workspace that is put back to what it was when it was made. In its own place, not copied to another: plans hold
    the path at which values are stored."""

    def __init__(self, path):
        self.path = path
        self.bench = Bench(path)
        self.facts = {}

    def save(self):
        self.bench.clean_up()
        shutil.copytree(self.path, self.path.with_suffix(".saved"))
        return self

    @contextlib.contextmanager
    def put_back(self):
        shutil.rmtree(self.path)
        shutil.copytree(self.path.with_suffix(".saved"), self.path)
        bench = Bench(self.path)
        vars(bench).update(self.facts)
        try:
            yield bench
        finally:
            bench.clean_up()


def made(tmp_path_factory, name):
    template = Template(tmp_path_factory.mktemp(name))
    template.bench.write(PIPELINES)
    return template


def kill_during(bench, pipeline, entry, *, with_steps):
    """Runs a pipeline in a terminal that is killed once `entry` is in the ledger; the id of the run. Steps that are
    not killed go on, and end."""
    process = bench.start("run", pipeline)
    bench.wait_until(lambda: entry in bench.ledger())
    for pid in {process.pid, *(bench.processes() if with_steps else ())}:
        with contextlib.suppress(ProcessLookupError):  # a step that has ended since the processes were listed
            os.kill(pid, signal.SIGKILL)
    process.wait()
    (bench.path / "go").touch()
    bench.wait_until(lambda: not bench.processes())
    return next(run["run_id"] for run in bench.json("runs", "list") if run["pipeline"] == pipeline)


@pytest.fixture(scope="package")
def finished_template(tmp_path_factory):
    template = made(tmp_path_factory, "finished")
    for _ in range(3):
        template.bench("run", "small").ok()
    template.bench.here("runs", "list").ok()
    return template.save()


@pytest.fixture(scope="package")
def killed_template(tmp_path_factory):
    template = made(tmp_path_factory, "killed")
    template.bench("run", "small").ok()
    template.facts["killed"] = kill_during(template.bench, "long", "waits", with_steps=False)
    return template.save()


@pytest.fixture(scope="package")
def lived_in_template(tmp_path_factory):
    template = made(tmp_path_factory, "lived-in")
    bench = template.bench
    for _ in range(2):
        bench("run", "small").ok()
    bench("daemon", "tick").ok()
    runs = {"over": bench.json("runs", "list")[0]["run_id"], "fan": kill_during(bench, "fan", "a", with_steps=True)}
    runs["queued"] = bench.here("run", "small", "--detach").ok().out.split()[-1]
    template.facts = {"runs": runs, "backup": bench.json("state", "backup")["backup"].rpartition("/")[2]}
    return template.save()


@pytest.fixture
def finished(finished_template):
    """Three runs that are over and in the index."""
    with finished_template.put_back() as bench:
        yield bench


@pytest.fixture
def interrupted(killed_template):
    """A run in a terminal that was killed while its second step ran, beside a whole one."""
    with killed_template.put_back() as bench:
        yield bench


@pytest.fixture
def killed(interrupted):
    """The files of that run."""
    return RunsDir(prepare(interrupted.state).path).run(interrupted.killed)


@pytest.fixture
def lived_in(lived_in_template):
    """`runs` that are over, killed in a fan-out, and queued; a `backup`, and a daemon that has made a pass."""
    with lived_in_template.put_back() as bench:
        yield bench
