"""A location whose environment has another version of orchestrator installed."""

import sys

import pytest

from orchestrator.protocol.messages import OLDEST_PROTOCOL, PROTOCOL, is_compatible

# Stands for the Python of such an environment: the same code, which says that it is another version.
PYTHON = """#!/bin/sh
shift 3  # -P -m orchestrator.worker
exec {python} -P -c "
import runpy, sys
from orchestrator import _version
from orchestrator.protocol import messages
_version.__version__ = '9.9.9'
messages.PROTOCOL, messages.OLDEST_PROTOCOL = {protocol}, {oldest}
sys.argv[0] = 'orchestrator.worker'
runpy.run_module('orchestrator.worker', run_name='__main__', alter_sys=True)
" "$@"
"""
PIPELINES = """
    from orchestrator import pipeline, step

    @step
    def one() -> int:
        return 1

    @pipeline
    def short():
        one()
"""


@pytest.fixture
def other(bench):
    """A workspace whose location speaks these protocols."""

    def make(protocol, oldest):
        python = bench.path / "python"
        python.write_text(PYTHON.format(python=sys.executable, protocol=protocol, oldest=oldest))
        python.chmod(0o700)
        bench.write(PIPELINES)
        bench.settings(f"locations: [{{name: main, file: pipelines.py, python: {python}}}]")
        return bench

    return make


@pytest.mark.parametrize(
    ("protocol", "oldest", "works"),
    [
        (PROTOCOL, OLDEST_PROTOCOL, True),
        (PROTOCOL + 1, PROTOCOL, True),
        (PROTOCOL + 3, PROTOCOL - 2, True),
        (PROTOCOL + 1, PROTOCOL + 1, False),
        (OLDEST_PROTOCOL - 1, 1, False),
    ],
)
def test_two_versions_fit_when_each_understands_what_the_other_says(protocol, oldest, works):
    assert is_compatible(protocol, oldest) is works


def test_a_location_of_another_version_with_the_same_protocol_works(other):
    bench = other(PROTOCOL, OLDEST_PROTOCOL)
    assert bench.json("run", "short")["status"] == "SUCCESS"


def test_a_location_that_speaks_a_later_protocol_is_refused_by_name_and_number(other):
    refused = other(PROTOCOL + 1, PROTOCOL + 1)("run", "short")
    assert refused.code == 6, refused
    assert f"runs orchestrator 9.9.9, whose protocol {PROTOCOL + 1} does not fit" in refused.err
    assert "Install the same version there" in refused.err


def test_a_location_of_a_version_that_is_too_old_to_be_asked_says_so(other):
    bench = other(PROTOCOL, OLDEST_PROTOCOL)
    (bench.path / "python").write_text(f"#!/bin/sh\nexec {sys.executable} -P -m orchestrator.worker.of_0_1_0\n")
    refused = bench("run", "short")
    assert refused.code == 6, refused
    assert "has an older version of orchestrator" in refused.err
