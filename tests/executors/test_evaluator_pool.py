"""How many processes ask user code: one as long as it keeps up, more when something has to wait."""

import os
import select
from datetime import UTC, datetime

import msgspec
import pytest

from orchestrator.code_locations import evaluator_pool
from orchestrator.code_locations.evaluator_pool import EvaluatorPool
from orchestrator.model.tick import Evaluation
from orchestrator.service.workspace import Workspace

PIPELINES = """
    import os, time
    from pathlib import Path
    from orchestrator import SkipReason, pipeline, sensor, step

    @step
    def nothing() -> None: ...

    @pipeline
    def work():
        nothing()

    @sensor(pipeline=work)
    def quick(context):
        return SkipReason(str(os.getpid()))

    @sensor(pipeline=work)
    def held(context):
        while not Path("let go").exists():
            time.sleep(0.01)
        return SkipReason(str(os.getpid()))
"""
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Asking:
    """A pool on a clock that stands still unless it is set."""

    def __init__(self, bench, monkeypatch):
        self.at = 1000.0
        monkeypatch.setattr(evaluator_pool, "monotonic", lambda: self.at)
        bench.write(PIPELINES)
        self.workspace = Workspace.find(str(bench.path))
        process = self.workspace.pool.get("main")
        self.workspace.pool.wait_loaded(process)
        self.pool = EvaluatorPool(process)

    def ask(self, name):
        return self.pool.evaluate(timeout=60, name=name, at=NOW)

    def pids(self, *tokens):
        """The processes that answered these questions, once all of them have been answered."""
        found = {}
        while not found.keys() >= set(tokens):
            for finished in self.pool.poll():
                found[finished.token] = msgspec.json.decode(finished.result, type=Evaluation).skip_reason
            poll = select.poll()
            for descriptor in self.pool.descriptors():
                poll.register(descriptor, select.POLLIN)
            if not found.keys() >= set(tokens):
                assert poll.poll(30_000), "an answer never came"
        return [int(found[token]) for token in tokens]

    def close(self):
        self.pool.close()
        self.workspace.close()


@pytest.fixture
def asking(bench, monkeypatch):
    made = Asking(bench, monkeypatch)
    yield made
    made.close()


def test_many_questions_at_once_are_answered_by_one_process_while_it_keeps_up(asking):
    pids = asking.pids(*[asking.ask("quick") for _ in range(50)])
    assert len(set(pids)) == 1
    assert pids[0] != os.getpid()


def test_a_question_that_waits_behind_a_slow_one_gets_a_process_of_its_own(asking, bench):
    (first,) = asking.pids(asking.ask("quick"))
    slow, waiting = asking.ask("held"), asking.ask("quick")
    assert asking.pool.next_deadline() == pytest.approx(asking.at + 0.05)
    asking.at += 0.06
    (second,) = asking.pids(waiting)
    assert second != first
    (bench.path / "let go").touch()
    assert asking.pids(slow) == [first]
