"""A real cluster for the tests marked `kubernetes`: one node that starts here in seconds once it was built.

Pods run the Python of this environment, mounted from the host: nothing is built and nothing is pulled.
"""

import json
import os
import secrets
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.errors import OrchestratorError
from orchestrator.kubernetes.client import Client
from orchestrator.kubernetes.kubeconfig import find_access
from orchestrator.service.cluster import NEEDED_BY_PODS, role_of
from tests.kubernetes.fake_cluster import fake, fake_certificate  # noqa: F401
from tests.kubernetes.workspace import Workspace

HERE = Path(__file__).parent / "cluster"
REQUIRED = os.environ.get("ORCHESTRATOR_REQUIRE_CLUSTER") == "1"
BUILD_S = 3600


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A running cluster."""
    try:
        with running_cluster(tmp_path_factory.mktemp("kube")) as started:
            yield started
    except NoCluster as error:
        (pytest.fail if REQUIRED else pytest.skip)(f"No cluster can be started here: {error}.")


class NoCluster(Exception):
    """Why there can be none on this machine."""


@contextmanager
def running_cluster(directory):
    """A cluster whose files are in `directory`. Builds it when that was never done. Raises NoCluster."""
    why = _cannot()
    if why is not None:
        raise NoCluster(why)
    environment = {**os.environ, "KUBE_DIR": str(directory), "KUBE_BIN": os.environ.get("KUBE_BIN", _cache())}
    for command, seconds in (("build", BUILD_S), ("up", 300)):
        done = subprocess.run(
            [HERE / command], env=environment, capture_output=True, text=True, timeout=seconds, check=False
        )
        if done.returncode != 0:
            raise NoCluster(f"{command} said {done.stderr[-2000:]}")
    try:
        started = Cluster(directory / "kubeconfig", environment)
        if not started.runs_pods():
            raise NoCluster("it started, and runs no pods")
        yield started
    finally:
        subprocess.run([HERE / "down"], env=environment, check=False, timeout=60)


def _cannot():
    if os.geteuid() != 0:
        return "it takes root"
    if shutil.which("go") is None and not Path("/usr/local/go/bin/go").exists() and not _is_built():
        return "Go is not installed"
    allowed = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--fork", "true"], capture_output=True, check=False
    )
    return None if allowed.returncode == 0 else "namespaces may not be made"


def _cache():
    return str(Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "orchestrator-kube")


def _is_built():
    return (Path(os.environ.get("KUBE_BIN", _cache())) / "stamp").exists()


class Cluster:
    """A running cluster, and what tests do to it."""

    def __init__(self, kubeconfig, environment):
        self.kubeconfig = kubeconfig
        self._environment = environment
        self.client = Client(find_access(None, None, {"KUBECONFIG": str(kubeconfig)}))

    def kubectl(self, *arguments):
        """What kubectl prints."""
        kubectl = Path(self._environment["KUBE_BIN"]) / "kubectl"
        command = [kubectl, "--kubeconfig", self.kubeconfig, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout

    def inside(self, *command):
        """What a command prints that runs on the cluster's machine, where its programs are."""
        done = subprocess.run(
            [HERE / "in", *command], env=self._environment, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout

    def signal(self, program, number):
        """Sends a signal to a program of the cluster: `kubelet`, `kube-apiserver`, ..."""
        self.inside("kill", f"-{int(number)}", *self.inside("pgrep", "-x", program).split())

    def start(self, program):
        """Starts a program of the cluster again."""
        self.inside(HERE / "node", "start", program)

    def until_ready(self, program):
        """Returns once a program of the cluster is there and does its work; starts it if it is not there."""
        if not self.inside("sh", "-c", f"pgrep -x {program} || true"):
            self.start(program)
        deadline = time.monotonic() + 120
        while not self._is_ready():
            assert time.monotonic() < deadline, f"{program} was never ready"
            time.sleep(0.2)

    def _is_ready(self):
        try:
            nodes = self.request("GET", "/api/v1/nodes")["items"]
        except OrchestratorError:
            return False
        conditions = [one for node in nodes for one in node["status"].get("conditions", ())]
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    def request(self, method, path, body=None):
        return self.client.request(method, path, body)

    def runs_pods(self):
        """Whether a pod can be started at all: what containers need differs between machines."""
        try:
            self.kubectl("run", "smoke", "--image=local/sh:1", "--restart=Never", "--", "true")
            self.kubectl("wait", "pod/smoke", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=100s")
        except subprocess.SubprocessError:
            return False
        return True

    def apply(self, manifests, *options):
        """`kubectl apply`, and what came of it."""
        kubectl = Path(self._environment["KUBE_BIN"]) / "kubectl"
        command = [kubectl, "--kubeconfig", self.kubeconfig, "apply", "--filename", "-", *options]
        return subprocess.run(command, input=manifests, capture_output=True, text=True, check=False, timeout=120)

    def load(self, image):
        """Puts an image, a file that cluster/image or deploy/Dockerfile made, on the node."""
        subprocess.run([HERE / "load", image], env=self._environment, check=True, capture_output=True, timeout=300)

    def items(self, kind, namespace):
        return json.loads(self.kubectl("get", kind, "-n", namespace, "-o", "json"))["items"]


@pytest.fixture
def bare_namespace(cluster):
    """A namespace of the test's own, in which no account has rights yet."""
    name = f"t-{secrets.token_hex(4)}"
    cluster.kubectl("create", "namespace", name)
    for _ in range(200):
        if cluster.kubectl("get", "serviceaccount", "-n", name, "-o", "name"):
            break
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def namespace(cluster, bare_namespace):
    """A namespace of the test's own, whose pods may claim their attempts."""
    let_pods_claim(cluster, bare_namespace)
    return bare_namespace


def let_pods_claim(cluster, namespace):
    """Applies what `orchestrator kubernetes rbac` prints for the pods of steps."""
    documents = role_of("orchestrator-steps", namespace, NEEDED_BY_PODS, "default")
    for kind, document in zip(("roles", "rolebindings"), documents, strict=True):
        cluster.client.request("POST", f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/{kind}", document)


@pytest.fixture
def work(request, bench, cluster, namespace):
    """A workspace with the `PIPELINES` of the test's module, in a namespace with a volume claim of its own."""
    claim = bench.path / "claim"
    claim.mkdir()
    claim.chmod(0o777)
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": namespace},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteMany"],
            "storageClassName": namespace,
            "hostPath": {"path": str(claim)},
        },
    }
    cluster.client.request("POST", "/api/v1/persistentvolumes", volume)
    wanted = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "values"},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": namespace,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    cluster.client.request("POST", f"/api/v1/namespaces/{namespace}/persistentvolumeclaims", wanted)
    yield Workspace(bench, cluster, namespace, request.module.PIPELINES)
    cluster.client.request("DELETE", f"/api/v1/persistentvolumes/{namespace}")
