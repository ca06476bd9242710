"""The long form is run only when it is asked for."""

import time

import pytest

from tests.conftest import ORCHESTRATOR, Bench


def pytest_collection_modifyitems(config, items):
    if "soak" not in (config.getoption("-m") or ""):
        for item in items:
            if item.get_closest_marker("soak"):
                item.add_marker(pytest.mark.skip(reason="a soak test: opt in with -m soak"))


class SoakBench(Bench):
    """A bench that is patient, and starts processes that live longer than a test's usual ones."""

    def command(self, *arguments):
        return [*ORCHESTRATOR, *arguments]

    def wait_longer(self, condition, seconds, what):
        """Returns once the condition holds; asked rarely, because asking costs a command."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what} never came true"
            time.sleep(1)


@pytest.fixture
def bench(tmp_path):
    bench = SoakBench(tmp_path)
    yield bench
    bench.clean_up()
