"""The example of an executor for a batch system, on a scripted one: attempts run once, whatever goes wrong."""

import contextlib
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from orchestrator.testing import ExecutorContract

ROOT = Path(__file__).resolve().parents[2]
FAKE = Path(__file__).with_name("fake_slurm.py")

# The example as it is, with the patience of a test.
EXECUTOR = """
from batch.batch_executor import BatchExecutor, Slurm

class Quick(BatchExecutor):
    system = Slurm(patience_s=2.0)
    ask_every_s, look_every_s, settle_s = 0.25, 0.1, 0.5
"""

PIPELINES = """
    import os, subprocess, time
    from orchestrator import RetryPolicy, pipeline, step

    def note(word):
        with open("ledger", "a") as ledger:
            ledger.write(word + "\\n")

    @step(tags={"slurm/partition": "long"}, retry=RetryPolicy(infrastructure_retries=1))
    def work(context) -> int:
        note("begun")
        context.log.info("at work")
        assert subprocess.run(["cat"], capture_output=True, check=True).stdout == b"", "standard input is empty"
        while not os.path.exists("go"):
            time.sleep(0.02)
        note("done")
        return 7

    @step
    def after(value: int):
        note(f"after:{value}")

    @step(timeout=1)
    def late():
        try:
            time.sleep(60)
        finally:
            note("cleaned")

    @pipeline
    def jobs():
        after(work())

    @pipeline
    def timed():
        late()
"""


class Fake:
    """The scripted batch system, from the outside."""

    def __init__(self, path):
        self.path = path
        (path / "jobs").mkdir(parents=True)
        (path / "bin").mkdir()
        for name in ("sbatch", "squeue", "sacct", "scancel"):
            program = path / "bin" / name
            program.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {FAKE} "$0" "$@"\n')
            program.chmod(0o755)

    def jobs(self):
        return [json.loads(path.read_text()) for path in sorted((self.path / "jobs").glob("*.json"))]

    def commands(self):
        return (self.path / "commands").read_text().split() if (self.path / "commands").exists() else []

    def set(self, name, content=""):
        (self.path / name).write_text(content)

    def has(self, name):
        return (self.path / name).exists()

    def clear(self, name):
        (self.path / name).unlink()

    def lose_nodes(self):
        """The machines of all jobs are gone."""
        for path in (self.path / "jobs").glob("*.json"):
            job = json.loads(path.read_text())
            if job["state"] in ("PENDING", "RUNNING"):
                path.write_text(json.dumps(job | {"state": "NODE_FAIL"}))
            if job["state"] == "RUNNING":
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(job["pid"], signal.SIGKILL)

    def close(self):
        """Leaves no process behind."""
        self.lose_nodes()
        for name in ("full", "silent", "held"):
            (self.path / name).unlink(missing_ok=True)


@pytest.fixture
def slurm(tmp_path_factory, monkeypatch):
    fake = Fake(tmp_path_factory.mktemp("slurm") / "fake")
    modules = fake.path / "modules"
    modules.mkdir()
    (modules / "quick_batch.py").write_text(EXECUTOR)
    monkeypatch.setenv("FAKE_SLURM", str(fake.path))
    monkeypatch.setenv("PATH", f"{fake.path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", f"{modules}:{ROOT / 'examples'}")
    monkeypatch.syspath_prepend(ROOT / "examples")
    monkeypatch.syspath_prepend(modules)
    yield fake
    fake.close()


@pytest.mark.long
class TestContract(ExecutorContract):
    executor = "quick_batch.Quick"
    slow_s = 1.5

    @pytest.fixture(autouse=True)
    def _system(self, slurm):
        pass


@pytest.fixture
def site(bench, slurm):
    """A workspace whose steps are jobs."""
    bench.write(PIPELINES)
    bench.settings("locations: [{name: main, file: pipelines.py}]\nexecutor: {default: quick_batch.Quick}")
    bench.slurm = slurm
    return bench


def finish(site):
    (site.path / "go").touch()


def begun(site):
    site.wait_until(lambda: site.ledger() == ["begun"], "the step to begin")


def kinds(site, step="work"):
    return [event["event"] for event in site.events() if event.get("step") == step]


ONCE = ["begun", "done", "after:7"]


@pytest.mark.parametrize("name", ["slurm.py", "batch_executor.py"])
def test_the_page_about_executors_has_the_example_as_it_is(name):
    source = (ROOT / "examples" / "batch" / name).read_text()
    assert f"```python\n# examples/batch/{name}\n{source}```\n" in (ROOT / "docs" / "executors.md").read_text()


def test_steps_are_jobs_with_the_options_of_their_tags(site):
    finish(site)
    site("run", "jobs").ok()
    assert site.ledger() == ONCE
    assert [job["options"].get("partition") for job in site.slurm.jobs()] == ["long", None]
    assert "at work" in site.here("runs", "logs", "last").out


def killed(owner):
    owner.kill()
    owner.wait()


@pytest.mark.parametrize("point", ["attempt.journalled", pytest.param("attempt.sent", marks=pytest.mark.long)])
def test_an_owner_that_is_killed_before_it_submits_leaves_an_attempt_that_is_revoked(site, point):
    finish(site)
    assert site("run", "jobs", ORCHESTRATOR_CRASH_AT=point).code == -signal.SIGKILL
    site("runs", "resume", "last").ok()
    assert site.ledger() == ONCE
    assert "attempt_revoked" in kinds(site)


def test_an_owner_that_is_killed_between_submission_and_answer_leads_to_no_second_submission(site):
    site.slurm.set("mute")
    site.slurm.set("full")
    owner = site.start("run", "jobs")
    site.wait_until(lambda: site.slurm.has("silent"), "a submission that is accepted and not answered")
    killed(owner)
    finish(site)
    owner = site.start("runs", "resume", "last")
    site.wait_until(lambda: "Resources" in str(site.events()), "the next owner to find the job in the queue")
    site.slurm.clear("full")
    assert owner.wait(30) == 0
    assert site.ledger() == ONCE
    assert len(site.slurm.jobs()) == 2, "one for each step"


def test_a_submission_that_arrives_after_its_attempt_was_revoked_runs_nothing(site):
    site.slurm.set("late")
    owner = site.start("run", "jobs")
    site.wait_until(lambda: site.slurm.has("held"), "a submission that is under way")
    killed(owner)
    finish(site)
    site("runs", "resume", "last").ok()
    site.slurm.clear("held")
    site.wait_until(lambda: [job["state"] for job in site.slurm.jobs()] == ["COMPLETED"] * 3, "the late job to end")
    assert site.ledger() == ONCE
    assert kinds(site).count("attempt_revoked") == 1


@pytest.mark.long
def test_an_owner_that_is_killed_while_its_step_runs_finds_the_job(site):
    owner = site.start("run", "jobs")
    begun(site)
    killed(owner)
    finish(site)
    site("runs", "resume", "last").ok()
    assert site.ledger() == ONCE
    assert len(site.slurm.jobs()) == 2


def test_a_submission_whose_answer_is_lost_is_found_and_not_repeated(site):
    site.slurm.set("lose")
    finish(site)
    site("run", "jobs").ok()
    assert site.ledger() == ONCE
    assert site.slurm.commands().count("sbatch") == 2, "one for each step"


@pytest.mark.parametrize("fault", ["down", pytest.param("slow", marks=pytest.mark.long)])
def test_a_batch_system_that_is_away_changes_nothing(site, fault):
    owner = site.start("run", "jobs")
    begun(site)
    site.slurm.set(fault, "60" if fault == "slow" else "")
    finish(site)
    reason = "Unable to contact slurm controller" if fault == "down" else "gave no answer"
    site.wait_until(lambda: reason in str(site.events()), "the reason why the next step waits")
    assert site.ledger() == ["begun", "done"], "what runs is not disturbed"
    site.slurm.clear(fault)
    assert owner.wait(30) == 0
    assert site.ledger() == ONCE
    assert len(site.slurm.jobs()) == 2


@pytest.mark.long
def test_a_refused_submission_fails_the_step_with_the_words_of_the_batch_system(site):
    site.slurm.set("refuse")
    done = site("run", "jobs")
    assert done.code == 1
    assert "Invalid partition name specified" in done.out + done.err
    assert (site.ledger(), site.slurm.jobs()) == ([], [])


def test_a_job_whose_machine_is_lost_costs_an_infrastructure_retry(site):
    owner = site.start("run", "jobs")
    begun(site)
    site.slurm.lose_nodes()
    finish(site)
    assert owner.wait(30) == 0
    assert site.ledger() == ["begun", *ONCE]
    (retry,) = (event for event in site.events() if event["event"] == "step_retry_scheduled")
    assert (retry["budget"], "NODE_FAIL" in retry["reason"]) == ("infrastructure", True)


@pytest.mark.long
def test_an_attempt_whose_job_ends_before_it_begins_is_lost_and_not_submitted_for_long(site):
    site.slurm.set("broken")
    assert site.start("run", "jobs", to=site.path / "printed").wait(30) == 1
    losses = [event for event in site.events() if event["event"] == "attempt_lost"]
    assert len(losses) == 2
    assert {event["reason"] for event in losses} == {"its job ended as FAILED (exit code 127) before the step began"}
    assert "no such interpreter" in site.here("runs", "logs", "last").out


def test_a_run_that_is_canceled_ends_its_job(site):
    owner = site.start("run", "jobs")
    begun(site)
    site("runs", "cancel", "last").ok()
    owner.wait(30)
    assert "attempt_canceled" in kinds(site)
    site.wait_until(lambda: site.slurm.jobs()[0]["state"] != "RUNNING", "the job to end")
    assert site.ledger() == ["begun"]


def test_a_run_that_is_canceled_leaves_no_job_in_the_queue(site):
    site.slurm.set("full")
    owner = site.start("run", "jobs")
    site.wait_until(lambda: len(site.slurm.jobs()) == 1, "the job")
    site("runs", "cancel", "last").ok()
    owner.wait(30)
    assert "attempt_revoked" in kinds(site)
    assert site.slurm.jobs()[0]["state"].startswith("CANCELLED")


def test_a_step_that_takes_too_long_is_stopped_and_cleans_up(site):
    done = site("run", "timed")
    assert done.code == 1
    assert "did not finish within its timeout" in done.out + done.err
    assert site.ledger() == ["cleaned"]
