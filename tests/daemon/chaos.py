"""A daemon under load, and somebody who kills its processes with SIGKILL at random; the ledger says what was done.

A line of the ledger is `subject run step attempt begin|end`, appended by the step itself.
"""

import os
import random
import signal
import time
from collections import Counter, defaultdict

PIPELINES = """
    import os
    import time
    from dataclasses import dataclass
    from pathlib import Path
    from zlib import crc32
    from orchestrator import RetryPolicy, RunRequest, pipeline, schedule, sensor, step

    @dataclass
    class What:
        subject: str
        seconds: float = 0.02

    def write(context, config, what):
        line = f"{config.subject} {context.run_id} {context.step} {os.environ['ORCHESTRATOR_ATTEMPT']} {what}\\n"
        descriptor = os.open("ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, line.encode())
        os.close(descriptor)

    def work(context, config):
        write(context, config, "begin")
        time.sleep(config.seconds)
        write(context, config, "end")

    AGAIN = RetryPolicy(max_retries=100, infrastructure_retries=100)

    @step(retry=AGAIN)
    def first(context, config: What) -> int:
        work(context, config)
        return 1

    @step(retry=AGAIN)
    def left(context, config: What, value: int) -> int:
        work(context, config)
        return value + 1

    @step(retry=AGAIN)
    def right(context, config: What, value: int) -> int:
        work(context, config)
        return value + 2

    @step(retry=AGAIN)
    def last(context, config: What, a: int, b: int) -> None:
        assert (a, b) == (2, 3)
        work(context, config)

    @pipeline
    def chain():
        one = first()
        last(left(one), right(one))

    def config(subject):
        given = {"config": {"subject": subject, "seconds": 0.02 + crc32(subject.encode()) % 7 / 50}}
        return {"steps": dict.fromkeys(("first", "left", "right", "last"), given)}

    def inbox(name, interval):
        @sensor(name=name, pipeline=chain, interval=interval, default_on=True)
        def look(context):
            for path in sorted(Path("inbox", name).glob("*")):
                yield RunRequest(run_key=path.name, config=config(f"{name}/{path.name}"))
        return look

    def minutely(name, overlap):
        @schedule(name=name, cron="* * * * *", pipeline=chain, catch_up="all", overlap=overlap)
        def occur(context):
            return config(f"{name}/{context.scheduled_at:%H:%M}")
        return occur

    s0, s1, s2, s3, s4, s5, s6, s7 = (inbox(f"s{n}", 0.1 + n / 8) for n in range(8))
    together, in_turn = minutely("together", "allow"), minutely("in_turn", "skip")
"""
STEPS = ("first", "left", "right", "last")
# A settled daemon needs moments to do what is left; one on a busy machine with many runs to repeat needs longer.
SETTLES_S = 240


class Chaos:
    """The load, the killing and the reckoning. `seed` makes the choices repeatable, not the timing."""

    def __init__(self, daemon, seed):
        self.daemon, self.bench, self.path = daemon, daemon.bench, daemon.path
        self.random = random.Random(seed)
        self.kills = Counter()
        self.subjects = []
        self.lives = 0
        self.bench.write(PIPELINES)
        self.bench.settings(
            "{locations: [{name: main, file: pipelines.py}], run_queue: {max_concurrent_runs: 6},"
            " executor: {max_concurrent_steps: 3}}"
        )

    def prepare(self, minutes):
        """Two schedules that have waited for that many minutes."""
        for name in ("together", "in_turn"):
            self.bench.here("schedule", "start", name).ok()
            self.subjects += [f"{name}/{instant}" for instant in self.daemon.turn_back(name, minutes)]

    def start(self):
        self.lives += 1
        self.daemon.start(to=self.path / f"daemon-{self.lives}.out")

    def go_on_for(self, seconds, deaths=0):
        """Load and death, for that long and until there were so many deaths."""
        self.start()
        end = time.monotonic() + seconds
        next_kill = time.monotonic() + 1.0
        while time.monotonic() < end or self.kills.total() < deaths:
            self.drop()
            time.sleep(self.random.uniform(0.1, 0.5))
            if self.daemon.process.poll() is not None:
                self.start()
            elif time.monotonic() >= next_kill:
                self.kill()
                next_kill = time.monotonic() + self.random.uniform(0.1, 1.5)

    def drop(self):
        """Something new for a sensor to find."""
        name = f"s{self.random.randrange(8)}"
        key = f"k{len(self.subjects)}"
        (self.path / "inbox" / name).mkdir(parents=True, exist_ok=True)
        (self.path / "inbox" / name / key).touch()
        self.subjects.append(f"{name}/{key}")

    def kill(self):
        """One process of ours dies: the daemon, a location, or, most often, an evaluator or a step."""
        daemon = self.daemon.process.pid
        kinds = defaultdict(list)
        for pid in self.bench.processes():
            kinds["daemon" if pid == daemon else "location" if _parent(pid) == daemon else "step or evaluator"].append(
                pid
            )
        if "step or evaluator" not in kinds:
            return  # it is just coming to life: that is not much of a chance
        (kind,) = self.random.choices(("daemon", "location", "step or evaluator"), (2, 1, 6))
        if not kinds[kind]:
            return
        pid = self.random.choice(kinds[kind])
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.kills[kind] += 1
        if pid == daemon:
            self.daemon.process.wait()

    def settle(self):
        """Lets the daemon, alive again, finish what it was asked to do; then stops it."""
        if self.daemon.process.poll() is not None:
            self.start()
        done = self._until(lambda: set(self.subjects) <= self._finished(), SETTLES_S)
        assert done, f"never done: {sorted(set(self.subjects) - self._finished())[:20]}\n{self.log()}"
        for name in ("together", "in_turn"):
            self.bench.here("schedule", "stop", name).ok()
        over = self._until(lambda: all(run["status"] == "SUCCESS" for run in self.runs()), SETTLES_S)
        assert over, [run for run in self.runs() if run["status"] != "SUCCESS"]
        self.daemon.stop()
        self.bench.wait_until(lambda: not self.bench.processes(), "the end of every process")

    def runs(self):
        return self.bench.json("runs", "list", "--limit", "0")

    def log(self):
        return "".join((self.bench.state / "daemon.log").read_text().splitlines(keepends=True)[-60:])

    def reckon(self):
        """Compares what was asked for with what was done; the numbers."""
        ledger = self._ledger()
        runs_of, lines_of = defaultdict(set), defaultdict(list)
        for place, (subject, run, step, attempt, what) in enumerate(ledger):
            runs_of[subject].add(run)
            lines_of[run, step].append((place, int(attempt), what))
        assert set(runs_of) >= set(self.subjects), "something was never done"
        assert {subject: runs for subject, runs in runs_of.items() if len(runs) != 1} == {}, "something was done twice"
        runs = {run["run_id"] for run in self.runs()}
        assert {run for found in runs_of.values() for run in found} == runs
        excused = self._unsuccessful_attempts()
        for run in runs:
            for step in STEPS:
                self._reckon_step(lines_of[run, step], excused[run, step])
        twice = (
            "SELECT run_id, step, count(*) FROM events WHERE event = 'attempt_succeeded'"
            " GROUP BY ALL HAVING count(*) <> 1"
        )
        assert self.bench.json("sql", twice) == []
        doubled = (
            "SELECT automation, scheduled_at FROM ticks WHERE scheduled_at IS NOT NULL AND status <> 'FAILURE'"
            " GROUP BY ALL HAVING count(*) <> 1"
        )
        assert self.bench.json("sql", doubled) == []
        self.bench.here("state", "check").ok()
        return {"kills": dict(self.kills), "asked for": len(self.subjects), "runs": len(runs), "lines": len(ledger),
                "attempts repeated": sum(len(attempts) for attempts in excused.values())}  # fmt: skip

    def _reckon_step(self, lines, excused):
        """One step of one run: each attempt begins once, after the one before it; whatever was not the last attempt
        is known to have died."""
        begun = [attempt for _, attempt, what in lines if what == "begin"]
        assert begun == sorted(set(begun)), f"an attempt was made twice: {lines}"
        attempts = [attempt for _, attempt, _ in lines]
        assert attempts == sorted(attempts), f"two attempts at the same time: {lines}"
        assert set(begun[:-1]) <= excused, f"repeated although it had not died: {lines} {excused}"
        assert lines[-1][2] == "end"
        assert begun[-1] not in excused

    def _unsuccessful_attempts(self):
        found = defaultdict(set)
        for row in self.bench.json(
            "sql", "SELECT run_id, step, attempt FROM events WHERE event IN ('attempt_died', 'attempt_lost')"
        ):
            found[row["run_id"], row["step"]].add(row["attempt"])
        return found

    def _ledger(self):
        return [line.split() for line in (self.path / "ledger").read_text().splitlines()]

    def _finished(self):
        try:
            return {line[0] for line in self._ledger() if line[2:3] == ["last"] and line[4] == "end"}
        except FileNotFoundError:
            return set()

    def _until(self, condition, seconds):
        end = time.monotonic() + seconds
        while not condition():
            assert self.daemon.process.poll() is None, f"the daemon has ended by itself\n{self.said()}"
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    def said(self):
        return (self.path / f"daemon-{self.lives}.out").read_text()


def _parent(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return int(stat.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0
