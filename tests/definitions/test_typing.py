"""What a type checker says of right and wrong uses, and what `help` shows."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import orchestrator

USAGE = Path(__file__).with_name("typed_usage.py")


def test_a_type_checker_refuses_what_is_wrong_and_nothing_else():
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(USAGE)]
    said = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2]).stdout
    found = {int(line) for line in re.findall(r"typed_usage\.py:(\d+): error", said)}
    wrong = {number for number, line in enumerate(USAGE.read_text().splitlines(), 1) if line.endswith("# error")}
    assert len(wrong) > 15
    assert found == wrong, said


@pytest.mark.parametrize(
    ("decorator", "options"),
    [
        ("step", {"outputs", "retry", "isolation", "timeout", "version"}),
        ("pipeline", {"modes", "presets", "hooks"}),
        ("io_manager", {"resources", "in_process_only"}),
        ("schedule", {"cron", "timezone", "overlap", "catch_up"}),
        ("sensor", {"interval", "timeout"}),
        ("asset_sensor", {"asset", "read", "require", "interval"}),
        ("run_status_sensor", {"status", "pipelines", "interval"}),
    ],
)
def test_help_lists_the_options(decorator, options):
    assert options <= set(inspect.signature(getattr(orchestrator, decorator)).parameters)
