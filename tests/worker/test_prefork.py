"""A process that is forked ahead: it does its work once, or ends when nobody wants it."""

import os
import signal

import pytest

from orchestrator.worker.prefork import LARGEST, Spare

PIPELINES = """
    import os
    from orchestrator import pipeline, step

    seen = []

    @step
    def note(value: int) -> int:
        seen.append(value)
        with open("ledger", "a") as ledger:
            ledger.write(f"{value}:{seen}:{os.getpid()}".replace(" ", "") + "\\n")
        return value + 1

    @step
    def first() -> int:
        return 0

    @pipeline
    def chain():
        value = first()
        for number in range(4):
            value = note.alias(f"note_{number}")(value)
"""


@pytest.fixture
def spare(tmp_path):
    def work(given):
        (tmp_path / "given").write_bytes(given)
        return 7

    spare = Spare(lambda: (tmp_path / "begun").touch(), work)
    yield spare
    spare.close()


def exit_code(spare):
    return os.waitstatus_to_exitcode(os.waitpid(spare.pid, 0)[1])


def test_it_works_on_what_it_is_given_and_ends_as_the_work_says(spare, tmp_path):
    assert spare.give(b"this")
    assert exit_code(spare) == 7
    assert (tmp_path / "given").read_bytes() == b"this"
    assert (tmp_path / "begun").exists()


def test_one_that_nobody_wants_ends_by_itself(spare, tmp_path):
    spare.close()
    assert exit_code(spare) == 0
    assert not (tmp_path / "given").exists()


def test_one_that_has_died_takes_nothing(spare):
    os.kill(spare.pid, signal.SIGKILL)
    exit_code(spare)
    assert not spare.give(b"this")


def test_what_may_not_fit_is_not_given(spare, tmp_path):
    assert not spare.give(bytes(LARGEST + 1))
    assert exit_code(spare) == 0
    assert not (tmp_path / "given").exists()


def test_steps_that_start_in_one_share_nothing(bench):
    bench.write(PIPELINES)
    bench("run", "chain").ok()
    lines = [line.split(":") for line in bench.ledger()]
    assert [(value, seen) for value, seen, _ in lines] == [(str(n), f"[{n}]") for n in range(4)]
    assert len({pid for _, _, pid in lines}) == 4
    bench.wait_until(lambda: not bench.processes(), "the end of every process")
