"""The same work done by others, each in a virtual environment of its own."""

import os
import statistics
import subprocess
import sys
import textwrap
import time
import venv
from pathlib import Path

from tests.benchmarks import dagster_daemon
from tests.benchmarks.measure import memory_of_tree, seconds, slope

DAGSTER = "dagster==1.13.*"
LUIGI = "luigi==3.8.*"

DAGSTER_JOBS = """
    import duckdb, pyarrow
    from dagster import Definitions, in_process_executor, job, multiprocess_executor, op

    @op
    def first() -> int:
        return 1

    @op
    def following(value: int) -> int:
        return value

    @op
    def alone() -> None:
        pass

    @op
    def waits() -> None:
        import time
        open("waiting", "w").close()
        time.sleep(1.0)

    def chain(length, executor, kind):
        @job(name=f"{kind}{length}", executor_def=executor)
        def made():
            value = first()
            for i in range(length - 1):
                value = following.alias(f"following{i}")(value)
        return made

    two_at_a_time = multiprocess_executor.configured({"max_concurrent": 2, "start_method": {"forkserver": {}}})

    @job(executor_def=two_at_a_time)
    def fan():
        for i in range(100):
            alone.alias(f"alone{i}")()

    @job(executor_def=multiprocess_executor)
    def wait():
        waits()

    one_own, chain5_own = chain(1, multiprocess_executor, "own"), chain(5, multiprocess_executor, "own")
    one_here, chain21_here = chain(1, in_process_executor, "here"), chain(21, in_process_executor, "here")
    defs = Definitions(jobs=[one_own, chain5_own, one_here, chain21_here, fan, wait])
"""
DAGSTER_IN_PYTHON = """
    import time
    from dagster import graph, op

    @op
    def first():
        return 1

    @op
    def following(value):
        return value

    def chain(length):
        @graph(name=f"c{length}")
        def made():
            value = first()
            for i in range(length - 1):
                value = following.alias(f"following{i}")(value)
        return made

    import logging
    logging.disable(logging.CRITICAL)
    results = []
    for length in (1, 51):
        built = chain(length)
        built.execute_in_process()
        taken = []
        for _ in range(5):
            started = time.perf_counter()
            built.execute_in_process()
            taken.append(time.perf_counter() - started)
        results.append(sorted(taken)[2])
    print(*results)
"""
LUIGI_TASKS = """
    import luigi

    class Step(luigi.Task):
        i = luigi.IntParameter()
        name = luigi.Parameter(default="a")

        def requires(self):
            return [Step(i=self.i - 1, name=self.name)] if self.i > 0 else []

        def output(self):
            return luigi.LocalTarget(f"out/{self.name}/{self.i}")

        def run(self):
            with self.output().open("w") as f:
                f.write("1")

    class Alone(luigi.Task):
        i = luigi.IntParameter()

        def output(self):
            return luigi.LocalTarget(f"out/alone/{self.i}")

        def run(self):
            with self.output().open("w") as f:
                f.write("1")

    class Fan(luigi.WrapperTask):
        def requires(self):
            return [Alone(i=i) for i in range(100)]
"""


class Nobody:
    """No peers: every row stands alone."""

    def __getattr__(self, _name):
        return dict


class Forgiven:
    """Others, of whom one that cannot do what it is asked is left out, and that is said."""

    def __init__(self, peers):
        self._peers = peers

    def __getattr__(self, name):
        def ask():
            try:
                return getattr(self._peers, name)()
            except (RuntimeError, subprocess.SubprocessError) as error:
                print(f"no peer for {name}: {str(error).strip().splitlines()[-1]}", file=sys.stderr)
                return {}

        return ask


class Peers:
    """Dagster and Luigi, measured on first use. What cannot be installed is left out, and that is said."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.dagster = _environment(scratch / "dagster", DAGSTER, "duckdb", "pyarrow")
        self.luigi = _environment(scratch / "luigi", LUIGI)
        self._known = {}

    def start_up(self):
        found = {}
        if self.dagster:
            found["Dagster"] = seconds([self.dagster / "dagster", "--version"], 3)
        if self.luigi:
            found["Luigi"] = seconds([self.luigi / "luigi", "--help"], 3)
        return found

    def one_step(self):
        found = {}
        if self.dagster:
            found["Dagster, own process"] = self._dagster("own1")
            found["Dagster, in process"] = self._dagster("here1")
        if self.luigi:
            found["Luigi, in process, no history"] = self._luigi("Step", "--i", "0")
        return found

    def chain_slope(self):
        if not self.dagster:
            return {}
        return {"Dagster, own process": slope(self._dagster("own1"), self._dagster("own5"), 1, 5) * 1000}

    def in_process_slope(self):
        found = {}
        if self.dagster:
            found["Dagster"] = slope(self._dagster("here1"), self._dagster("here21"), 1, 21) * 1000
        if self.luigi:
            few, many = self._luigi("Step", "--i", "0"), self._luigi("Step", "--i", "100")
            found["Luigi"] = slope(few, many, 1, 101) * 1000
        return found

    def fan_out(self):
        found = {}
        if self.dagster:
            found["Dagster"] = self._dagster("fan", times=1) - self._dagster("own1")
        if self.luigi:
            found["Luigi"] = self._luigi("Fan", "--workers", "2") - self._luigi("Step", "--i", "0")
        return found

    def in_python(self):
        if not self.dagster:
            return {}
        program = textwrap.dedent(DAGSTER_IN_PYTHON)
        done = subprocess.run(
            [self.dagster / "python", "-c", program], capture_output=True, text=True, check=True, env=self._home()
        )
        few, many = map(float, done.stdout.split())
        return {"fixed": {"Dagster": few * 1000}, "each": {"Dagster": (many - few) / 50 * 1000}}

    def runs_list(self):
        if not self.dagster:
            return {}
        self._dagster("here1", times=1)
        command = [self.dagster / "dagster", "run", "list", "--limit", "20"]
        return {"Dagster, a handful of runs": seconds(command, 3, env=self._home())}

    def memory(self):
        if not self.dagster:
            return {}
        path = self._jobs()
        (path / "waiting").unlink(missing_ok=True)
        process = subprocess.Popen(
            [self.dagster / "dagster", "job", "execute", "-f", "jobs.py", "-j", "wait"],
            cwd=path, env=self._home(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while not (path / "waiting").exists() and process.poll() is None:
            time.sleep(0.01)
        found = statistics.median(memory_of_tree(process.pid) for _ in range(5)) / 1e6
        process.wait()
        return {"Dagster": found}

    def sensor_latency(self):
        if not self.dagster:
            return {}
        took = dagster_daemon.sensor_latency(self.dagster, self.scratch / "dagster-asking", self._home("asking"))
        return {} if took is None else {"Dagster": took * 1000}

    def idle(self):
        if not self.dagster:
            return {}
        used, memory = dagster_daemon.idle(self.dagster, self.scratch / "dagster-resting", self._home("resting"))
        return {"cpu": {"Dagster": used}, "memory": {"Dagster": memory}}

    def _dagster(self, job, times=3):
        if job not in self._known:
            command = [self.dagster / "dagster", "job", "execute", "-f", "jobs.py", "-j", job]
            self._known[job] = seconds(command, times, cwd=self._jobs(), env=self._home())
        return self._known[job]

    def _jobs(self):
        path = self.scratch / "dagster-jobs"
        path.mkdir(exist_ok=True)
        (path / "jobs.py").write_text(textwrap.dedent(DAGSTER_JOBS))
        return path

    def _home(self, name="home"):
        home = self.scratch / f"dagster-{name}-home"
        home.mkdir(exist_ok=True)
        (home / "dagster.yaml").touch()
        return {**os.environ, "DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "yes"}

    def _luigi(self, *arguments):
        path = self.scratch / "luigi-tasks"
        path.mkdir(exist_ok=True)
        (path / "tasks.py").write_text(textwrap.dedent(LUIGI_TASKS))
        taken = []
        for _ in range(3):
            subprocess.run(["rm", "-rf", "out"], cwd=path, check=True)
            command = [
                self.luigi / "luigi",
                "--module",
                "tasks",
                "--local-scheduler",
                "--log-level",
                "ERROR",
                *arguments,
            ]
            taken.append(seconds(command, 1, cwd=path, env={**os.environ, "PYTHONPATH": "."}))
        return statistics.median(taken)


def _environment(path, *packages):
    programs = path / "bin"
    stamp = path / "installed"
    if stamp.exists() and stamp.read_text() == " ".join(packages):
        return programs
    print(f"installing {' '.join(packages)} to compare with", file=sys.stderr)
    venv.create(path, with_pip=True)
    install = [programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    if subprocess.run(install).returncode != 0:
        print(f"{packages[0]} cannot be installed here and is left out", file=sys.stderr)
        return None
    stamp.write_text(" ".join(packages))
    return Path(programs)
