"""Commands that only read, where no state directory can be made; and `config check`, which makes none."""

import os

import pytest

PIPELINES = """
    from orchestrator import pipeline, schedule, sensor, step

    @step
    def a(): ...

    @pipeline
    def p():
        a()

    @schedule(cron="0 2 * * *", pipeline=p)
    def nightly(context): ...

    @sensor(pipeline=p)
    def inbox(context): ...
"""
# Not even root can make a directory there.
NOWHERE = "/proc/state"


@pytest.fixture
def locked(bench):
    bench.write(PIPELINES)
    bench.settings(f"state_dir: {NOWHERE}\nlocations: [{{name: main, file: pipelines.py}}]")
    return bench


@pytest.mark.parametrize(
    "command",
    [
        "schedule next nightly",
        "schedule list",
        "schedule preview nightly",
        "schedule ticks",
        "sensor list",
        "sensor ticks",
        "runs list",
        "asset list",
        "pipeline list",
        "sql 'select count(*) from runs'",
    ],
)
@pytest.mark.sample(2)
def test_reading_needs_no_state(locked, tmp_path, command):
    (tmp_path / "temporary").mkdir(exist_ok=True)
    words = [word.strip("'") for word in command.split(maxsplit=1 if "sql" in command else -1)]
    locked(*words, TMPDIR=tmp_path / "temporary").ok()
    assert os.listdir(tmp_path / "temporary") == []


@pytest.mark.parametrize("command", ["schedule start nightly", "run p", "asset wipe --all", "state check"])
def test_what_writes_says_that_it_cannot(locked, command):
    done = locked.here(*command.split())
    assert done.code == 5
    assert NOWHERE in done.err


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        ("executor: {default: k8s}", 3, "executor.default: There is no executor 'k8s'"),
        ("executor: {default: no.such.Executor}", 3, "cannot be used"),
        (f"state_dir: {NOWHERE}", 5, NOWHERE),
        ("state_dir: pipelines.py", 5, "Not a directory"),
        ("state_dir: full", 5, "is no state directory, and is not empty"),
    ],
)
@pytest.mark.sample(2)
def test_config_check_refuses_what_a_run_would(bench, settings, code, said):
    bench.write(PIPELINES)
    (bench.path / "full").mkdir()
    (bench.path / "full" / "photo.jpg").touch()
    bench.settings(f"{settings}\nlocations: [{{name: main, file: pipelines.py}}]")
    for arguments in (["config", "check"], ["config", "check", "--json"]):
        done = bench.here(*arguments)
        assert done.code == code
        assert said in done.err
    assert bench.here("run", "p").code == code


def test_config_check_makes_nothing(bench):
    bench.write(PIPELINES)
    bench.settings("state_dir: new/deep\nlocations: [{name: main, file: pipelines.py}]")
    bench.here("config", "check").ok()
    assert not (bench.path / "new").exists()
    assert [name for name in os.listdir(bench.path) if name.startswith(".orchestrator-")] == []


@pytest.mark.parametrize("executor", ["k8s", "kubernetes", "no.such.Executor", "in_process"])
@pytest.mark.sample(1)
def test_config_check_refuses_the_executor_of_a_mode_that_a_run_would(bench, executor):
    bench.write(
        f"""
        from orchestrator import Mode, pipeline, step

        @step
        def one() -> int:
            return 1

        @pipeline(modes=[Mode("dev"), Mode("prod", executor={executor!r})])
        def p():
            one()
        """
    )
    checked, run = bench.here("config", "check"), bench("run", "p", "--mode", "prod")
    assert checked.code == run.code == (0 if executor == "in_process" else 3)
    if checked.code:
        assert "Pipeline 'p', mode 'prod'" in checked.err
        assert executor.split(".")[0] in checked.err
