"""What Helm makes of the chart, without a cluster."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from orchestrator._version import __version__
from orchestrator.settings import load_settings
from tests.conftest import ORCHESTRATOR
from tests.deploy import dockerfile
from tests.deploy.helm import EXAMPLES, HelmRefused
from tests.deploy.wrong_values import WRONG

pytestmark = pytest.mark.long

LEAST = {"image": {"repository": "registry.example/sales"}}
NAMES = [path.stem for path in EXAMPLES]


def rendered(helm, values, **more):
    """The objects of a release `orchestrator` in the namespace `data`."""
    files = helm("render", values=values, **{"name": "orchestrator", "namespace": "data", **more})
    texts = [text for name, text in files.items() if name.endswith(".yaml")]
    return [one for text in texts for one in yaml.safe_load_all(text) if one]


def only(objects, kind):
    (found,) = [one for one in objects if one["kind"] == kind]
    return found


def workspace(objects):
    return yaml.safe_load(only(objects, "ConfigMap")["data"]["workspace.yaml"])


@pytest.mark.parametrize("path", EXAMPLES, ids=NAMES)
def test_lint_finds_nothing_in_the_chart_with_an_example(helm, path):
    report = helm("lint", values=yaml.safe_load(path.read_text()), strict=True)
    assert report["errors"] == []
    assert [one["error"] for one in report["messages"] if one["severity"] > 1] == []


@pytest.mark.parametrize(("values", "where", "said"), WRONG)
def test_a_wrong_value_is_refused_with_its_place_and_the_reason(helm, values, where, said):
    with pytest.raises(HelmRefused) as refused:
        rendered(helm, {**LEAST, **values})
    line = next(line for line in str(refused.value).splitlines() if said in line)
    assert f"at '{'' if where == '/' else where}'" in line


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "image.repository is empty.\nhint: Build an image with deploy/Dockerfile"),
        (
            {**LEAST, "workspace": {"locations": [{"name": "sales"}]}},
            "workspace.locations: sales needs either `module` or `file`.",
        ),
    ],
)
def test_what_a_schema_cannot_say_is_refused_too(helm, values, said):
    with pytest.raises(HelmRefused) as refused:
        rendered(helm, values)
    assert said in str(refused.value)


def test_the_rights_of_the_daemon_are_those_that_the_program_asks_for(helm, tmp_path):
    (tmp_path / ".orchestrator.yaml").write_text("locations: []\n")
    command = [*ORCHESTRATOR, "kubernetes", "rbac"]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60).stdout
    asked = {one["metadata"]["name"]: one["rules"] for one in yaml.safe_load_all(printed) if one["kind"] == "Role"}
    given = {one["metadata"]["name"]: one["rules"] for one in rendered(helm, LEAST) if one["kind"] == "Role"}
    assert given == asked


@pytest.mark.parametrize(
    ("kubernetes", "bound"),
    [
        ({}, "orchestrator-steps"),
        ({"namespace": "steps"}, "orchestrator-steps"),
        ({"pod": {"serviceAccountName": "mine"}}, "mine"),
        ({"claim": "none"}, None),
    ],
)
def test_the_account_of_steps_may_take_an_attempt_unless_nothing_is_claimed(helm, kubernetes, bound):
    objects = rendered(helm, {**LEAST, "workspace": {"kubernetes": kubernetes}})
    found = {one["metadata"]["name"]: one for one in objects if one["kind"] == "RoleBinding"}.get("orchestrator-steps")
    assert (found and found["subjects"][0]["name"]) == bound
    if found:
        assert found["subjects"][0]["namespace"] == kubernetes.get("namespace", "data")


@pytest.mark.parametrize("path", EXAMPLES, ids=NAMES)
def test_the_program_accepts_the_workspace_file_of_an_example(helm, tmp_path, path):
    file = tmp_path / "workspace.yaml"
    file.write_text(only(rendered(helm, yaml.safe_load(path.read_text())), "ConfigMap")["data"]["workspace.yaml"])
    settings = load_settings(file)
    assert settings.state_path == Path("/var/lib/orchestrator/state")
    assert settings.executor.default == "kubernetes"
    assert settings.locations
    assert all(location.image for location in settings.locations)


def test_what_is_written_in_the_workspace_file_wins(helm):
    location = {"name": "a", "module": "m", "image": "registry.example/steps:2", "working_dir": "/code"}
    kubernetes = {"namespace": "other", "pod": {"serviceAccountName": "mine", "securityContext": None}}
    written = workspace(rendered(helm, {**LEAST, "workspace": {"locations": [location], "kubernetes": kubernetes}}))
    assert written["locations"] == [location]
    assert written["kubernetes"] == kubernetes


def test_secrets_and_pull_secrets_reach_the_daemon_and_the_steps(helm):
    environment, pull = [{"secretRef": {"name": "warehouse"}}], [{"name": "registry"}]
    objects = rendered(helm, {**LEAST, "envFrom": environment, "imagePullSecrets": pull, "backup": {"enabled": True}})
    kubernetes = workspace(objects)["kubernetes"]
    pods = [
        only(objects, "StatefulSet")["spec"]["template"]["spec"],
        only(objects, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"],
    ]
    assert [kubernetes["env_from"], *(pod["containers"][0]["envFrom"] for pod in pods)] == [environment] * 3
    assert [kubernetes["pod"]["imagePullSecrets"], *(pod["imagePullSecrets"] for pod in pods)] == [pull] * 3


def test_the_pod_is_replaced_when_the_workspace_file_changes_and_only_then(helm):
    def checksum(**values):
        pod = only(rendered(helm, {**LEAST, **values}), "StatefulSet")["spec"]["template"]
        return pod["metadata"]["annotations"]["checksum/workspace"]

    assert checksum() == checksum(podDisruptionBudget={"maxUnavailable": 0})
    assert checksum() != checksum(workspace={"run_queue": {"max_concurrent_runs": 3}})


def test_steps_in_a_namespace_of_their_own_are_made_by_the_daemon_of_another(helm):
    objects = rendered(helm, {**LEAST, "workspace": {"kubernetes": {"namespace": "steps"}}})
    roles = [one for one in objects if one["kind"] in ("Role", "RoleBinding")]
    assert {one["metadata"]["namespace"] for one in roles} == {"steps"}
    bound = {one["metadata"]["name"]: one["subjects"] for one in roles if one["kind"] == "RoleBinding"}
    assert bound["orchestrator"] == [{"kind": "ServiceAccount", "name": "orchestrator", "namespace": "data"}]


def test_nothing_comes_in_and_only_what_is_listed_gets_out(helm):
    listed = [{"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}], "ports": [{"port": 5432}]}]
    api = {"cidrs": ["10.0.0.1/32"], "ports": [6443]}
    policy = only(rendered(helm, {**LEAST, "networkPolicy": {"egress": listed, "apiServer": api}}), "NetworkPolicy")[
        "spec"
    ]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy
    dns, server, *more = policy["egress"]
    assert {one["port"] for one in dns["ports"]} == {53}
    assert server == {"ports": [{"port": 6443, "protocol": "TCP"}], "to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}]}
    assert more == listed


@pytest.mark.parametrize(("on_stop", "more"), [("leave", []), ("drain", ["--drain"])])
def test_a_stop_leaves_steps_running_or_waits_for_them(helm, on_stop, more):
    pod = only(rendered(helm, {**LEAST, "daemon": {"onStop": on_stop}}), "StatefulSet")["spec"]["template"]["spec"]
    stop = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert stop == ["orchestrator", "daemon", "stop", *more]


def test_the_notes_say_how_to_look_and_how_to_run_a_pipeline(helm):
    files = helm("render", values=LEAST, name="nightly", namespace="data")
    (notes,) = [text for name, text in files.items() if name.endswith("NOTES.txt")]
    command = "kubectl exec -n data nightly-orchestrator-0 -- orchestrator"
    assert f"{command} status\n" in notes
    assert f"{command} run --detach NAME\n" in notes
    assert "workspace.locations is empty" in notes


def test_docker_builds_the_image_and_it_runs_as_its_user():
    if shutil.which("docker") is None or subprocess.run(["docker", "info"], capture_output=True).returncode != 0:
        pytest.skip("Docker does not run here.")
    build = ["docker", "build", "--quiet", "--file", dockerfile.DOCKERFILE, dockerfile.ROOT]
    image = subprocess.run(build, capture_output=True, text=True, check=True, timeout=900).stdout.strip()
    command = ["docker", "run", "--rm", image, "sh", "-c", "id -u; orchestrator --version; python -c 'import urllib3'"]
    uid, version = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert uid == "1000"
    assert __version__ in version
