"""The cluster that rows are measured on, a workspace whose steps run there, and what is seen of it from outside."""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from datetime import datetime

import yaml

from orchestrator.kubernetes.reflector import Reflector
from tests.benchmarks import workspaces
from tests.benchmarks.measure import ORCHESTRATOR
from tests.kubernetes.conftest import NoCluster, let_pods_claim, running_cluster
from tests.kubernetes.workspace import ROOT, section

HANGS_S = 300
ON_FAKE_NODE = {"nodeSelector": {"kind": "fake"}, "tolerations": [{"key": "fake", "operator": "Exists"}]}
# In a process of its own, so that it does not share this one's interpreter with what watches.
FAKE_NODE = """
import sys
from pathlib import Path
from orchestrator.kubernetes.client import Client
from orchestrator.kubernetes.kubeconfig import find_access
from tests.kubernetes.fake_node import FakeNode

kubeconfig, runs_s = sys.argv[1], None if sys.argv[2] == "None" else float(sys.argv[2])
with FakeNode(Client(find_access(None, None, {"KUBECONFIG": kubeconfig})), runs_s=runs_s):
    print("ready", flush=True)
    sys.stdin.read()
"""


class Clusters:
    """The one cluster of a measurement, which starts with the first row that needs it."""

    def __init__(self, directory):
        self._directory = directory
        self._stack = ExitStack()
        self._started = None
        self._is_missing = False

    def find(self):
        """The running cluster; None, and a word about it the first time, where none can be started."""
        if self._started is None and not self._is_missing:
            try:
                self._started = self._stack.enter_context(running_cluster(self._directory))
            except NoCluster as error:
                self._is_missing = True
                print(f"no cluster can be started here, its rows are left out: {error}", file=sys.stderr)
        return self._started

    def close(self):
        self._stack.close()


class Sightings:
    """When the Jobs of a namespace were seen to be created, and their containers to run and to end: as soon as the API
    server says so, by this machine's clock. By the name of the Job."""

    def __init__(self, client, namespace):
        self.created, self.running, self.ended = {}, {}, {}
        self.pods = set()
        self._changed = threading.Condition()
        jobs, pods = f"/apis/batch/v1/namespaces/{namespace}/jobs", f"/api/v1/namespaces/{namespace}/pods"
        self._watches = [
            Reflector(client, jobs, {}, self._job, lambda _names: None),
            Reflector(client, pods, {}, self._pod, lambda _names: None),
        ]

    def __enter__(self):
        for watch in self._watches:
            watch.start()
        for watch in self._watches:
            assert watch.is_synced.wait(HANGS_S)
        return self

    def __exit__(self, *_error):
        for watch in self._watches:
            watch.stop()

    def until(self, condition, what):
        """Returns once the condition holds, which is looked at whenever a Job or pod has changed."""
        with self._changed:
            if not self._changed.wait_for(condition, HANGS_S):
                raise RuntimeError(f"{what} never came true")

    def _job(self, job, is_gone):
        if not is_gone:
            self._note(self.created, job["metadata"]["name"])

    def _pod(self, pod, is_gone):
        metadata = pod["metadata"]
        job = metadata.get("labels", {}).get("batch.kubernetes.io/job-name", "")
        states = [one["state"] for one in pod["status"].get("containerStatuses") or ()]
        if any("running" in state for state in states):
            self._note(self.running, job)
        if states and all("terminated" in state for state in states):
            self._note(self.ended, job)
        with self._changed:
            (self.pods.discard if is_gone else self.pods.add)(metadata["name"])
            self._changed.notify_all()

    def _note(self, seen, job):
        with self._changed:
            seen.setdefault(job, time.time())
            self._changed.notify_all()


class Place:
    """A workspace whose steps are Jobs in a namespace of its own. `at_a_time`: how many may run."""

    def __init__(self, cluster, path, source, at_a_time):
        self.cluster, self.path = cluster, path
        self.namespace = f"bench-{path.name}"
        self.environment = {"KUBECONFIG": str(cluster.kubeconfig)}
        workspaces.make(path, source)
        kept = path / "kept"
        kept.mkdir(mode=0o777)
        kept.chmod(0o777)
        kubernetes = section(self.namespace, path, storage={"claim": "none"}, max_concurrent_jobs=at_a_time)
        # Values go into a directory of this machine: binding a volume is not what is measured.
        own = {"name": "orchestrator-storage", "persistentVolumeClaim": None, "hostPath": {"path": str(kept)}}
        kubernetes["pod"]["volumes"].append(own)
        self.pod = kubernetes["pod"]
        location = {"name": "main", "file": "pipelines.py", "image": "local/sh:1"}
        executor = {"default": "kubernetes", "max_concurrent_steps": at_a_time}
        settings = {"locations": [location], "executor": executor, "kubernetes": kubernetes}
        (path / ".orchestrator.yaml").write_text(yaml.safe_dump(settings))
        cluster.kubectl("create", "namespace", self.namespace)
        while not cluster.kubectl("get", "serviceaccount", "-n", self.namespace, "-o", "name"):
            time.sleep(0.1)
        let_pods_claim(cluster, self.namespace)

    def watched(self):
        return Sightings(self.cluster.client, self.namespace)

    def __call__(self, *arguments):
        """What a command of ours prints."""
        command = [ORCHESTRATOR, *arguments]
        environment = {**os.environ, **self.environment}
        done = subprocess.run(command, cwd=self.path, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{command} failed:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def recorded(self):
        """When the newest run was recorded as finished: the step's outcome is in the journal just before that."""
        (event,) = [
            one for one in json.loads(self("runs", "events", "last", "--json")) if one["event"] == "run_finished"
        ]
        return datetime.fromisoformat(event["at"]).timestamp()

    def sent(self, pipeline):
        """The Secret and the Job that are sent for the first step of a pipeline."""
        return json.loads(self("kubernetes", "manifest", pipeline, "--json"))

    def bare(self, name, command, **pod):
        """A Job of the same image that is not ours, and has the same of this machine mounted."""
        container = {**self.pod["containers"][0], "image": "local/sh:1", "command": command}
        volumes = [one for one in self.pod["volumes"] if one["name"] != "orchestrator-storage"]
        spec = {"restartPolicy": "Never", "containers": [container], "volumes": volumes, **pod}
        template = {"metadata": {"labels": {"bare": "yes"}}, "spec": spec}
        metadata = {"name": name, "namespace": self.namespace}
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}}

    def create(self, manifests):
        """Has kubectl create them, all with one command."""
        path = self.path / "manifests.json"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}))
        self.cluster.kubectl("create", "-f", str(path))

    def clear(self, seen):
        """Deletes all Jobs with their pods, and returns when those are gone."""
        jobs = f"/apis/batch/v1/namespaces/{self.namespace}/jobs"
        self.cluster.client.request("DELETE", jobs, {"propagationPolicy": "Background"})
        seen.until(lambda: not seen.pods, "the end of all pods")


@contextmanager
def fake_node(cluster, runs_s=0.0):
    """A node that only pretends to run its pods, each for so many seconds; None: until it is deleted."""
    command = [sys.executable, "-c", FAKE_NODE, str(cluster.kubeconfig), str(runs_s)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=ROOT, **pipes)
    try:
        process.stdout.readline()
        yield
    finally:
        process.communicate(b"")
