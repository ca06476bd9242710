"""Completion in the shell: names and values, quickly, without a word on stderr."""

import subprocess

import pytest

from orchestrator.cli import completers
from orchestrator.cli.completers import STORE_S
from tests.conftest import ORCHESTRATOR

PIPELINES = """
    from orchestrator import Mode, Preset, pipeline, schedule, sensor, step

    @step
    def good() -> int:
        return 1

    @step
    def bad(n: int) -> None:
        raise ValueError(n)

    @pipeline(modes=[Mode("dev"), Mode("prod")], presets=[Preset("small", mode="dev", config={})])
    def work():
        bad(good())

    @pipeline
    def other():
        good()

    @schedule(cron="0 3 * * *", pipeline=other)
    def nightly(context): ...

    @sensor(pipeline=other)
    def looks(context): ...
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    from tests.conftest import Bench

    bench = Bench(tmp_path_factory.mktemp("ran"))
    bench.write(PIPELINES)
    assert bench("run", "work", "--mode", "dev").code == 1
    bench("run", "other").ok()
    bench("run", "other", "--detach").ok()
    bench.here("state", "backup").ok()
    yield bench
    bench.clean_up()


def completed(bench, words):
    """What a shell is offered for the last of the words."""
    asked = bench(
        _ORCHESTRATOR_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=len(words.split(" ")) - 1, NO_COLOR="1"
    )
    assert asked.err == ""
    return asked.out.split()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("orchestrator pip", ["pipeline"]),
        ("orchestrator run --pre", ["--preset"]),
        ("orchestrator run wo", ["work"]),
        ("orchestrator run work --mode ", ["dev", "prod"]),
        ("orchestrator run other --mode ", ["default"]),
        ("orchestrator run work --preset ", ["small"]),
        ("orchestrator run work --executor ", ["subprocess", "in_process"]),
        ("orchestrator runs list --status F", ["FAILURE"]),
        ("orchestrator runs list --pipeline ot", ["other"]),
        ("orchestrator schedule ticks --status MI", ["MISSED"]),
        ("orchestrator schedule start ", ["nightly"]),
        ("orchestrator sensor stop ", ["looks"]),
        ("orchestrator schedule next --timezone Europe/Berl", ["Europe/Berlin"]),
        ("orchestrator completion ", ["bash", "zsh", "fish"]),
    ],
)
@pytest.mark.sample(3)
def test_names_and_values_are_completed(ran, words, found):
    assert completed(ran, words) == found


def test_only_runs_that_a_command_can_act_on_are_offered(ran):
    runs = {run["status"]: run["run_id"] for run in ran.json("runs", "list")}
    assert completed(ran, "orchestrator runs cancel ") == [runs["QUEUED"]]
    assert completed(ran, "orchestrator run --from-failure ") == [runs["FAILURE"]]
    assert set(completed(ran, "orchestrator runs delete ")) == {runs["FAILURE"], runs["SUCCESS"]}
    assert set(completed(ran, "orchestrator runs show ")) == {*runs.values(), "last"}


def test_the_steps_of_a_run_are_offered(ran):
    runs = {run["status"]: run["run_id"] for run in ran.json("runs", "list")}
    assert completed(ran, f"orchestrator runs logs {runs['FAILURE']} --step ") == ["bad", "good"]
    assert completed(ran, f"orchestrator runs logs {runs['SUCCESS']} --step ") == ["good"]


def test_backups_are_completed(ran):
    (backup,) = completed(ran, "orchestrator state restore ")
    assert backup.endswith(".duckdb")


def test_a_workspace_named_on_the_line_is_the_one_that_is_asked(ran, tmp_path):
    ran_path, ran.path = ran.path, tmp_path
    try:
        assert completed(ran, f"orchestrator -w {ran_path} run wo") == ["work"]
        assert completed(ran, f"orchestrator -w {tmp_path}/none run wo") == []
    finally:
        ran.path = ran_path


@pytest.mark.sample(1)
@pytest.mark.parametrize("settings", ["locations: [", "locations: [{name: main, file: none.py}]"])
def test_what_is_broken_completes_to_nothing_and_says_nothing(bench, settings):
    bench.settings(settings)
    for words in ("run w", "runs show 7", "run x --mode d", "sensor start s", "state restore b"):
        assert completed(bench, f"orchestrator {words}") == []


def test_a_store_that_is_busy_is_not_waited_for(bench, monkeypatch):
    bench.write("")
    bench.here("runs", "list").ok()
    monkeypatch.chdir(bench.path)
    waited = []
    monkeypatch.setattr("orchestrator.service.session.open_store", lambda *_, patience, **__: waited.append(patience))
    assert completers.run_ids() == []
    assert waited == [STORE_S]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_printed_and_nothing_is_written(bench, tmp_path_factory, shell):
    home = tmp_path_factory.mktemp("home")
    script = bench("completion", shell, HOME=home).ok().out
    assert "_ORCHESTRATOR_COMPLETE" in script
    assert list(home.iterdir()) == []


def test_bash_completes_with_the_script(bench, tmp_path):
    program = tmp_path / "orchestrator"
    program.write_text("#!/bin/sh\nexec " + " ".join(ORCHESTRATOR) + ' "$@"\n')
    program.chmod(0o755)
    script = f"""eval "$({program} completion bash)"
        COMP_WORDS=(orchestrator pip); COMP_CWORD=1
        _orchestrator_completion {program}; echo "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=bench._environment({}))
    assert (done.stdout.strip(), done.stderr) == ("pipeline", "")


def test_an_unknown_shell_is_refused(bench):
    done = bench.here("completion", "tcsh")
    assert (done.code, "bash, zsh, fish" in done.err) == (2, True)
