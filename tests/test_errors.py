"""What is said of an error where there is room for one line."""

import pytest

from orchestrator.errors import summary_line

TRACE = 'Traceback (most recent call last):\n  File "p.py", line 3, in f\n    return {}["x"]\n           ~~^^^^^\n'


@pytest.mark.parametrize(
    ("error", "said"),
    [
        pytest.param("It timed out.", "It timed out.", id="one-line"),
        pytest.param(
            "There is no pipeline 'nope'.\nThere is: hello.", "There is no pipeline 'nope'.", id="with-a-hint"
        ),
        pytest.param(
            "The configuration is not valid:\n  - steps.a: unknown\n  - steps.b: unknown\nA hint.",
            "The configuration is not valid: steps.a: unknown",
            id="several-problems",
        ),
        pytest.param(f"{TRACE}KeyError: 'x'", "KeyError: 'x'", id="a-traceback"),
        pytest.param(f"{TRACE}ValueError: first\nsecond", "ValueError: first", id="a-message-of-two-lines"),
        pytest.param(
            f"{TRACE}KeyError: 'x'\n\nDuring handling of it, another one:\n\n{TRACE}OSError: no disk",
            "OSError: no disk",
            id="with-a-cause",
        ),
        pytest.param(f"told of run x:\n{TRACE}KeyError: 'x'", "KeyError: 'x'", id="a-traceback-with-a-line-before-it"),
        pytest.param("told of run x:\nIt timed out.", "told of run x: It timed out.", id="a-line-before-it"),
        pytest.param(
            '  File "p.py", line 5\n    return (1 +\n           ^\nSyntaxError: never closed',
            "SyntaxError: never closed",
            id="a-syntax-error",
        ),
        pytest.param("", "", id="nothing"),
    ],
)
def test_the_line_that_says_most(error, said):
    assert summary_line(error) == said
