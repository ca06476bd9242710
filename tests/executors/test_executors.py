"""What every executor promises, tried on each: launching twice runs once, a restart loses nothing, stopping stops."""

import os
import signal

import pytest

from orchestrator.attempts.observation import FINAL, Phase
from orchestrator.layout import RunsDir
from orchestrator.testing.executors import Owner

PIPELINES = """
    import os, signal, subprocess, time
    from orchestrator import Failure, pipeline, step

    def note(line):
        with open("ledger", "a") as ledger:
            ledger.write(f"{line}\\n")

    @step
    def quick():
        note("quick")

    @step
    def slow(context):
        note("slow")
        while not os.path.exists("go"):
            time.sleep(0.02)
        context.log.info("went on")

    @step
    def fails():
        raise Failure("on purpose")

    @step
    def killed():
        os.kill(os.getpid(), signal.SIGKILL)

    @step
    def exits():
        os._exit(7)

    @step
    def family():
        subprocess.Popen(["sleep", "1000"])
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
        subprocess.run("sleep 1000 &", shell=True)
        note("family")
        while True:
            time.sleep(0.05)

    @pipeline
    def everything():
        quick(); slow(); fails(); killed(); exits(); family()
"""


class Rig(Owner):
    """An owner of a run in a bench, whose steps write into its ledger."""

    def __init__(self, bench, name, isolation):
        self.bench = bench.write(PIPELINES)
        super().__init__(bench.path, name, isolation, patience_s=30)

    @property
    def run_dir(self):
        return RunsDir(self.workspace.state.path).run(self.run_id)

    def ledger_has(self, line):
        self.bench.wait_until(lambda: line in self.bench.ledger(), f"{line} in the ledger")

    def go(self):
        (self.bench.path / "go").touch()


EVERY = [
    pytest.param(("subprocess", "fork"), id="forked"),
    pytest.param(("subprocess", "spawn"), id="spawned"),
    pytest.param(("in_process", "fork"), id="in_process"),
]
OWN_PROCESS = EVERY[:2]


@pytest.fixture
def rig(bench, request):
    rig = Rig(bench, *request.param)
    yield rig
    rig.workspace.close()


@pytest.mark.parametrize("rig", EVERY, indirect=True)
def test_an_attempt_runs_and_tells_everything(rig):
    assert rig.run("quick").phase is Phase.SUCCEEDED
    kinds = [type(event).__name__ for event in rig.events]
    assert kinds[0] == "AttemptStarted"
    assert kinds[-1] == "AttemptSucceeded"
    assert [event.n for event in rig.events] == list(range(len(rig.events)))


@pytest.mark.parametrize("rig", EVERY, indirect=True)
def test_launching_twice_runs_it_once(rig):
    rig.run("quick")
    rig.executor.launch(rig.attempt("quick"))
    rig.run("fails")
    assert rig.bench.ledger() == ["quick"]


@pytest.mark.parametrize("rig", EVERY, indirect=True)
def test_a_failure_is_an_outcome(rig):
    assert rig.run("fails").phase is Phase.FAILED
    assert rig.events[-1].error.message == "on purpose"


@pytest.mark.parametrize("rig", OWN_PROCESS, indirect=True)
@pytest.mark.parametrize(("step", "words"), [("killed", "SIGKILL"), ("exits", "exit code 7")])
def test_a_death_names_its_cause_and_the_next_attempt_works(rig, step, words):
    seen = rig.run(step)
    assert seen.phase is Phase.FAILED
    assert words in seen.error.message
    assert rig.run("quick").phase is Phase.SUCCEEDED


@pytest.mark.parametrize("rig", [EVERY[2]], indirect=True)
@pytest.mark.parametrize("step", ["killed", "exits"])
def test_a_step_that_ends_the_location_is_lost_and_the_next_attempt_gets_a_new_one(rig, step):
    assert rig.run(step).phase is Phase.LOST
    assert rig.run("quick").phase is Phase.SUCCEEDED


@pytest.mark.parametrize("rig", EVERY, indirect=True)
def test_an_attempt_outlives_its_owner_and_is_adopted(rig):
    rig.executor.launch(rig.attempt("slow"))
    rig.ledger_has("slow")
    rig.restart()
    handle = rig.executor.adopt(rig.attempt("slow"), seen=0)
    assert rig.until(handle, Phase.RUNNING).phase is Phase.RUNNING
    rig.go()
    assert rig.until(handle, *FINAL).phase is Phase.SUCCEEDED
    assert rig.bench.ledger() == ["slow"]


@pytest.mark.parametrize("rig", EVERY, indirect=True)
def test_an_outcome_waits_for_the_next_owner(rig):
    handle = rig.executor.launch(rig.attempt("quick"))
    rig.bench.wait_until(lambda: "attempt_succeeded" in _events(rig, "quick"), "the outcome")
    rig.restart()
    rig.executor.adopt(rig.attempt("quick"), seen=2)
    assert rig.until(handle, *FINAL).phase is Phase.SUCCEEDED
    assert rig.events[0].n == 2


@pytest.mark.parametrize("rig", OWN_PROCESS, indirect=True)
def test_an_attempt_whose_process_and_parent_are_gone_is_lost(rig):
    handle = rig.executor.launch(rig.attempt("slow"))
    rig.ledger_has("slow")
    parent = rig.workspace.pool.get("main").pid
    rig.until(handle, Phase.RUNNING)
    pids = {event.pid for event in rig.events if hasattr(event, "pid")} - {parent}
    rig.restart()
    for pid in (parent, *pids):  # the parent first: it would see how the other ends, and write that down
        os.kill(pid, signal.SIGKILL)
    rig.executor.adopt(rig.attempt("slow"), seen=0)
    assert rig.until(handle, *FINAL).phase is Phase.LOST


@pytest.mark.parametrize("rig", EVERY, indirect=True)
def test_an_attempt_that_was_never_launched_is_revoked_by_the_next_owner(rig):
    handle = rig.executor.adopt(rig.attempt("quick"), seen=0)
    assert rig.until(handle, *FINAL).phase is Phase.REVOKED
    rig.executor.launch(rig.attempt("quick"))
    assert rig.run("fails").phase is Phase.FAILED
    assert rig.bench.ledger() == [], "what is revoked can never begin"


@pytest.mark.parametrize("rig", EVERY, indirect=True)
def test_stopping_ends_an_attempt_however_often_it_is_asked(rig):
    handle = rig.executor.launch(rig.attempt("slow"))
    rig.ledger_has("slow")
    for _ in range(3):
        rig.executor.cancel(handle, grace=30)
    assert rig.until(handle, *FINAL).phase is Phase.FAILED
    assert type(rig.events[-1]).__name__ == "AttemptCanceled"
    rig.executor.cancel(handle, grace=0)


@pytest.mark.parametrize("rig", OWN_PROCESS, indirect=True)
@pytest.mark.parametrize("grace", [pytest.param(0, id="killed"), pytest.param(30, id="asked to stop")])
def test_ending_a_step_ends_its_whole_family_in_whatever_session(rig, grace):
    handle = rig.executor.launch(rig.attempt("family"))
    rig.ledger_has("family")
    rig.executor.cancel(handle, grace)
    assert rig.until(handle, *FINAL).phase is Phase.FAILED
    rig.workspace.pool.close()
    rig.bench.wait_until(lambda: rig.bench.processes() == [], "every process to end")


@pytest.mark.parametrize("rig", [EVERY[0]], indirect=True)
def test_a_location_that_dies_between_attempts_is_replaced(rig):
    rig.run("quick")
    process = rig.workspace.pool.get("main")
    os.kill(process.pid, signal.SIGKILL)
    rig.bench.wait_until(lambda: process.pump() or not process.is_alive, "its death to be noticed")
    assert rig.run("fails").phase is Phase.FAILED


@pytest.mark.parametrize("rig", [EVERY[0]], indirect=True)
def test_an_attempt_launched_into_a_dying_location_is_never_both_lost_and_run(rig):
    process = rig.workspace.pool.get("main")
    os.kill(process.pid, signal.SIGSTOP)
    handle = rig.executor.launch(rig.attempt("quick"))
    os.kill(process.pid, signal.SIGKILL)
    assert rig.until(handle, *FINAL).phase is Phase.LOST
    assert rig.bench.ledger() == []


def _events(rig, step):
    try:
        return rig.run_dir.attempt(step, 1).events.read_text()
    except FileNotFoundError:
        return ""
