"""Steps of one run on different executors: each where its step says, else where the run says."""

import json
import signal

import pytest

from orchestrator.executors.base import Capabilities, together

PIPELINES = """
    import os, time
    from orchestrator import Mode, memory_io_manager, pipeline, step

    @step(executor="in_process")
    def small() -> int:
        return os.getpid()

    @step
    def large(small: int) -> list:
        return [small, os.getpid(), os.getppid()]

    @step
    def waits(values: list):
        with open("ledger", "a") as ledger:
            ledger.write("waits\\n")
        while not os.path.exists("go"):
            time.sleep(0.02)

    @step(executor="in_process")
    def last(value) -> int:
        return os.getpid()

    @step(executor="nowhere")
    def lost():
        pass

    @pipeline
    def mixed():
        last(waits(large(small())))

    @pipeline(modes=[Mode("memory", resources={"io_manager": memory_io_manager})])
    def kept():
        large(small())

    @pipeline
    def unknown():
        lost()
"""


def launched(bench):
    events = bench.events()
    return [(event["step"], event["executor"]) for event in events if event["event"] == "attempt_launched"]


WHERE = [("small", "in_process"), ("large", "subprocess"), ("waits", "subprocess"), ("last", "in_process")]


def test_a_step_runs_where_it_says_and_its_values_arrive(bench):
    bench.write(PIPELINES)
    (bench.path / "go").touch()
    bench("run", "mixed").ok()
    assert launched(bench) == WHERE
    started = {event["step"]: event["pid"] for event in bench.events() if event["event"] == "attempt_started"}
    assert started["small"] == started["last"] != started["large"], "in process: the location's own"


def test_the_daemon_runs_each_step_where_it_says(bench):
    bench.write(PIPELINES)
    (bench.path / "go").touch()
    bench("run", "mixed", "--detach").ok()
    daemon = bench.start("daemon", "start", to=bench.path / "log")
    bench.wait_until(lambda: bench.here("runs", "show", "last", "--json").out.count("SUCCESS") >= 5, "the run's end")
    assert launched(bench) == WHERE
    daemon.send_signal(signal.SIGTERM)
    daemon.wait()


def test_a_run_whose_owner_was_killed_continues_on_the_same_executors(bench):
    bench.write(PIPELINES)
    owner = bench.start("run", "mixed")
    bench.wait_until(lambda: bench.ledger() == ["waits"], "the step to begin")
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    (bench.path / "go").touch()
    bench("runs", "resume", "last").ok()
    assert bench.ledger() == ["waits"]
    assert launched(bench) == WHERE


def test_values_must_reach_as_far_as_all_of_them_spread_a_run(bench):
    bench.write(PIPELINES)
    done = bench("run", "kept", "--executor", "in_process")
    assert done.code == 0, "one process makes all of it"
    bench.write(PIPELINES.replace("@step\n    def large", '@step(executor="subprocess")\n    def large'))
    done = bench("run", "kept", "--executor", "in_process")
    assert done.code == 3
    assert "the executors 'in_process' and 'subprocess' run every step in a process of its own" in done.err
    assert [run["pipeline"] for run in json.loads(bench.here("runs", "list", "--json").out)] == ["kept"]


def test_an_executor_that_does_not_exist_is_named_before_there_is_a_run(bench):
    bench.write(PIPELINES)
    done = bench("run", "unknown")
    assert (done.code, "There is no executor 'nowhere'" in done.err) == (3, True)
    assert json.loads(bench.here("runs", "list", "--json").out) == []


def test_an_executor_without_a_name_is_refused_where_it_stands(bench):
    bench.write(PIPELINES.replace('executor="nowhere"', "executor=3"))
    done = bench("run", "unknown")
    assert done.code == 3
    assert "executor=3 is not the name of an executor" in done.err


IN_PROCESS = Capabilities(spread="process", storage="machine")
SUBPROCESS = Capabilities(forks=True)
CLUSTER = Capabilities(spread="anywhere", storage="anywhere")


@pytest.mark.parametrize(
    ("those", "expected"),
    [
        ([IN_PROCESS], IN_PROCESS),
        ([IN_PROCESS, SUBPROCESS], Capabilities(forks=True, spread="machine", storage="machine")),
        ([IN_PROCESS, IN_PROCESS], Capabilities(spread="machine", storage="machine")),
        ([SUBPROCESS, CLUSTER], Capabilities(forks=True, spread="anywhere", storage="machine")),
        ([CLUSTER], CLUSTER),
    ],
)
def test_executors_that_share_a_run_require_what_each_requires_and_offer_what_all_offer(those, expected):
    assert together(those) == expected
