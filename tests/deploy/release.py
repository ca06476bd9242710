"""A release of the chart on the test cluster: one daemon in a pod, whose pipelines come with its image."""

import json
import os
import subprocess
import time

NAME = "orchestrator"
POD = f"{NAME}-0"
IMAGE = "local/orchestrator:test"
# Two cores run a whole cluster beside the tests.
PATIENCE_S = 180

PACKAGE = """
[build-system]
requires = ["hatchling>=1.25"]
build-backend = "hatchling.build"

[project]
name = "sales"
version = "1"
"""
PIPELINES = """
import os, time
from orchestrator import pipeline, schedule, step

def note(line):
    with open("/storage/ledger", "a") as ledger:
        ledger.write(f"{line}\\n")

@step
def numbers() -> list:
    note("numbers")
    return [1, 2, 3]

@step
def total(values: list) -> int:
    note(f"total {sum(values)}")
    return sum(values)

@step
def waits():
    note("waits")
    while not os.path.exists("/storage/go"):
        time.sleep(0.1)

@pipeline
def adds_up():
    total(numbers())

@pipeline
def one_waits():
    waits()

@schedule(cron="* * * * *", pipeline=adds_up, default_on=True)
def every_minute(context): ...
"""


def write_package(directory):
    """The user's code as a package that pip can install."""
    (directory / "sales").mkdir(parents=True)
    (directory / "pyproject.toml").write_text(PACKAGE)
    (directory / "sales" / "__init__.py").write_text("")
    (directory / "sales" / "pipelines.py").write_text(PIPELINES)


def volume(name, storage_class, path, modes):
    """A volume that is a directory of this machine. The kubelet gives those no group, so it is done here: to root and
    the group of the pod, as a claim of block storage looks with fsGroup."""
    path.mkdir()
    os.chown(path, 0, 1000)
    path.chmod(0o2775)
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": modes,
            "storageClassName": storage_class,
            "hostPath": {"path": str(path)},
        },
    }


class Release:
    """What tests do with a release."""

    def __init__(self, helm, cluster, namespace, path):
        self.helm, self.cluster, self.namespace, self.path = helm, cluster, namespace, path

    def values(self, **more):
        repository, tag = IMAGE.split(":")
        return {
            "image": {"repository": repository, "tag": tag, "pullPolicy": "Never"},
            "workspace": {"locations": [{"name": "sales", "module": "sales.pipelines"}]},
            "state": {"size": "1Gi", "storageClass": self.namespace},
            "storage": {"claim": "values"},
            "daemon": {"startupProbe": {"periodSeconds": 2}},
            **more,
        }

    def install(self, **more):
        self.helm("install", name=NAME, values=self.values(**more))
        self.until_ready()
        return self

    def upgrade(self, **workspace):
        """An upgrade that changes the workspace file."""
        values = self.values()
        values["workspace"] |= workspace
        return self.helm("upgrade", name=NAME, values=values)

    def until_ready(self):
        """Returns once the pod of the newest revision is ready."""
        self.until(self._is_ready, "that the daemon is ready")

    def _is_ready(self):
        (found,) = self.items("statefulsets")
        if found["status"].get("observedGeneration") != found["metadata"]["generation"]:
            return False
        pod = self.pod()
        if pod is None or "deletionTimestamp" in pod["metadata"]:
            return False
        revision = pod["metadata"]["labels"]["controller-revision-hash"]
        conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions", ())}
        return revision == found["status"]["updateRevision"] and conditions.get("Ready") == "True"

    def __call__(self, *command):
        """What a command in the daemon's pod prints."""
        return self.cluster.kubectl("exec", "-n", self.namespace, POD, "--", *command)

    def log(self):
        """What the daemon's container has printed; nothing between two."""
        try:
            return self.cluster.kubectl("logs", "-n", self.namespace, POD)
        except subprocess.CalledProcessError:
            return ""

    def runs(self):
        return json.loads(self("orchestrator", "runs", "list", "--json"))

    def ledger(self):
        try:
            return (self.path / "values" / "ledger").read_text().splitlines()
        except FileNotFoundError:
            return []

    def pod(self):
        """The daemon's pod; None between two."""
        found = [one for one in self.items("pods") if one["metadata"]["name"] == POD]
        return found[0] if found else None

    def items(self, kind):
        return self.cluster.items(kind, self.namespace)

    def until(self, condition, what):
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"{what} never came true\n{self._state()}"
            time.sleep(0.2)

    def _state(self):
        """What is there, for a test that fails."""
        described = self.cluster.kubectl("describe", "pods", "-n", self.namespace)
        return f"{described}\n{self.cluster.kubectl('get', 'events', '-n', self.namespace)}"
