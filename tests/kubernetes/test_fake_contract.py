"""The executor `kubernetes` keeps the contract of all executors on a fake cluster, also when requests to it fail."""

from contextlib import contextmanager

import pytest
import yaml

from orchestrator.testing import ExecutorContract


class TestFake(ExecutorContract):
    executor = "kubernetes"
    slow_s = 2.0

    @pytest.fixture(autouse=True)
    def _in_the_cluster(self, fake, monkeypatch):
        monkeypatch.setenv("KUBECONFIG", str(fake.kubeconfig))
        self._fake = fake

    @contextmanager
    def owner(self, path):
        self._path = path
        with super().owner(path) as owner:
            yield owner

    def settings(self):
        return yaml.safe_dump({"kubernetes": self._fake.section(self._path)})

    def location(self):
        return "image: fake/image:1"


@pytest.mark.long
class TestRain(TestFake):
    """One request in four fails in one way or another, lines of watches too."""

    slow_s = 8.0  # killing takes as long as its request needs to get through

    @pytest.fixture(autouse=True)
    def _rain(self, _in_the_cluster, request):
        self._fake.faults.rain(request.node.name, 0.25)
