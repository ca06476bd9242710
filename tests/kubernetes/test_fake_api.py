"""The fake API server answers as a real one was seen to answer, and fails as a test says."""

import base64
import json

import pytest

from orchestrator.errors import ClusterRefused
from orchestrator.kubernetes.client import Client
from orchestrator.kubernetes.facts import facts_of
from orchestrator.kubernetes.kubeconfig import find_access
from tests.kubernetes.fake_cluster import NAMESPACE

CORE = f"/api/v1/namespaces/{NAMESPACE}"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"

JOB_NAME = "metadata.labels['batch.kubernetes.io/job-name']"


@pytest.fixture
def client(fake):
    return Client(find_access(None, None, {"KUBECONFIG": str(fake.kubeconfig)}))


def named(name, **labels):
    return {"metadata": {"name": name, "labels": labels}}


def job(*command, **more):
    """A Job whose pod reads a Secret in a directory that only its own mount namespace has."""
    container = {
        "name": "step",
        "image": "fake/image:1",
        "command": list(command),
        "env": [
            {"name": "PRICE", "value": "$$5"},
            {
                "name": "OWN",
                "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['batch.kubernetes.io/job-name']"}},
            },
        ],
        "volumeMounts": [{"name": "input", "mountPath": "/var/run/orchestrator"}],
    }
    volumes = [{"name": "input", "secret": {"secretName": "input"}}]
    pod = {"containers": [container], "volumes": volumes, "restartPolicy": "Never"}
    return {**named("job"), "spec": {"backoffLimit": 0, "template": {"spec": {**pod, **more}}}}


def watched(client, path, version, **more):
    lines = client.lines(path, {"watch": "1", "resourceVersion": version, "timeoutSeconds": "0", **more}, 10)
    return [(event["type"], event["object"]) for event in map(json.loads, lines)]


def refusal(call):
    with pytest.raises(ClusterRefused) as caught:
        call()
    return caught.value.status, caught.value.message


def test_a_name_is_given_once(client):
    client.request("POST", LEASES, named("one"))
    assert refusal(lambda: client.request("POST", LEASES, named("one"))) == (409, 'leases "one" already exists')
    client.request("DELETE", f"{LEASES}/one")
    assert refusal(lambda: client.request("GET", f"{LEASES}/one"))[0] == 404


def test_strict_validation_names_every_unknown_field(client):
    wrong = {**job("true"), "speck": {}}
    wrong["spec"]["backofLimit"] = 1
    status, message = refusal(lambda: client.request("POST", JOBS, wrong, query={"fieldValidation": "Strict"}))
    assert status == 400
    assert message == 'strict decoding error: unknown field "speck", unknown field "spec.backofLimit"'


def test_a_list_comes_in_pages_of_one_moment(client):
    for name in "abc":
        client.request("POST", LEASES, named(name, team="x"))
    client.request("POST", LEASES, named("other"))
    query = {"labelSelector": "team=x", "limit": "2"}
    first = client.request("GET", LEASES, query=query)
    client.request("POST", LEASES, named("late", team="x"))
    rest = client.request("GET", LEASES, query={**query, "continue": first["metadata"]["continue"]})
    assert [one["metadata"]["name"] for one in first["items"] + rest["items"]] == ["a", "b", "c"]
    assert rest["metadata"] == {"resourceVersion": first["metadata"]["resourceVersion"]}


def test_a_watch_says_what_changed_since_and_ends_with_a_bookmark(client):
    version = client.request("GET", LEASES)["metadata"]["resourceVersion"]
    client.request("POST", LEASES, named("one"))
    client.request("PATCH", f"{LEASES}/one", {"metadata": {"labels": None}, "spec": {"holderIdentity": "me"}})
    client.request("DELETE", f"{LEASES}/one")
    seen = watched(client, LEASES, version)
    assert [kind for kind, _ in seen] == ["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    assert seen[2][1]["spec"] == {"holderIdentity": "me"}
    assert "labels" not in seen[2][1]["metadata"]


def test_a_watch_from_before_a_restart_is_answered_with_200_and_410(fake, client):
    version = client.request("GET", LEASES)["metadata"]["resourceVersion"]
    fake.api.stop()
    fake.api.start()
    ((kind, error),) = watched(client, LEASES, version)
    assert (kind, error["code"]) == ("ERROR", 410)


def test_a_pod_is_a_process_with_its_volumes_and_its_message(fake, client):
    said = 'cat /var/run/orchestrator/run; echo "$PRICE $OWN"; printf last > /dev/termination-log; exit 7'
    client.request("POST", JOBS, job("sh", "-c", said))
    data = {"run": base64.b64encode(b"given\n").decode()}
    client.request("POST", f"{CORE}/secrets", {**named("input"), "data": data})
    pod = ended(fake)
    facts = facts_of(pod)
    assert (facts.left, facts.exit_code) == ("last", 7)
    log = client.text(f"{CORE}/pods/{facts.name}/log", {"tailLines": "10"}, 10)
    assert log == b"given\n$5 job\n"
    states = [facts_of(one.object).stage for one in fake.store.since(0, "pods", NAMESPACE)]
    assert list(dict.fromkeys(states)) == ["WAITING", "RUNNING", "ENDED"]
    client.request("DELETE", f"{JOBS}/job", {"propagationPolicy": "Background"})
    assert fake.left() == ["secrets/input"]


def test_a_pod_that_is_deleted_may_end_by_itself_within_its_grace(fake, client):
    client.request("POST", f"{CORE}/secrets", {**named("input"), "data": {}})
    said = "trap 'printf bye > /dev/termination-log; exit 0' TERM; echo up; while :; do sleep 0.02; done"
    client.request("POST", JOBS, job("sh", "-c", said))
    name = until(fake, lambda pod: fake.kubelet.log(pod).exists() and fake.kubelet.log(pod).read_bytes())
    client.request("DELETE", f"{CORE}/pods/{name}", {"gracePeriodSeconds": 30})
    until(fake, lambda _pod: False, is_gone=True)
    last = fake.store.since(0, "pods", NAMESPACE)[-1]
    assert (last.type, facts_of(last.object).left) == ("DELETED", "bye")


def ended(fake):
    """The pod, once it has ended."""
    until(fake, lambda pod: pod["status"]["phase"] in ("Succeeded", "Failed"))
    return fake.store.items("pods")[0]


def until(fake, condition, *, is_gone=False):
    """The name of the pod once the condition holds for it; or returns once there is none."""
    with fake.store.changed:
        for _ in range(600):
            pods = fake.store.items("pods")
            if is_gone and not pods:
                return None
            if pods and condition(pods[0]):
                return pods[0]["metadata"]["name"]
            fake.store.changed.wait(0.05)
    raise AssertionError("it never came true")
