"""The chart on a real cluster: scenario 12 of docs/kubernetes.md."""

import json
import tempfile
from pathlib import Path

import pytest
import yaml

from tests.deploy import helm, image
from tests.deploy.release import IMAGE, NAME, POD, Release, volume, write_package
from tests.kubernetes import conftest


@pytest.fixture(scope="session")
def packages():
    found = helm.installed(conftest._cache())
    if found is None:
        (pytest.fail if conftest.REQUIRED else pytest.skip)(f"{helm.PACKAGE} cannot be installed here.")
    return found


@pytest.fixture(scope="session")
def daemon_image(cluster):
    """The image of deploy/Dockerfile with the pipelines, on the node."""
    # Not below /tmp: the environment has the same path in the image, where a volume is mounted there.
    with tempfile.TemporaryDirectory(prefix="image-", dir=conftest._cache()) as name:
        work = Path(name)
        write_package(work / "sales")
        image.build(IMAGE, work / "image.tar", work, str(work / "sales"))
        cluster.load(work / "image.tar")
    return IMAGE


@pytest.fixture
def release(cluster, bare_namespace, packages, daemon_image, tmp_path):
    """A release that is not installed yet, with the volumes it needs. The chart brings all rights."""
    namespace = bare_namespace
    names = {"state": ["ReadWriteOnce"], "values": ["ReadWriteMany"], "backup": ["ReadWriteOnce"]}
    for name, modes in names.items():
        one = volume(f"{namespace}-{name}", namespace, tmp_path / name, modes)
        cluster.client.request("POST", "/api/v1/persistentvolumes", one)
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "values"},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": namespace,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    cluster.client.request("POST", f"/api/v1/namespaces/{namespace}/persistentvolumeclaims", claim)
    access = {"kubeconfig_path": str(cluster.kubeconfig), "namespace": namespace}
    yield Release(helm.Helm(packages, **access), cluster, namespace, tmp_path)
    for name in names:
        cluster.client.request("DELETE", f"/api/v1/persistentvolumes/{namespace}-{name}")


def test_12_a_schedule_of_the_daemon_runs_its_steps_as_jobs(release):
    release.install()
    assert "all that is needed is allowed" in release("orchestrator", "kubernetes", "check")
    release.until(lambda: "total 6" in release.ledger(), "a run of the schedule")
    release.until(lambda: release.runs()[-1]["status"] == "SUCCESS", "the end of that run")
    assert release.runs()[-1]["trigger"]["kind"] == "schedule"
    assert "all is well" in release("orchestrator", "status")


@pytest.mark.parametrize("how", ["upgrade", "the pod deleted"])
def test_12_the_next_daemon_adopts_the_steps_that_run(release, how):
    release.install()
    release("orchestrator", "run", "one_waits", "--detach")
    release.until(lambda: "waits" in release.ledger(), "the step to begin")
    before = release.pod()["metadata"]["uid"]
    if how == "upgrade":
        release.upgrade(run_queue={"max_concurrent_runs": 7})
    else:
        release.cluster.kubectl("delete", "pod", "-n", release.namespace, POD)
    release.until(lambda: (release.pod() or {"metadata": {"uid": before}})["metadata"]["uid"] != before, "a new pod")
    release.until_ready()
    (release.path / "values" / "go").touch()
    release.until(lambda: _one_waits(release)["finished_at"] is not None, "the end of the run")
    assert _one_waits(release)["status"] == "SUCCESS"
    assert release.ledger().count("waits") == 1


def _one_waits(release):
    (found,) = [one for one in release.runs() if one["pipeline"] == "one_waits"]
    return found


def test_12_a_rollback_mends_an_upgrade_that_the_daemon_refuses(release):
    release.install()
    release.upgrade(retention={"runs": "for a while"})
    release.until(lambda: _restarts(release) > 0, "the daemon's refusal")
    release.until(lambda: "for a while" in release.log(), "its reason in the log")
    release.helm("rollback", name=NAME)
    release.until_ready()
    assert _restarts(release) == 0
    assert "alive" in release("orchestrator", "daemon", "status")


def _restarts(release):
    """How often the daemon's container has been started again in its present pod."""
    statuses = ((release.pod() or {}).get("status") or {}).get("containerStatuses") or [{"restartCount": 0}]
    return statuses[0]["restartCount"]


def test_12_a_backup_is_kept_on_a_claim_of_its_own_and_an_uninstall_leaves_the_claims_only(release):
    backup = {"enabled": True, "size": "1Gi", "storageClass": release.namespace}
    release.install(backup=backup)
    release("orchestrator", "run", "adds_up", "--detach")
    release.until(lambda: [run["status"] for run in release.runs()].count("SUCCESS") > 0, "the end of a run")
    for name in ("first", "second"):
        release.cluster.kubectl("create", "job", "-n", release.namespace, name, f"--from=cronjob/{NAME}-backup")
        release.until(lambda name=name: _succeeded(release, name), f"the backup {name}")
    kept = [path.name for path in release.path.glob("*/*-manual.duckdb")]
    assert len(kept) == 2
    assert list((release.path).glob("*/state/backups/*")) == []
    release.helm("uninstall", name=NAME)
    release.until(lambda: release.items("pods") == [], "the end of the pods")
    claims = {one["metadata"]["name"] for one in release.items("persistentvolumeclaims")}
    assert claims == {f"state-{POD}", f"{NAME}-backup", "values"}
    for kind in ("statefulset", "cronjob", "job", "configmap", "secret", "role", "rolebinding", "poddisruptionbudget"):
        assert _ours(release, kind) == [], kind
    assert _ours(release, "serviceaccount") == _ours(release, "networkpolicy") == []
    release.install(backup=backup)
    assert len(release.runs()) > 0


def _succeeded(release, job):
    found = json.loads(release.cluster.kubectl("get", "job", "-n", release.namespace, job, "-o", "json"))
    assert not found["status"].get("failed"), release.cluster.kubectl("logs", "-n", release.namespace, f"job/{job}")
    return found["status"].get("succeeded") == 1


def _ours(release, kind):
    """What is left of that kind, but for what every namespace has."""
    names = {one["metadata"]["name"] for one in release.items(kind)}
    return sorted(names - {"default", "kube-root-ca.crt"})


@pytest.mark.parametrize("path", helm.EXAMPLES, ids=lambda path: path.stem)
def test_the_api_server_accepts_each_object_of_an_example(cluster, namespace, packages, path):
    values = yaml.safe_load(path.read_text())
    steps = values["workspace"].get("kubernetes", {}).get("namespace")
    if steps is not None:  # it has to exist, and this one does
        values["workspace"]["kubernetes"]["namespace"] = namespace
    files = helm.Helm(packages)("render", values=values, name=NAME, namespace=namespace)
    for name, text in files.items():
        if name.endswith(".yaml") and text.strip():
            done = cluster.apply(text, "--dry-run=server", "--validate=strict")
            assert done.returncode == 0, f"{name}: {done.stderr}"
