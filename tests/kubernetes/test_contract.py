"""The executor `kubernetes` keeps the contract of all executors, on a real cluster."""

from contextlib import contextmanager
from typing import ClassVar

import pytest

from orchestrator.testing import ExecutorContract
from tests.kubernetes.workspace import workspace_file


@pytest.mark.usefixtures("cluster")
class TestKubernetes(ExecutorContract):
    executor = "kubernetes"
    more: ClassVar = {}
    slow_s = 6.0
    patience_s = 120.0

    @pytest.fixture(autouse=True)
    def _in_the_cluster(self, cluster, namespace, monkeypatch):
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
        self._namespace = namespace

    @contextmanager
    def owner(self, path):
        self._path = path
        with super().owner(path) as owner:
            yield owner

    def settings(self):
        return workspace_file(self._namespace, self._path, **self.more)

    def location(self):
        return "image: local/sh:1"


class TestPodsWithoutJobs(TestKubernetes):
    """The same where an attempt is a pod and no Job."""

    more: ClassVar = {"unit": "pod"}
