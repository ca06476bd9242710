"""A disk that fills while the daemon works: it says so, waits, and goes on by itself; nothing is lost or done twice."""

import subprocess
from collections import Counter

import pytest

from tests.daemon.held import HELD, begun, ended, enqueue, go, statuses

STATE_MB = 24


@pytest.fixture
def small_disk(bench, daemon):
    """A daemon whose state lies on a disk of its own."""
    bench.write(HELD)
    bench.state.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={STATE_MB}m,mode=0700", "tmpfs", bench.state], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount")
    yield daemon
    bench.clean_up()
    subprocess.run(["umount", "-l", bench.state], check=True)


def fill(bench):
    """Writes until nothing more can be written."""
    with (bench.state / "runs" / ".filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass


def erroring(bench):
    return [one["error"] for one in bench.json("daemon", "status")["concerns"] if one["erroring"]]


def test_runs_wait_for_space_and_go_on_when_there_is_some(bench, small_disk):
    bench.settings("locations: [{name: main, file: pipelines.py}]\nrun_queue: {max_concurrent_runs: 2}")
    going = enqueue(bench, "a", "b", pipeline="chain")
    small_disk.start()
    small_disk.until(lambda: sorted(begun(bench)) == ["a", "b"], "both runs")
    waiting = enqueue(bench, "c", "d", pipeline="chain")
    fill(bench)
    go(bench)
    small_disk.until(lambda: any("disk is full" in error for error in erroring(bench)), "the complaint")
    status = bench.here("status")
    assert status.code == 1
    assert "The disk is full" in " ".join(status.out.split())
    assert sorted(begun(bench)) == ["a", "b"], "nothing begins that could not say how it ended"
    (bench.state / "runs" / ".filler").unlink()
    small_disk.until(lambda: all(statuses(bench)[run] == "SUCCESS" for run in waiting), "the runs that waited")
    small_disk.until(lambda: not erroring(bench), "the recovery")
    small_disk.stop()
    assert Counter(begun(bench))["c"] == Counter(begun(bench))["d"] == 1
    assert sorted(ended(bench)) == sorted(begun(bench))
    for run in going:  # their steps could not store what they made: they failed of that, or were tried again
        shown = bench.json("runs", "show", run)
        assert shown["status"] == "SUCCESS" or "No space left on device" in shown["steps"][0]["error"]
    bench.here("state", "check").ok()
