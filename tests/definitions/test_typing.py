"""What a type checker says of right and wrong uses, and what `help` shows."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import orchestrator

HERE = Path(__file__).parent
CHECKERS = {
    "mypy": (["mypy", "--strict", "--no-error-summary"], r"{file}:(\d+): error"),
    "pyright": (["pyright", "--pythonpath", sys.executable], r"{file}:(\d+):\d+ - error"),
}


@pytest.mark.parametrize("file", ["typed_usage.py", "typed_calls.py"])
@pytest.mark.parametrize("checker", CHECKERS)
def test_a_type_checker_refuses_what_is_wrong_and_nothing_else(checker, file):
    command, error = CHECKERS[checker]
    said = subprocess.run(
        [sys.executable, "-m", *command, str(HERE / file)], capture_output=True, text=True, cwd=HERE.parents[1]
    ).stdout
    found = {int(line) for line in re.findall(error.format(file=re.escape(file)), said)}
    lines = (HERE / file).read_text().splitlines()
    wrong = {number for number, line in enumerate(lines, 1) if line.endswith("# error")}
    assert len(wrong) > 15
    assert found == wrong, said


@pytest.mark.parametrize(
    ("decorator", "options"),
    [
        ("step", {"outputs", "retry", "isolation", "timeout", "version"}),
        ("pipeline", {"modes", "presets", "hooks"}),
        ("io_manager", {"resources", "in_process_only", "reach"}),
        ("schedule", {"cron", "timezone", "overlap", "catch_up"}),
        ("sensor", {"interval", "timeout"}),
        ("asset_sensor", {"asset", "read", "require", "interval"}),
        ("run_status_sensor", {"status", "pipelines", "interval"}),
    ],
)
def test_help_lists_the_options(decorator, options):
    assert options <= set(inspect.signature(getattr(orchestrator, decorator)).parameters)
