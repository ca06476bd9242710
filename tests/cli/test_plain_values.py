"""Commands do not wait for pydantic to find out that text is text; what is to be converted still is."""

import subprocess
import sys
from pathlib import Path

import pytest

import orchestrator
from orchestrator.cli.plain_values import is_plain

PIPELINES = """
    from orchestrator import pipeline, step

    @step
    def nothing() -> None: ...

    @pipeline
    def work():
        nothing()
"""

ROOT = Path(orchestrator.__file__).parent


@pytest.mark.parametrize(
    ("annotation", "value", "plain"),
    [
        (str, "a", True),
        (int, 20, True),
        (int, "20", False),
        (int, True, False),
        (float, 0.5, True),
        (list[str], ("a", "b"), True),
        (list[str], (), True),
        (list[str], "a", False),
        (list[int], ("1",), False),
        (str | None, "a", False),
    ],
)
def test_a_value_is_plain_if_it_is_what_it_is_to_be(annotation, value, plain):
    assert is_plain(annotation, value) is plain


@pytest.mark.parametrize(
    "command", [["run", "work", "--tag", "a=b"], ["runs", "list"], ["status"], ["pipeline", "show", "work"]]
)
def test_a_command_does_not_import_pydantic(bench, command):
    """If it does, typer keeps its parameters in another way now: `orchestrator.cli.plain_values` is to follow it."""
    bench.write(PIPELINES)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "orchestrator", *command],
        cwd=bench.path, capture_output=True, text=True, env=bench._environment({}),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "msgspec" in done.stderr
    assert "pydantic" not in done.stderr


def test_what_is_not_plain_is_converted_and_checked(bench):
    bench.write(PIPELINES)
    bench("run", "work").ok()
    bench("run", "work").ok()
    assert len(bench.json("runs", "list", "--limit", "1")) == 1
    refused = bench("runs", "list", "--limit", "many")
    assert refused.code == 2
    assert "--limit" in refused.err


@pytest.mark.parametrize(
    "private", ["typer._coercion.RuntimeParam", "typer._coercion.build_runtime_param", "typer.core.build_runtime_param"]
)
@pytest.mark.sample(1)
def test_without_a_private_name_of_typer_commands_are_slower_and_nothing_else(bench, private):
    module, _, name = private.rpartition(".")
    # Taken away in another module than the one that uses it: typer itself has it already.
    code = f"""
import importlib, sys, typer, typer.core
module = importlib.import_module({module!r})
kept = module.{name}
if {module!r} != "typer.core":
    del module.{name}
else:
    module.build_runtime_param = lambda *given, **more: kept(*given, **more)
sys.argv[0] = "orchestrator"
from orchestrator.__main__ import main
main()
"""

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-c", code, *arguments], cwd=bench.path, capture_output=True, text=True, timeout=30
        )

    bench.write("")
    assert run("--help").returncode == 0
    assert run("runs", "list", "--limit", "3").returncode == 0
    for wrong in (("runs", "list", "--limit", "many"), ("no-such-command",), ("runs", "list", "--no-such-option")):
        done = run(*wrong)
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr


def test_nothing_of_typer_that_is_private_is_needed():
    for path in (ROOT / "cli").rglob("*.py"):
        if path.name != "plain_values.py":
            assert "typer._" not in path.read_text(), path
