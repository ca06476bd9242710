"""`orchestrator run`: what it does, prints and exits with."""

import re
import signal

import pytest

from orchestrator.ids import RUN_ID

PIPELINES = """
    import os
    from dataclasses import dataclass
    from orchestrator import AssetMaterialization, Mode, Out, Output, Preset, RetryPolicy, pipeline, resource, step

    def note(line):
        with open("ledger", "a") as ledger:
            ledger.write(f"{line}\\n")

    @dataclass
    class TopN:
        n: int = 10

    @step
    def make() -> list[int]:
        note("make")
        return [3, 1, 2]

    @step
    def top(context, numbers: list[int], config: TopN) -> int:
        note(f"top:{config.n}")
        context.log_asset(AssetMaterialization("numbers/top", metadata={"rows": config.n}))
        if os.path.exists("broken"):
            raise ValueError("it is broken")
        return sorted(numbers)[-1] * config.n

    @step
    def report(value: int) -> None:
        note(f"report:{value}")

    @pipeline(
        modes=[Mode("dev"), Mode("prod", executor="in_process")],
        presets=[Preset("small", mode="dev", config={"steps": {"top": {"config": {"n": 1}}}}, tags={"size": "small"})],
        tags={"team": "sales"},
    )
    def numbers():
        report(top(make()))

    @step(outputs={"yes": Out(int), "no": Out(int, optional=True)})
    def branch():
        yield Output(1, "yes")

    @step
    def only_no(value):
        note("never")

    @pipeline
    def branching():
        yes, no = branch()
        only_no(no)
"""


@pytest.fixture
def numbers(bench):
    return bench.write(PIPELINES)


def run(bench, *arguments):
    return bench("run", "numbers", "--mode", "dev", *arguments)


def test_a_run_that_succeeds_exits_with_0_and_reports_on_stdout(numbers):
    done = run(numbers).ok()
    assert numbers.ledger() == ["make", "top:10", "report:30"]
    assert "SUCCESS  numbers" in done.out
    assert "3 steps: 3 succeeded" in done.out
    assert "numbers/top  rows 10" in done.out
    assert "top succeeded in" in done.err


def test_the_result_as_json_has_the_promised_shape(numbers):
    shown = numbers.json("run", "numbers", "--mode", "dev", "--tag", "who=me")
    assert list(shown)[:10] == [
        "run_id", "pipeline", "mode", "status", "created_at", "started_at", "finished_at", "tags", "trigger", "steps",
    ]  # fmt: skip
    assert RUN_ID.fullmatch(shown["run_id"])
    assert (shown["pipeline"], shown["mode"], shown["status"]) == ("numbers", "dev", "SUCCESS")
    assert shown["tags"] == {"team": "sales", "who": "me"}
    assert shown["trigger"] == {"kind": "manual", "name": None, "run_key": None, "scheduled_at": None}
    assert shown["created_at"].endswith("Z")
    assert [list(step)[:5] for step in shown["steps"]] == [["key", "status", "attempts", "duration_s", "error"]] * 3
    assert [step["status"] for step in shown["steps"]] == ["SUCCESS"] * 3


def test_a_run_that_fails_exits_with_1_and_shows_the_users_own_lines(numbers):
    (numbers.path / "broken").touch()
    done = run(numbers)
    assert done.code == 1
    assert "top failed: ValueError: it is broken" in done.out
    line = 1 + (numbers.path / "pipelines.py").read_text().split("\n").index('        raise ValueError("it is broken")')
    assert f"pipelines.py:{line} in top" in done.out
    assert 'raise ValueError("it is broken")' in done.out
    assert "/orchestrator/worker/" not in done.out
    assert "orchestrator run --from-failure" in done.out


def test_the_error_of_a_step_is_in_the_json(numbers):
    (numbers.path / "broken").touch()
    done = run(numbers, "--json")
    assert done.code == 1
    shown = numbers.json("runs", "show", "last")
    assert [step["error"] for step in shown["steps"]] == [None, "ValueError: it is broken", None]
    assert [step["status"] for step in shown["steps"]] == ["SUCCESS", "FAILURE", "ABANDONED"]


@pytest.mark.parametrize(
    ("arguments", "top"),
    [
        pytest.param(["--set", "steps.top.config.n=5"], "top:5", id="one value"),
        pytest.param(["--config", "five.yaml"], "top:5", id="a file"),
        pytest.param(["--config", "five.yaml", "--config", "six.json"], "top:6", id="files are merged in order"),
        pytest.param(["--config", "five.yaml", "--set", "steps.top.config.n=7"], "top:7", id="values win over files"),
        pytest.param(["--preset", "small"], "top:1", id="a preset"),
        pytest.param(["--preset", "small", "--set", "steps.top.config.n=2"], "top:2", id="values win over a preset"),
        pytest.param(["--set", "steps.top.config.n={env: HOW_MANY}"], "top:9", id="the environment"),
    ],
)
@pytest.mark.sample(7)
def test_configuration_comes_from_everywhere_it_may(numbers, arguments, top):
    (numbers.path / "five.yaml").write_text("steps: {top: {config: {n: 5}}}")
    (numbers.path / "six.json").write_text('{"steps": {"top": {"config": {"n": 6}}}}')
    numbers("run", "numbers", "--mode", "dev", *arguments, HOW_MANY=9).ok()
    assert top in numbers.ledger()


def test_a_preset_brings_its_tags_and_the_caller_may_say_otherwise(numbers):
    assert numbers.json("run", "numbers", "--preset", "small")["tags"] == {"team": "sales", "size": "small"}
    tags = numbers.json("run", "numbers", "--preset", "small", "--tag", "size=xl")["tags"]
    assert tags == {"team": "sales", "size": "xl"}


def test_only_selected_steps_run(numbers):
    run(numbers, "--select", "*top").ok()
    assert numbers.ledger() == ["make", "top:10"]


def test_what_did_not_succeed_is_run_again_with_what_the_parent_stored(numbers):
    (numbers.path / "broken").touch()
    run(numbers, "--set", "steps.top.config.n=4")
    (numbers.path / "broken").unlink()
    shown = numbers.json("run", "--from-failure", "last")
    assert numbers.ledger() == ["make", "top:4", "top:4", "report:12"]
    assert [step["status"] for step in shown["steps"]] == ["REUSED", "SUCCESS", "SUCCESS"]
    assert shown["trigger"]["kind"] == "rerun"
    assert shown["tags"] == {"team": "sales"}


@pytest.mark.long
def test_a_grandchild_finds_what_its_grandparent_stored(numbers):
    (numbers.path / "broken").touch()
    run(numbers)
    assert numbers("run", "--from-failure", "last").code == 1
    (numbers.path / "broken").unlink()
    numbers("run", "--from-failure", "last").ok()
    assert numbers.ledger() == ["make", "top:10", "top:10", "top:10", "report:30"]


def test_a_run_is_run_again_as_it_was(numbers):
    run(numbers, "--set", "steps.top.config.n=2").ok()
    numbers("run", "--rerun", "last").ok()
    assert numbers.ledger() == ["make", "top:2", "report:6"] * 2


def test_a_single_step_is_run_again_with_the_inputs_it_had(numbers):
    run(numbers).ok()
    numbers("run", "--rerun", "last", "--select", "report").ok()
    assert numbers.ledger() == ["make", "top:10", "report:30", "report:30"]


def test_a_mode_may_choose_the_executor(numbers):
    numbers("run", "numbers", "--mode", "prod").ok()
    events = numbers.events()
    assert {event["executor"] for event in events if event["event"] == "attempt_launched"} == {"in_process"}
    assert len({event["pid"] for event in events if event["event"] == "attempt_started"}) == 1


def test_a_step_whose_branch_was_not_taken_is_skipped_and_the_run_succeeds(numbers):
    done = numbers("run", "branching").ok()
    assert "only_no" in done.out
    assert "1 skipped" in done.out
    assert "branch.no was not produced" in done.out


def test_progress_goes_to_stderr_and_results_to_stdout(numbers):
    done = run(numbers, "--json").ok()
    assert done.out.lstrip().startswith("{")
    assert "make started" in done.err


SLOW = """
    import time
    from orchestrator import Mode, RetryPolicy, pipeline, resource, step

    @resource
    def connection():
        yield "it"
        open("closed", "w").close()

    @step(resources={"connection"}, retry=RetryPolicy(max_retries=3))
    def slow():
        open("working", "w").close()
        while True:
            time.sleep(0.05)

    @step
    def never(value):
        open("never", "w").close()

    @pipeline(modes=[Mode("default", resources={"connection": connection})])
    def long():
        never(slow())

    @step
    def deaf():
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open("working", "w").close()
        while True:
            time.sleep(0.05)

    @pipeline
    def stubborn():
        deaf()
"""


def working(bench):
    bench.wait_until((bench.path / "working").exists, "the step to work")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_cancels_and_resources_are_torn_down(bench, number):
    bench.write(SLOW)
    process = bench.start("run", "long")
    working(bench)
    process.send_signal(number)
    out, _ = process.communicate()
    assert process.returncode == 130
    assert b"CANCELED" in out
    assert (bench.path / "closed").exists()
    assert not (bench.path / "never").exists()
    kinds = [event["event"] for event in bench.events()]
    assert kinds.count("run_cancel_requested") == 1
    assert kinds.count("attempt_canceled") == 1
    assert kinds.count("resource_torn_down") == 1
    assert kinds[-1] == "run_finished"
    bench.wait_until(lambda: bench.processes() == [], "every process to end")


def test_ctrl_c_twice_kills_what_does_not_listen(bench):
    bench.write(SLOW)
    process = bench.start("run", "stubborn")
    working(bench)
    process.send_signal(signal.SIGINT)
    bench.wait_until(lambda: any(e["event"] == "attempt_stop_requested" for e in bench.events()), "the first Ctrl-C")
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    assert bench.json("runs", "show", "last")["status"] == "CANCELED"
    bench.wait_until(lambda: bench.processes() == [], "every process to end")


def test_two_runs_at_once_and_somebody_who_looks_never_see_a_lock(numbers):
    one, other = numbers.start("run", "numbers", "--mode", "dev"), numbers.start("run", "numbers", "--mode", "dev")
    looks = []
    while one.poll() is None or other.poll() is None:
        looks.append(numbers("runs", "list"))
    assert one.returncode == other.returncode == 0
    assert looks
    for look in looks:
        look.ok()
        assert "lock" not in look.err.lower()
    assert [found["status"] for found in numbers.json("runs", "list")] == ["SUCCESS", "SUCCESS"]


@pytest.mark.long
def test_many_commands_at_once_take_turns(numbers):
    run(numbers).ok()
    commands = [numbers.start("runs", "list"), numbers.start("asset", "list"), numbers.start("sql", "FROM runs")] * 1
    commands += [numbers.start("runs", "show", "last") for _ in range(4)]
    for command in commands:
        _, err = command.communicate()
        assert command.returncode == 0, err


def test_a_pipeline_named_with_its_location_is_run_without_loading_any_other(bench):
    bench.write("from orchestrator import pipeline, step\n@step\ndef a() -> None: ...\n@pipeline\ndef one(): a()\n")
    bench.write("from pathlib import Path\nPath('imported').touch()\n", file="other.py")
    bench.settings("locations: [{name: main, file: pipelines.py}, {name: other, file: other.py}]")
    bench("run", "main/one").ok()
    bench("run", "--rerun", "last").ok()
    assert not (bench.path / "imported").exists()
    bench("run", "one").ok()
    assert (bench.path / "imported").exists()


def test_a_location_that_is_not_there_is_named_with_what_is_near(bench):
    bench.write("from orchestrator import pipeline, step\n@step\ndef a() -> None: ...\n@pipeline\ndef one(): a()\n")
    done = bench("run", "mian/one")
    assert done.code == 4
    assert "no location 'mian'" in done.err
    assert "main" in done.err


def test_of_many_failures_each_way_to_fail_is_told_once(bench):
    bench.write("""
        from orchestrator import DynamicOut, DynamicOutput, pipeline, step

        @step(outputs=DynamicOut(int))
        def numbers():
            for n in range(50):
                yield DynamicOutput(n, key=f"n{n}")

        @step
        def check(n: int) -> None:
            raise (ValueError(f"odd {n}") if n % 2 else TypeError(f"even n{n}, at 0x{n:x}"))

        @pipeline
        def many():
            numbers().map(check)
    """)
    done = bench("run", "many", "--executor", "in_process")
    assert (done.code, done.out.count(" failed: ")) == (1, 2), done
    run = bench.json("runs", "list")[0]["run_id"]
    others = "check[n2], check[n4], check[n6] and 21 more"
    assert f"{others} failed in the same way: orchestrator runs show {run} --steps" in done.out
    assert re.search(r"^  ✗ check\[…\] .* slowest of 50 steps: 50 failed$", done.out, re.MULTILINE)
    assert f"each of them: orchestrator runs show {run} --steps" in done.out
    assert bench.here("runs", "show", run, "--steps").out.count(" failed: ") == 50


def test_an_error_as_long_as_a_book_is_shown_in_short_and_kept_whole(bench):
    bench.write("""
        from orchestrator import pipeline, step

        @step
        def wide() -> None:
            raise ValueError("x" * 50_000)

        @step
        def high() -> None:
            raise ValueError("\\n".join(f"line {number} {'y' * 1500}" for number in range(40)))

        @pipeline
        def verbose():
            wide()
            high()
    """)
    done = bench("run", "verbose")
    for text in (done.out, done.err, bench.here("runs", "show", "last").out):
        assert "ValueError: xxx" in text
        assert "(49,000 more characters)" in text
        assert max(map(len, text.splitlines())) < 1200
    assert "... (19 more lines: orchestrator runs show --json)" in done.out
    steps = bench.json("runs", "show", "last")["steps"]
    assert sorted(len(one["failure"]["message"]) for one in steps)[0] == 50_000
