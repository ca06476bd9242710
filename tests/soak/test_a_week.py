"""A daemon is used for a week, in minutes, on a machine where everything goes wrong: it keeps its word and its size.

`ORCHESTRATOR_SOAK_MINUTES=20 python3 tests/run.py -m soak -s tests/soak` is the long form; the short one is always run.
"""

import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from .measures import median, size_of
from .week import Disk, Week
from .workspace import SCHEDULES, write

MINUTES = float(os.environ.get("ORCHESTRATOR_SOAK_MINUTES", "20"))
SEED = int(os.environ.get("ORCHESTRATOR_SOAK_SEED", "1"))
SETTLES_S = 240


@pytest.fixture
def live(bench):
    """Lives a week of that many seconds and waits until all work is done."""
    lived = []

    def live(seconds):
        disk = Disk(bench.state, megabytes=96 if seconds < 60 else 1024)
        write(bench)
        week = Week(bench, seconds, SEED, full_disk=disk.mounted)
        lived.append((week, disk))
        week.began_at = datetime.now(UTC)
        week.live()
        week.ended_at = datetime.now(UTC)
        return week

    yield live
    for week, disk in lived:
        week.clean_up()
        bench.clean_up()
        disk.release()


@pytest.mark.long
def test_a_quarter_of_a_minute_of_trouble_loses_nothing_and_doubles_nothing(bench, live):
    week = live(15)
    check_ledger(week)
    week.stop()
    check_state(week)


@pytest.mark.soak
def test_a_week_of_trouble_loses_nothing_doubles_nothing_and_leaves_nothing_behind(bench, live):
    week = live(MINUTES * 60)
    check_ledger(week)
    check_growth(week)
    size = size_of(bench.state / "runs") + (bench.state / "state.duckdb").stat().st_size
    runs = len(bench.json("runs", "list", "--limit", "1000000"))
    week.stop()
    print(f"\n{dict(Counter(week.happened))}")
    print(f"{runs} runs, {size / runs / 1000:.1f} KB of state a run before compaction")
    check_state(week)
    bench("state", "compact").ok()
    size = size_of(bench.state / "runs") + (bench.state / "state.duckdb").stat().st_size
    print(f"{size / runs / 1000:.1f} KB a run after compaction")
    assert size / runs < 30_000


def check_ledger(week):
    """Every occurrence and every key once: one run each, and each attempt of it once."""
    expected = {*week.dropped, *occurrences(week)}
    bench = week.bench
    bench.wait_longer(lambda: expected <= {what for what, _, _ in lines(bench)}, SETTLES_S, "everything in the ledger")
    bench.wait_longer(lambda: not unfinished(bench), SETTLES_S, "the end of every run")
    ledger = lines(bench)
    assert {what: n for what, n in Counter(ledger).items() if n > 1} == {}
    runs = Counter(what for what, _ in {(what, run) for what, run, _ in ledger})
    assert {what: n for what, n in runs.items() if n > 1} == {}
    failed = bench.json("runs", "list", "--status", "FAILURE", "--limit", "1000")
    assert failed == [], [bench("runs", "show", run["run_id"]) for run in failed[:3]]


def occurrences(week):
    """The minutes that lay wholly within the week; the daemon may have switched its schedules on in the first one."""
    minute = week.began_at.replace(second=0, microsecond=0) + timedelta(minutes=1)
    if (minute - week.began_at).total_seconds() < 10:
        minute += timedelta(minutes=1)
    while minute < week.ended_at:
        yield from (f"schedule_{number}@{minute:%Y-%m-%dT%H:%M}" for number in range(SCHEDULES))
        minute += timedelta(minutes=1)


def lines(bench):
    return [tuple(line.rsplit(",", 2)) for line in bench.ledger()]


def unfinished(bench):
    done = bench("sql", "SELECT count(*) AS n FROM runs WHERE status NOT IN ('SUCCESS','FAILURE','CANCELED')", "--json")
    return done.code != 0 or '"n": 0' not in done.out.replace('"n":0', '"n": 0')


def check_growth(week):
    """The daemon of the calm part: after it has warmed up it neither grows nor collects anything."""
    samples = [(at, found) for at, pid, found in week.samples if pid == week.daemon.pid]
    warm = [found for at, found in samples if at > samples[0][0] + (samples[-1][0] - samples[0][0]) * 0.25]
    third = len(warm) // 3
    before, after = warm[:third], warm[-third:]
    for name in ("pss_kb", "descriptors", "processes", "zombies"):
        print(f"{name}: {median(getattr(s, name) for s in before)} -> {median(getattr(s, name) for s in after)}")
    assert median(s.pss_kb for s in after) < 1.15 * median(s.pss_kb for s in before) + 8_000
    assert median(s.descriptors for s in after) <= median(s.descriptors for s in before) + 8
    assert median(s.zombies for s in after) == 0


def check_state(week):
    """In order; a rebuilt index is the same; a backup that was made under load is one to go on from."""
    bench = week.bench
    bench.wait_until(lambda: not bench.processes(), f"the end of {described(bench)}")
    bench.here("state", "check").ok()
    before = index(bench)
    bench("state", "rebuild").ok()
    assert index(bench) == before
    if not week.backups:
        return
    keys = "SELECT automation, run_key FROM run_keys ORDER BY ALL"
    had = bench.json("sql", keys)
    bench("state", "restore", week.backups[-1], "--yes").ok()
    bench.here("state", "check").ok()
    assert index(bench) == before
    assert {tuple(row.values()) for row in bench.json("sql", keys)} <= {tuple(row.values()) for row in had}


def described(bench):
    """What still works for this workspace, by its command line, its state and its parent."""
    found = []
    for pid in bench.processes():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            found.append((pid, command[-80:], Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]))
        except OSError:
            continue  # it has ended meanwhile
    return found


def index(bench):
    """What the index says of runs, steps, events and assets."""
    return [
        bench.json("sql", query)
        for query in (
            "SELECT run_id, pipeline, status, created_at, started_at, finished_at, journal_lines FROM runs ORDER BY 1",
            "SELECT run_id, step, status, attempts, started_at, finished_at, error FROM steps ORDER BY 1, 2",
            "SELECT run_id, count(*) AS n, max(seq) AS seq FROM events GROUP BY 1 ORDER BY 1",
        )
    ]
