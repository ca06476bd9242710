"""Rows of the daemon: how prompt it is, how much it can carry, what it costs when nothing happens."""

import json
import statistics
import time

from tests.benchmarks import workspaces
from tests.benchmarks.core import fill_database
from tests.benchmarks.measure import Row, memory_of_programs, seconds
from tests.benchmarks.watched import WatchedDaemon, percentile, seconds_between

HEAD = """
    import os, time
    from pathlib import Path
    import duckdb
    import pyarrow
    from orchestrator import RunRequest, SkipReason, pipeline, schedule, sensor, step

    @step
    def nothing() -> None:
        pass

    @pipeline
    def work():
        nothing()
"""
# One request at every look, which says when it was asked for.
ASKING = """
    @sensor(pipeline=work, interval=0.25, default_on=True)
    def asking(context):
        yield RunRequest(tags={"asked_at": repr(time.time())})
"""
# Jitter spreads the occurrences of a minute over that minute, each at an instant of its own.
SCHEDULES = """
    def make(number):
        @schedule(cron="* * * * *", pipeline=work, jitter=55, default_on=True, name=f"each_minute_{number}")
        def made(context):
            return {}
        return made

    for number in range(60):
        globals()[f"made_{number}"] = make(number)
"""
SENSORS = """
    def look(number):
        @sensor(pipeline=work, interval=INTERVAL, default_on=True, name=f"looks_{number}")
        def made(context):
            return None
        return made

    for number in range(COUNT):
        globals()[f"look_{number}"] = look(number)
"""
# The least that a process which has a database open, and one which has imported the module, need together.
FLOOR = "one process with DuckDB in use, one that has imported the module"
DATABASE_IN_USE = """
import duckdb
database = duckdb.connect("floor.duckdb")
database.execute("CREATE TABLE numbers AS SELECT range AS number, range::VARCHAR AS name FROM range(1000)")
database.execute("SELECT count(*) FROM numbers WHERE name LIKE '%1%'").fetchall()
"""
IDLE_SCHEDULES = """
    def rest(number):
        @schedule(cron="0 3 1 1 *", pipeline=work, default_on=True, name=f"rests_{number}")
        def made(context):
            return {}
        return made

    for number in range(100):
        globals()[f"rest_{number}"] = rest(number)
"""
# As many requests as the file `wanted` says, all with the same keys each time.
FLOOD = """
    @sensor(pipeline=work, interval=0.1, timeout=60, default_on=True)
    def flood(context):
        try:
            count, keys = Path("wanted").read_text().split()
        except FileNotFoundError:
            return SkipReason("nothing is wanted")
        Path("asked").write_text(repr(time.time()))
        os.unlink("wanted")
        return [RunRequest(run_key=f"{keys}{number}") for number in range(int(count))]
"""


def rows(scratch, peers, size):
    """(name, function that measures it), in the order of the table."""
    return [
        ("daemon start", lambda: start(scratch, size)),
        ("daemon sensor latency", lambda: sensor_latency(scratch / "latency", peers, size)),
        ("daemon schedule latency", lambda: schedule_latency(scratch, size)),
        ("daemon 100 sensors", lambda: many_sensors(scratch, size(100, 3), 1, 25, size)),
        ("daemon 1,000 sensors", lambda: many_sensors(scratch, *size((1000, 30), (6, 1)), 15, size)),
        ("daemon requests", lambda: requests(scratch, size)),
        ("daemon queue throughput", lambda: throughput(scratch / "throughput", size(400, 4))),
        ("daemon idle", lambda: idle(scratch, peers, size)),
        ("daemon large history", lambda: large_history(scratch, size)),
    ]


def start(scratch, size):
    source = (
        HEAD
        + """
    @sensor(pipeline=work, default_on=True)
    def looks(context):
        Path("looked").touch()
"""
    )
    taken = []
    for number in range(size(5, 1)):  # each on a state of its own: a sensor that has looked waits for its interval
        path = workspaces.make(scratch / f"start{number}", source)
        with WatchedDaemon(path) as daemon:
            daemon.until((path / "looked").exists, "an evaluation", 0.002)
            taken.append((path / "looked").stat().st_mtime - daemon.started)
    yield Row("daemon: start to first evaluation", statistics.median(taken), "s", 0.8, yardstick="python")


def sensor_latency(path, peers, size):
    workspaces.make(path, HEAD + ASKING)
    taken = latencies(path, samples=size(60, 3))
    yield from promptness("sensor tick to run STARTED", taken, 50, 150, peers.sensor_latency())


def promptness(what, taken, median, slowest, beside=None):
    yield Row(f"{what}, median", percentile(taken, 50) * 1000, "ms", median, yardstick="loop", beside=beside or {})
    yield Row(f"{what}, 99 of 100", percentile(taken, 99) * 1000, "ms", slowest, yardstick="loop")


def latencies(path, samples):
    with WatchedDaemon(path) as daemon:
        daemon.until_loaded()
        count = "SELECT count(*) FROM runs WHERE started_at IS NOT NULL"
        daemon.until(lambda: daemon.ask(count)[0][0] >= samples, "runs that a sensor asked for", 0.5)
        found = daemon.ask("SELECT tags, started_at FROM runs WHERE started_at IS NOT NULL ORDER BY created_at")
    return [seconds_between(float(json.loads(tags)["asked_at"]), started) for tags, started in found]


def schedule_latency(scratch, size):
    from orchestrator.engine.schedule_decisions import jitter_of
    from orchestrator.model.automation import ScheduleInfo

    path = workspaces.make(scratch / "schedules", HEAD + SCHEDULES)
    info = ScheduleInfo(name="any", cron="* * * * *", pipeline="work", jitter=55.0)
    with WatchedDaemon(path) as daemon:
        daemon.until_loaded()
        time.sleep(size(130, 0))
        # A tiny run takes the first ones that come, within a minute.
        question = (
            "SELECT automation, scheduled_at, started_at FROM ticks JOIN runs ON run_ids = '[\"' || run_id || '\"]'"
            " WHERE ticks.kind = 'schedule' AND started_at IS NOT NULL"
        )
        daemon.until(lambda: len(daemon.ask(question)) >= 2, "occurrences", 0.5)
        found = daemon.ask(question)
    taken = []
    for name, scheduled_at, started_at in found:
        from datetime import datetime

        instant = datetime.fromisoformat(scheduled_at)
        due = instant + jitter_of(info, name, instant)
        taken.append((datetime.fromisoformat(started_at) - due).total_seconds())
    yield from promptness("schedule instant to run STARTED", taken, 60, 200)


def many_sensors(scratch, count, interval, budget, size):
    source = HEAD + SENSORS.replace("INTERVAL", str(interval)).replace("COUNT", str(count))
    path = workspaces.make(scratch / f"sensors{count}", source)
    with WatchedDaemon(path) as daemon:
        daemon.until_loaded()
        time.sleep(size(max(5, interval), 1))
        window = size(max(20, 2 * interval), 1)
        before = daemon.ask("SELECT count(*) FROM ticks")[0][0]
        used = daemon.cpu_during(window)
        made = daemon.ask("SELECT count(*) FROM ticks")[0][0] - before
    what = f"{count:,} sensors every {interval} s"
    expected = count * window / interval
    yield Row(f"{what}: evaluations made, of those due", 100 * made / expected, "%", 97, more_is_better=True)
    yield Row(f"{what}: processor time, of one core", 100 * used / window, "%", budget, yardstick="loop")


def requests(scratch, size):
    path = workspaces.make(scratch / "requests", HEAD + FLOOD)
    settings = path / ".orchestrator.yaml"
    settings.write_text(settings.read_text() + "run_queue: {max_concurrent_runs: 0}\n")
    with WatchedDaemon(path) as daemon:
        daemon.until_loaded()
        queued = "SELECT count(*) FROM runs WHERE status = 'QUEUED'"
        rounds, some, many = size((5, 1000, 10_000), (1, 10, 20))
        taken = [flood(daemon, some, f"round{n}_", queued, some * (n + 1)) for n in range(rounds)]
        what = f"{some:,} run requests in one tick, until all are QUEUED"
        yield Row(what, statistics.median(taken), "s", 0.15, yardstick="loop")
        dropped = "SELECT count(*) FROM ticks WHERE skip_reason LIKE '%used already%'"
        again = [flood(daemon, some, f"round{n}_", dropped, n + 1) for n in range(rounds)]
        yield Row(f"the same {some:,} keys again", statistics.median(again), "s", 0.05, yardstick="loop")
        took = flood(daemon, many, "many_", queued, rounds * some + many)
        yield Row(f"{many:,} run requests in one tick", took, "s", 1.0, yardstick="loop")


def flood(daemon, count, keys, question, expected):
    """Seconds from the sensor's look to its outcome on record."""
    (daemon.path / "asked").unlink(missing_ok=True)
    (daemon.path / "wanted.tmp").write_text(f"{count} {keys}")
    (daemon.path / "wanted.tmp").rename(daemon.path / "wanted")
    daemon.until(lambda: (daemon.path / "asked").exists() and (daemon.path / "asked").read_text(), "a look", 0.001)
    asked = float((daemon.path / "asked").read_text())
    return daemon.until(lambda: daemon.ask(question)[0][0] >= expected, "all requests on record", 0.002) - asked


def throughput(path, runs=400):
    workspaces.make(path, HEAD + FLOOD)
    with WatchedDaemon(path) as daemon:
        daemon.until_loaded()
        before = daemon.ask("SELECT count(*) FROM runs WHERE status = 'SUCCESS'")[0][0]
        done = f"SELECT count(*) - {before} FROM runs WHERE status = 'SUCCESS'"
        (path / "wanted.tmp").write_text(f"{runs} run_{time.time()}_")
        (path / "wanted.tmp").rename(path / "wanted")
        daemon.until(lambda: daemon.ask(done)[0][0] >= runs, "the end of all runs", 0.25)
        (took,) = daemon.ask(
            "SELECT epoch(max(finished_at)) - epoch(min(created_at)) FROM"
            f" (SELECT * FROM runs ORDER BY created_at DESC LIMIT {runs})"
        )[0]
    what = "one-step runs through the queue, sustained"
    yield Row(what, runs / took, "runs/s", 40, more_is_better=True, yardstick="fork")


def idle(scratch, peers, size):
    source = HEAD + SENSORS.replace("INTERVAL", "30").replace("COUNT", "100") + IDLE_SCHEDULES
    path = workspaces.make(scratch / "idle", source)
    with WatchedDaemon(path) as daemon:
        daemon.until_loaded()
        time.sleep(size(10, 0))
        used, memory = daemon.cpu_during(size(60, 1)), daemon.memory_mb()
    beside = peers.idle()
    floor = memory_of_programs(DATABASE_IN_USE, "import pipelines", cwd=path) / 1e6
    what = "idle, 100 sensors (30 s) and 100 schedules"
    yield Row(f"{what}: processor time a minute", used, "s", 1.0, yardstick="loop", beside=beside.get("cpu", {}))
    yield Row(f"{what}: memory, all processes", memory, "MB", 90, beside={FLOOR: floor, **beside.get("memory", {})})
    path = workspaces.make(scratch / "nothing", HEAD)
    with WatchedDaemon(path) as daemon:
        daemon.until_loaded()
        time.sleep(size(5, 0))
        used = daemon.cpu_during(size(60, 1))
        yield Row("idle, nothing switched on: processor time a minute", used, "s", 0.1, yardstick="loop")


def large_history(scratch, size):
    """The rows that could grow with history, on an empty state and on a large one, in one go."""
    empty = workspaces.make(scratch / "small", HEAD + ASKING + FLOOD)
    large = workspaces.make(scratch / "large", HEAD + ASKING + FLOOD)
    runs, ticks = size((100_000, 1_000_000), (100, 100))
    fill_database(large / ".orchestrator", runs=runs, events_each=30)
    fill_ticks(large / ".orchestrator", ticks)
    for what, measure, unit in HISTORY:
        small, grown = measure(empty, size), measure(large, size)
        growth = grown / small if unit != "runs/s" else small / grown
        what = f"{what}: growth with {runs:,} runs and {ticks:,} ticks"
        yield Row(what, growth, "x", 1.5, beside={"empty": small}, beside_unit=unit)


def started(path, _size):
    with WatchedDaemon(path) as daemon:
        daemon.until_loaded()
        return time.time() - daemon.started


def commands(path, size):
    from tests.benchmarks.measure import ORCHESTRATOR

    with WatchedDaemon(path) as daemon:
        daemon.until_loaded()
        return sum(
            seconds([ORCHESTRATOR, *command], size(5, 1), cwd=path)
            for command in (["runs", "list"], ["sensor", "ticks"], ["sensor", "list"])
        )


HISTORY = [
    ("daemon start until loaded", started, "s"),
    ("sensor tick to run STARTED", lambda path, size: percentile(latencies_since(path, size(30, 2)), 50), "s"),
    ("one-step runs through the queue", lambda path, size: next(throughput(path, size(150, 3))).value, "runs/s"),
    ("`runs list`, `sensor ticks` and `sensor list`", commands, "s"),
]


def latencies_since(path, samples):
    with WatchedDaemon(path) as daemon:
        daemon.until_loaded()
        mine = "FROM runs WHERE started_at IS NOT NULL AND tags LIKE '%asked_at%'"
        before = daemon.ask(f"SELECT count(*) {mine}")[0][0]
        daemon.until(lambda: daemon.ask(f"SELECT count(*) {mine}")[0][0] >= before + samples, "runs", 0.5)
        found = daemon.ask(f"SELECT tags, started_at {mine} ORDER BY created_at DESC LIMIT {samples}")
    return [seconds_between(float(json.loads(tags)["asked_at"]), started) for tags, started in found]


def fill_ticks(state_path, count):
    from orchestrator.catalog.session import open_store
    from orchestrator.state_dir import prepare

    with open_store(prepare(state_path)) as store:
        store.database.execute(
            "INSERT INTO tick_rows BY NAME SELECT printf('%012d', n) AS tick_id, 'main/sensor_' || (n % 50)"
            " AS automation,"
            " 'sensor' AS kind, CASE WHEN n % 20 = 0 THEN 'SUCCESS' ELSE 'SKIPPED' END AS status,"
            " TIMESTAMP '2026-11-01' + INTERVAL (n) SECOND AS occurred_at, 0.01 AS duration_s, '[]' AS run_ids,"
            f" '[]' AS run_keys, 'nothing new' AS skip_reason FROM range({count}) AS r(n)"
        )
        store.database.checkpoint()
