"""Location processes of one owner: which one a run has, and that each is let go once."""

import os
import signal

import pytest

from orchestrator.errors import LocationDied
from orchestrator.service.workspace import Workspace

PIPELINES = """
    from orchestrator import pipeline, step

    @step
    def nothing() -> None: ...

    @pipeline
    def work():
        nothing()
"""


@pytest.fixture
def pool(bench):
    bench.write(PIPELINES)
    pool = Workspace.find(str(bench.path)).pool
    yield pool
    pool.close()


def killed(process):
    os.kill(process.pid, signal.SIGKILL)
    while process.is_alive:
        process.pump()
    with pytest.raises(LocationDied):
        process.check()


def test_a_process_that_died_and_was_replaced_is_not_let_go_again_for_the_run_that_had_it(pool):
    """It once was, and so closed what had got the number of its pipe meanwhile: an evaluator's connection, a file."""
    process = pool.for_run("a", "main")
    pool.wait_loaded(process)
    killed(process)
    pool.replace("main")
    ours = [os.open(os.devnull, os.O_RDONLY) for _ in range(20)]

    fresh = pool.for_run("a", "main")

    assert fresh is not process
    for descriptor in ours:
        os.close(descriptor)  # OSError if somebody else has closed it


def test_letting_a_process_go_twice_lets_nothing_else_go(pool):
    process = pool.get("main")
    pool.wait_loaded(process)
    process.close()
    ours = [os.open(os.devnull, os.O_RDONLY) for _ in range(20)]

    process.close()

    null = os.stat(os.devnull)
    assert [os.fstat(descriptor).st_rdev for descriptor in ours] == [null.st_rdev] * len(ours)
    for descriptor in ours:
        os.close(descriptor)


def test_a_run_whose_process_died_goes_on_with_the_one_that_follows(pool):
    process = pool.for_run("a", "main")
    pool.wait_loaded(process)
    killed(process)
    assert not pool.has_own("a")

    fresh = pool.for_run("a", "main")

    pool.wait_loaded(fresh)
    assert pool.has_own("a")
    assert pool.get("main") is fresh
