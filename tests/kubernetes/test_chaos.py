"""A daemon killed at random while its steps run as Jobs: every step is done once.

The witness is a ledger that the steps write. A step that was begun by two pods would have two lines in it.
"""

import os
import random
import signal
import time

import pytest

from tests.kubernetes.workspace import PATIENCE_S

PIPELINES = """
    import os, time
    from orchestrator import RetryPolicy, pipeline, step

    def note(line):
        descriptor = os.open("ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{line}\\n".encode())
        os.close(descriptor)

    def one(context):
        note(f"{context.run_id} {context.step} begin")
        time.sleep(0.5)
        note(f"{context.run_id} {context.step} end")
        return 1

    NEVER_AGAIN = RetryPolicy(max_retries=0, infrastructure_retries=0)

    @step(retry=NEVER_AGAIN)
    def first(context) -> int:
        return one(context)

    @step(retry=NEVER_AGAIN)
    def middle(context, value: int) -> int:
        return one(context)

    @step(retry=NEVER_AGAIN)
    def last(context, values: list[int]) -> int:
        return one(context)

    @pipeline
    def five():
        begun = first()
        last([middle.alias(f"m{number}")(begun) for number in range(3)])
"""
STEPS = ("first", "m0", "m1", "m2", "last")


@pytest.mark.chaos
def test_a_daemon_killed_at_random_loses_and_doubles_no_job(work):
    """ORCHESTRATOR_KILLS and ORCHESTRATOR_JOBS say how often and during how many Jobs, CHAOS_SEED what is chosen."""
    kills = int(os.environ.get("ORCHESTRATOR_KILLS", "10"))
    runs = int(os.environ.get("ORCHESTRATOR_JOBS", "20")) // len(STEPS)
    seed = int(os.environ.get("CHAOS_SEED", "0")) or int.from_bytes(os.urandom(3), "big")
    chance = random.Random(seed)
    print(f"seed {seed}")
    began = time.monotonic()
    queued = killed = 0
    daemon = work.start("daemon", "start")
    while killed < kills:
        # The Jobs are spread over the kills, so that there is something to lose until the last.
        while queued < runs and queued * kills <= killed * runs:
            assert work.queue("five").code == 0
            queued += 1
        time.sleep(chance.uniform(0.2, 3.0))
        daemon.send_signal(signal.SIGKILL)
        daemon.wait()
        killed += 1
        daemon = work.start("daemon", "start")
    while queued < runs:
        assert work.queue("five").code == 0
        queued += 1
    work.patience_s = 2 * PATIENCE_S
    work.until(lambda: states(work) == ["SUCCESS"] * runs or "FAILURE" in states(work), "the end of all runs")
    print(f"{killed} kills, {runs * len(STEPS)} Jobs, {time.monotonic() - began:.0f} s")
    assert states(work) == ["SUCCESS"] * runs
    done = [line.split() for line in work.lines()]
    ids = [run["run_id"] for run in work.bench.json("runs", "list", "--limit", "0")]
    assert sorted(done) == sorted([run, step, word] for run in ids for step in STEPS for word in ("begin", "end"))
    print(f"left behind: {left(work)}")
    assert work("daemon", "stop").code == 0
    daemon.wait(PATIENCE_S)


def states(work):
    return [run["status"] for run in work.bench.json("runs", "list", "--limit", "0")]


def left(work):
    """What is still there of runs that are over. A Job is left when its owner was killed before it deleted it."""
    return {kind: work.names(kind) for kind in ("jobs", "secrets")}
