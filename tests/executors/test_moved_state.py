"""A workspace that is moved takes its unfinished runs along: their values are kept where the runs are now."""

import os

import pytest

from tests.conftest import Bench

WORKSPACE = """
    import os
    from pathlib import Path
    from orchestrator import pipeline, step

    @step
    def first():
        return "kept"

    @step(isolation={isolation!r})
    def second(value):
        if not Path("go").exists():
            raise ValueError("not yet")
        with open("ledger", "a") as file:
            file.write(value)

    @pipeline
    def work():
        second(first())
"""


@pytest.fixture(params=["fork", "spawn"])
def queued(request, tmp_path):
    bench = Bench(tmp_path / "before")
    bench.path.mkdir()
    bench.write(WORKSPACE.format(isolation=request.param))
    yield bench
    bench.clean_up()


def test_a_run_that_was_queued_writes_and_reads_where_it_lies_now(queued, tmp_path):
    queued("run", "work", "--detach").ok()
    moved = Bench(tmp_path / "after")
    os.rename(queued.path, moved.path)
    (moved.path / "go").touch()
    moved("daemon", "tick").ok()
    assert moved.ledger() == ["kept"]
    assert not queued.path.exists()
    assert list(moved.state.glob("storage/*/first/result"))
    moved.clean_up()
