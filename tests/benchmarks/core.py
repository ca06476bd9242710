"""Rows of the core: commands, runs, steps, planning, ingestion, memory, disk."""

import os
import random
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.benchmarks import workspaces
from tests.benchmarks.measure import (
    ORCHESTRATOR,
    Row,
    fork_and_reap,
    memory_of_tree,
    one_run,
    python_itself,
    seconds,
    slope,
    timed,
)
from tests.benchmarks.watched import WatchedDaemon


def rows(scratch, peers, size):
    """(name, function that measures it), in the order of the table."""
    return [
        ("help and version", lambda: start_up(peers, size)),
        ("run one step", lambda: one_step(scratch, peers, size)),
        ("run chain slope", lambda: chain_slope(scratch, peers, size)),
        ("run chain in_process slope", lambda: in_process_slope(scratch, peers, size)),
        ("run fan-out", lambda: fan_out(scratch, peers, size)),
        ("execute_in_process", lambda: in_python(peers, size)),
        ("plan of 10,000 steps", lambda: large_plan(scratch, size)),
        ("ingest", lambda: ingestion(scratch, size)),
        ("runs list", lambda: listing(scratch, peers, size)),
        ("memory of a run", lambda: memory(scratch, peers)),
        ("disk per run", lambda: disk(scratch, size)),
    ]


def start_up(peers, size):
    limit = python_itself(size(15, 1))
    help_, version = (seconds([ORCHESTRATOR, option], size(15, 1)) for option in ("--help", "--version"))
    beside = {"python -c pass": limit, **peers.start_up()}
    yield Row("`orchestrator --help`", help_, "s", 0.15, yardstick="python", beside=beside)
    yield Row("`orchestrator --help`, in starts of Python", help_ / limit, "x", 10)
    yield Row("`orchestrator --version`", version, "s", 0.15, yardstick="python")


def one_step(scratch, peers, size):
    path = workspaces.make(scratch / "one")
    took = seconds([ORCHESTRATOR, "run", "one"], size(9, 1), cwd=path)
    yield Row("`run` of one step, own process, durable", took, "s", 0.40, yardstick="python", beside=peers.one_step())
    limit = python_itself(size(15, 1))
    imported = seconds([sys.executable, "-c", "import pipelines"], size(9, 1), cwd=path)
    yield Row(
        "`run` of one step beyond the import of its module, in starts of Python",
        (took - (imported - limit)) / limit,
        "x",
        12,
        is_difference=True,
    )


def chain_slope(scratch, peers, size):
    path = workspaces.make(scratch / "chain")
    few = seconds([ORCHESTRATOR, "run", "one"], size(9, 1), cwd=path)
    many = seconds([ORCHESTRATOR, "run", "chain50"], size(7, 1), cwd=path)
    each = slope(few, many, 1, 50) * 1000
    fork = fork_and_reap("pipelines", cwd=path) * 1000
    beside = {"fork and reap": fork, **peers.chain_slope()}
    what = "each further step of a chain, own process"
    yield Row(what, each, "ms", 5.0, yardstick="fork", beside=beside, is_difference=True)
    yield Row(f"{what}, in forks of the same module", each / fork, "x", 2, is_difference=True)


def in_process_slope(scratch, peers, size):
    path = workspaces.make(scratch / "in_process")
    here = ["--executor", "in_process"]
    few = seconds([ORCHESTRATOR, "run", "one", *here], size(9, 1), cwd=path)
    many = seconds([ORCHESTRATOR, "run", "chain100", *here], size(7, 1), cwd=path)
    each = slope(few, many, 1, 100) * 1000
    yield Row(
        "each further step, --executor in_process",
        each,
        "ms",
        1.0,
        yardstick="loop",
        beside=peers.in_process_slope(),
        is_difference=True,
    )


def fan_out(scratch, peers, size):
    path = workspaces.make(scratch / "fan", concurrent=2)
    one = seconds([ORCHESTRATOR, "run", "one"], size(9, 1), cwd=path)
    many = seconds([ORCHESTRATOR, "run", "fan100"], size(7, 1), cwd=path)
    yield Row(
        "fan-out of 100 steps, 2 at a time, beyond one",
        many - one,
        "s",
        0.35,
        yardstick="fork",
        beside=peers.fan_out(),
        is_difference=True,
    )


def in_python(peers, size):
    from orchestrator import pipeline, step

    @step
    def first():
        return 1

    @step
    def following(value):
        return value

    def chain(length):
        @pipeline(name=f"c{length}")
        def made():
            handle = first()
            for _ in range(length - 1):
                handle = following(handle)

        return made

    few, many = chain(1), chain(101)
    few.execute_in_process()
    fixed, whole = timed(few.execute_in_process, size(50, 1)) * 1000, timed(many.execute_in_process, size(20, 1)) * 1000
    beside = peers.in_python()
    yield Row("`execute_in_process`, one step", fixed, "ms", 1.0, yardstick="loop", beside=beside.get("fixed", {}))
    yield Row(
        "`execute_in_process`, each further step",
        (whole - fixed) / 100,
        "ms",
        0.15,
        yardstick="loop",
        beside=beside.get("each", {}),
        is_difference=True,
    )


def large_plan(scratch, size):
    """Everything but the steps' own processes: an executor that is done at once takes their place."""
    few, many = size((100, 10_000), (10, 50))
    costs = {steps: plan_and_drive(scratch / f"plan{steps}", steps, size(5, 1)) for steps in (few, many)}
    growth = (costs[many] / many) / (costs[few] / few)
    yield Row(f"plan of {many:,} steps: planning, engine, journal", costs[many], "s", 2.0, yardstick="loop")
    yield Row(f"cost per step at {many:,} over that at {few}", growth, "x", 1.3)


def plan_and_drive(path, size, times):

    from orchestrator import pipeline, step
    from orchestrator.model.run import RunRecord, Trigger
    from orchestrator.planning.compile import plan_run
    from orchestrator.planning.plan import PlanRequest
    from orchestrator.runlog.creation import create_run
    from orchestrator.service.driver import OwnedRun, RunDriver
    from orchestrator.service.foreground import Interrupts, drive_to_end
    from orchestrator.state_dir import prepare

    @step
    def first():
        return 1

    @step
    def following(value):
        return value

    @step
    def gather(values):
        return None

    @pipeline(name=f"p{size}")
    def wide():
        ends = []
        for _ in range(size // 10):
            handle = first()
            for _ in range(9):
                handle = following(handle)
            ends.append(handle)
        gather(ends)

    state = prepare(path / "state")

    def drive(number):
        planned = plan_run(wide, PlanRequest(pipeline=wide.name, executor="instant"), {})
        record = RunRecord(
            run_id=f"{number:012d}",
            pipeline=wide.name,
            location="main",
            mode="default",
            created_at=datetime.now(UTC),
            trigger=Trigger(),
            max_concurrent_steps=64,
            plan=planned.encoded_plan,
        )
        run_log = create_run(state, record)
        executor = Instant()
        driver = RunDriver(OwnedRun(run_log, record, run_log.own()), lambda _name: executor)
        driver.begin("foreground")
        interrupts = Interrupts()
        drive_to_end(driver, [executor], interrupts)
        interrupts.close()
        driver.close()
        assert str(driver.progress.status) == "SUCCESS"

    numbers = iter(range(1000))
    return timed(lambda: drive(next(numbers)), times)


class Instant:
    """An executor whose attempts have succeeded by the time anybody looks."""

    name = "instant"

    def __init__(self):
        self._launched = []

    def launch(self, attempt):
        self._launched.append(attempt.package.spec)
        return attempt.handle

    def poll(self):
        from orchestrator.attempts.observation import Observation, Phase
        from orchestrator.model import events as ev

        taken, self._launched = self._launched, []
        now = datetime.now(UTC)
        found = {}
        for spec in taken:
            common = {"at": now, "step": spec.step, "attempt": spec.attempt}
            events = (
                ev.AttemptStarted(n=0, pid=1, host="here", **common),
                ev.OutputProduced(n=1, output="result", **common),
                ev.OutputStored(n=2, output="result", manager="io_manager", **common),
                ev.AttemptSucceeded(n=3, seconds=0.0, outputs={"result": None}, **common),
            )
            found[spec.handle] = Observation(Phase.SUCCEEDED, events)
        return found

    def close(self):
        pass

    def end_run(self, run_id):
        pass

    def descriptors(self):
        # Something that is always readable: there is always something new.
        return [self._always] if hasattr(self, "_always") else [self._make()]

    def _make(self):
        reading, writing = os.pipe()
        os.write(writing, b"!")
        self._always = reading
        return reading


def ingestion(scratch, size):
    """Journals of many runs, taken in at once."""
    from orchestrator.catalog.session import open_store
    from orchestrator.state_dir import prepare

    state = prepare(scratch / "ingest" / "state")
    runs, each = size((200, 500), (3, 20))
    for number in range(runs):
        write_run(state, number, each)
    with open_store(state, ingest=False):
        pass
    started = time.perf_counter()
    with open_store(state):
        took = time.perf_counter() - started
    what = f"ingest of {runs * each:,} events of {runs} runs"
    yield Row(what, runs * each / took, "events/s", 100_000, more_is_better=True, yardstick="loop")


def write_run(state, number, events):
    from orchestrator.model import events as ev
    from orchestrator.model.events import encode_line
    from orchestrator.model.run import RunRecord, Trigger
    from orchestrator.model.states import RunState
    from orchestrator.runlog.creation import create_run

    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
    record = RunRecord(
        run_id=f"{number:012d}", pipeline="p", location="main", mode="default", created_at=at, trigger=Trigger()
    )
    run_log = create_run(state, record)
    lines = [encode_line(ev.RunStarted(at=at, owner=ev.Owner("foreground", 1, "here")))]
    while len(lines) < events - 1:
        step = {"at": at, "step": f"step{len(lines) // 5}", "attempt": 1}
        lines += map(
            encode_line,
            [
                ev.AttemptLaunched(executor="subprocess", **step),
                ev.AttemptStarted(n=0, pid=1, host="here", **step),
                ev.OutputProduced(n=1, output="result", **step),
                ev.OutputStored(n=2, output="result", manager="io_manager", **step),
                ev.AttemptSucceeded(n=3, seconds=0.1, outputs={"result": None}, **step),
            ],
        )
    lines.append(encode_line(ev.RunFinished(at=at, status=RunState.SUCCESS)))
    writer = run_log.writer()
    writer.append(lines)
    writer.close()


def listing(scratch, peers, size):
    """The newest 20 of 100,000 runs with 3 million events."""
    path = workspaces.make(scratch / "list")
    runs = size(100_000, 100)
    fill_database(path / ".orchestrator", runs=runs, events_each=30)
    command = [ORCHESTRATOR, "runs", "list"]
    one_run(command, cwd=path)
    took = seconds(command, size(11, 1), cwd=path)
    what = f"`runs list`, {runs:,} runs, no daemon"
    yield Row(what, took, "s", 0.30, yardstick="duckdb", beside=peers.runs_list())


def fill_database(state_path, runs, events_each):
    """Rows as ingestion would have made them, by a shorter way."""
    import pyarrow as pa

    from orchestrator.catalog.session import open_store
    from orchestrator.ids import new_run_id
    from orchestrator.state_dir import prepare

    bits = random.Random(1).getrandbits
    ids = [new_run_id(bits) for _ in range(runs)]
    start = datetime(2025, 1, 1)
    created = [start + timedelta(seconds=30 * i) for i in range(runs)]
    with open_store(prepare(state_path)) as store:
        table = pa.table(
            {
                "run_id": ids,
                "pipeline": [f"p{i % 20}" for i in range(runs)],
                "location": ["main"] * runs,
                "mode": ["default"] * runs,
                "status": ["SUCCESS" if i % 10 else "FAILURE" for i in range(runs)],
                "created_at": created,
                "started_at": created,
                "finished_at": [at + timedelta(seconds=5) for at in created],
                "tags": ['{"team":"sales"}'] * runs,
                "trigger_json": ['{"kind":"manual","name":null,"run_key":null,"scheduled_at":null}'] * runs,
                "parent_run_id": pa.nulls(runs, pa.string()),
                "root_run_id": pa.nulls(runs, pa.string()),
                "reason": [""] * runs,
                "journal_lines": [events_each] * runs,
                "journal_offset": [events_each * 150] * runs,
            }
        )
        with store.database.transaction():
            insert(store.database, "runs", table)
            insert_events(store.database, ids, events_each)
        store.database.checkpoint()


def insert_events(database, ids, events_each):
    import pyarrow as pa

    at = datetime(2025, 1, 1)
    for start in range(0, len(ids), 10_000):
        some = ids[start : start + 10_000]
        count = len(some) * events_each
        table = pa.table(
            {
                "run_id": [run_id for run_id in some for _ in range(events_each)],
                "seq": list(range(events_each)) * len(some),
                "occurred_at": [at] * count,
                "event": ["attempt_started"] * count,
                "step": [f"step{i % 6}" for i in range(count)],
                "attempt": pa.array([1] * count, pa.int32()),
                "body": [f'{{"event":"attempt_started","at":"2025-01-01T00:00:00Z","n":{i}}}' for i in range(count)],
            }
        )
        insert(database, "events", table)


def insert(database, name, table):
    """Fills the columns that the table names; the others keep their defaults."""
    database._connection.register("incoming", table)
    database.execute(f"INSERT INTO {name} BY NAME SELECT * FROM incoming")
    database._connection.unregister("incoming")


def memory(scratch, peers):
    """The most that all processes of a run take together, sampled while a step waits."""
    source = """
        import time
        from orchestrator import pipeline, step

        @step
        def waits():
            open("waiting", "w").close()
            time.sleep(1.0)

        @pipeline
        def wait():
            waits()
    """
    path = workspaces.make(scratch / "memory", source)
    process = subprocess.Popen(
        [ORCHESTRATOR, "run", "wait"], cwd=path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not (path / "waiting").exists():
        time.sleep(0.01)
    found = statistics.median(memory_of_tree(process.pid) for _ in range(5)) / 1e6
    process.wait()
    yield Row("memory of a foreground run, all processes (PSS)", found, "MB", 90, beside=peers.memory())


def disk(scratch, size):
    """What one more run of ten steps adds to the state, once it is compacted. Stored values are the user's.

    Of some hundreds of runs: the database grows by whole blocks, and takes a megabyte or two for the first run.
    """
    wanting = """
        from pathlib import Path
        from orchestrator import RunRequest, sensor

        @sensor(pipeline=chain10, interval=1, default_on=True)
        def many(context):
            for number in range(int(Path("wanted").read_text())):
                yield RunRequest(run_key=str(number))
    """
    path = workspaces.make(scratch / "disk", workspaces.PIPELINES + wanting.replace("\n    ", "\n"))
    (path / ".orchestrator.yaml").write_text(
        "{locations: [{name: main, file: pipelines.py}], executor: {default: in_process}}"
    )
    sizes = {}
    few, many = size((300, 900), (2, 4))
    for wanted in (few, many):
        (path / "wanted").write_text(str(wanted))
        with WatchedDaemon(path) as daemon:
            daemon.until_loaded()
            done = f"SELECT count(*) = {wanted} FROM runs WHERE status = 'SUCCESS'"
            daemon.until(lambda done=done: daemon.ask(done) == [(True,)], f"{wanted} runs", 0.2)
        one_run([ORCHESTRATOR, "state", "compact"], cwd=path)
        sizes[wanted] = state_size(path / ".orchestrator")
    each = (sizes[many] - sizes[few]) / (many - few) / 1024
    yield Row("state on disk per run of 10 steps, compacted", each, "KB", 12)


def state_size(path):
    from orchestrator.runlog.archive import size_on_disk

    return size_on_disk(str(path)) - size_on_disk(str(Path(path) / "storage"))
