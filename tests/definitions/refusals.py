"""Definitions that can never work, as tables: each refusal names the definition, its line and what to do."""

import inspect

import pytest

from orchestrator import DefinitionError

NAME_HINT = "A name has 1 to 100 ASCII letters, digits and underscores, and does not begin with a digit."


class Refusals:
    """Functions that make an impossible definition on their line marked `# here`, and what they are told."""

    def __init__(self):
        self.cases = []

    def __call__(self, what, problem, hint=None):
        def register(function):
            self.cases.append(pytest.param(function, what, problem, hint, id=function.__name__))
            return function

        return register


def check_refusal(define, what, problem, hint):
    """The function is refused with exactly this, and with the place of its marked line."""
    with pytest.raises(DefinitionError) as caught:
        define()
    error = caught.value
    head, _, rest = error.message.partition(" (")
    place, _, said = rest.partition("): ")
    assert (head, said, error.hint) == (what, problem, hint)
    module, _, line = place.partition(", ")
    assert module == define.__module__
    assert line.endswith(f"{define.__module__.rpartition('.')[2]}.py:{_marked_line(define)}")


def _marked_line(function):
    lines, first = inspect.getsourcelines(function)
    return first + next(number for number, line in enumerate(lines) if "# here" in line)
