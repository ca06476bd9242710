"""Each way a command can end has its exit code, and docs/exit-codes.md has them all."""

import re
import signal
import subprocess
import textwrap
from pathlib import Path

import pytest

from orchestrator import errors
from orchestrator.cli import outcome
from orchestrator.cli.app import app
from tests.conftest import ORCHESTRATOR

PIPELINES = """
    import os, time
    from orchestrator import pipeline, schedule, step

    @step
    def good() -> int:
        return 1

    @step
    def bad() -> int:
        raise ValueError("no data")

    @step
    def slow():
        open("began", "w").close()
        while not os.path.exists("go_on"):
            time.sleep(0.02)

    @pipeline
    def fine():
        good()

    @pipeline
    def failing():
        bad()

    @pipeline
    def waiting():
        slow()

    @schedule(cron="0 0 1 1 *", pipeline=fine)
    def broken_when_asked(context):
        raise ValueError("no idea")
"""
DOCS = Path(__file__).parents[2] / "docs" / "exit-codes.md"


@pytest.fixture
def made(bench):
    return bench.write(PIPELINES)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(["runs", "list"], 0, id="done"),
        pytest.param(["run", "fine"], 0, id="a run that succeeds"),
        pytest.param(["run", "failing"], 1, id="a run that fails"),
        pytest.param(["runs", "lst"], 2, id="no such command"),
        pytest.param(["runs", "list", "--lmit", "3"], 2, id="no such option"),
        pytest.param(["runs", "list", "--limit", "x"], 2, id="no number"),
        pytest.param(["runs", "show"], 2, id="an argument is missing"),
        pytest.param(["runs", "wait", "last", "--timeout", "soon"], 2, id="no duration"),
        pytest.param(["run", "fine", "--mode", "nope"], 3, id="no such mode"),
        pytest.param(["-w", "nowhere", "status"], 3, id="no such workspace"),
        pytest.param(["run", "nope"], 4, id="no such pipeline"),
        pytest.param(["runs", "show", "zzzz"], 4, id="no such run"),
        pytest.param(["schedule", "start", "nope"], 4, id="no such schedule"),
        pytest.param(["asset", "show", "nope"], 4, id="no such asset"),
        pytest.param(["sql", "SELEC 1"], 2, id="a statement that is none"),
        pytest.param(["state", "restore", "nope", "--yes"], 5, id="no such backup"),
        pytest.param(["schedule", "preview", "broken_when_asked"], 6, id="a preview that fails"),
        pytest.param(["daemon", "status"], 7, id="no daemon"),
    ],
)
@pytest.mark.parametrize("json", [False, True], ids=["text", "json"])
@pytest.mark.sample(30)
def test_a_situation_has_its_code_as_text_and_as_json(made, arguments, code, json):
    done = made.here(*arguments, *(["--json"] if json else []))
    assert done.code == code, done


def test_a_wait_that_times_out_is_no_missing_run(made):
    run = made.start("run", "waiting")
    made.wait_until((made.path / "began").exists, "the step")
    assert made.here("runs", "wait", "last", "--timeout", "0.1s").code == 8
    assert made.here("runs", "wait", "nope", "--timeout", "0.1s").code == 4
    assert made.here("runs", "delete", "last", "--yes").code == 4
    (made.path / "go_on").touch()
    assert run.wait(timeout=30) == 0
    assert made.here("runs", "wait", "last", "--timeout", "0s").code == 0


@pytest.mark.parametrize("kind", ["pipeline", "schedule", "sensor"])
@pytest.mark.parametrize("json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize(
    ("more", "names", "said"),
    [
        pytest.param("raise ValueError('no luck')", False, "no luck", id="location broken"),
        pytest.param(
            "@step(timeout=-1)\ndef hasty(): ...\n@pipeline\ndef uses():\n    hasty()", True, "-1 is", id="a step"
        ),
        pytest.param('@schedule(cron="61 0 * * *", pipeline=fine)\ndef wrong(_): ...', True, "61", id="one definition"),
    ],
)
@pytest.mark.sample(2)
def test_a_list_from_which_something_is_missing_is_no_success(bench, kind, json, more, names, said):
    source = textwrap.dedent(PIPELINES).replace("schedule, step", "schedule, sensor, step")
    source += "\n@sensor(pipeline=fine)\ndef look(context): ...\n"
    bench.write(f"{source}\n{more}\n")
    listed = bench.here(kind, "list", *(["--json"] if json else []))
    assert listed.code == 3
    assert said in listed.err + listed.out
    if kind != "pipeline" and names:
        assert sum(said in line for line in listed.err.splitlines()) == 1, "a cause is said once"
    assert any(name in listed.out for name in ("fine", "broken_when_asked", "look")) == names
    (bench.path / "pipelines.py").write_text(source)
    assert bench.here(kind, "list").code == 0


def test_a_run_that_waits_in_the_queue_times_out_too(made):
    made("run", "fine", "--detach").ok()
    assert made.here("runs", "wait", "last", "--timeout", "0.1s").code == 8


def test_an_interrupted_run_is_no_failed_one(made):
    run = made.start("run", "waiting")
    made.wait_until((made.path / "began").exists, "the step")
    run.send_signal(signal.SIGINT)
    assert run.wait(timeout=30) == 130
    assert made.here("runs", "wait", "last").code == 130


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["sql", "SELECT * FROM range(200000)"], id="more than a pipe holds"),
        pytest.param(["sql", "SELECT * FROM range(200000)", "--json"], id="json"),
        pytest.param(["sql", "SELECT 1"], id="less than a buffer holds"),
        pytest.param(["--help"], id="help"),
        pytest.param(["runs", "show", "nope", "--json"], id="an error as JSON"),
    ],
)
@pytest.mark.sample(2)
def test_output_that_nobody_reads_is_no_failed_run(made, arguments):
    process = subprocess.Popen(
        [*ORCHESTRATOR, *arguments], cwd=made.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()  # before anything was written
    said = process.stderr.read().decode()
    assert (process.wait(timeout=30), "Traceback" in said, "Broken pipe" in said) == (141, False, False), said


def test_stdout_may_be_closed(made):
    done = subprocess.run(
        f"{' '.join(ORCHESTRATOR)} --version >&-", shell=True, cwd=made.path, stderr=subprocess.PIPE, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_bug_is_no_failed_run(capsys):
    def broken():
        raise RuntimeError("oh")

    assert outcome.code_of(broken) == 70
    assert "This is a bug" in capsys.readouterr().err


def test_every_code_is_documented():
    own = {
        error.exit_code for error in vars(errors).values() if isinstance(error, type) and hasattr(error, "exit_code")
    }
    own |= {outcome.OK, outcome.RUN_FAILED, outcome.BUG, outcome.INTERRUPTED, outcome.NOT_READ}
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", DOCS.read_text(), flags=re.MULTILINE)}
    in_help = {int(code) for code in re.findall(r"\b(\d+) [a-z]", app.info.epilog.split("Exit codes:")[1])}
    assert own == documented == in_help
