"""Only an API server refuses: what stands between us and it, or has expired, says nothing about what was asked for."""

import pytest

from orchestrator.errors import ClusterRefused, ClusterUnreachable
from orchestrator.kubernetes.client import Client
from orchestrator.kubernetes.kubeconfig import find_access
from tests.kubernetes.fake_cluster import NAMESPACE, FakeCluster

JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


@pytest.fixture
def api(tmp_path, fake_certificate):
    """An API server that runs no pods."""
    cluster = FakeCluster(tmp_path / "fake", fake_certificate)
    yield cluster
    cluster.close()


@pytest.fixture
def client(api):
    return Client(find_access(None, None, {"KUBECONFIG": str(api.kubeconfig)}))


UNREACHABLE = {
    429: "busy or broken (HTTP 429)",
    503: "busy or broken (HTTP 503)",
    "drop": "does not answer",
    "html": "is not an API server (HTTP 200): <html><body>Sign in to the network",
    "refusal": "is not an API server (HTTP 403): <html><body>Sign in to the network",
}


@pytest.mark.parametrize("fault", UNREACHABLE)
def test_it_is_unknown_what_became_of_a_request_that_meets(api, client, fault):
    api.faults.plan(fault, "LIST")
    with pytest.raises(ClusterUnreachable) as caught:
        client.request("GET", JOBS)
    assert UNREACHABLE[fault] in caught.value.message
    assert client.request("GET", JOBS)["items"] == []


@pytest.mark.parametrize("fault", UNREACHABLE)
def test_no_log_is_made_of_an_answer_that_is(api, client, fault):
    api.faults.plan(fault, "LOG")
    with pytest.raises(ClusterUnreachable):
        client.text(f"{PODS}/some/log", {}, 10)


@pytest.mark.parametrize("fault", [*UNREACHABLE, "cut"])
def test_a_watch_breaks_off_with_a_word_when_it_meets(api, client, fault):
    api.faults.plan(fault, "LINE" if fault == "cut" else "WATCH")
    with pytest.raises(ClusterUnreachable):
        list(client.lines(PODS, {"watch": "1", "resourceVersion": "0", "timeoutSeconds": "0"}, 10))


def test_credentials_are_shown_twice_and_then_it_is_unknown_what_they_allow(api, client):
    api.faults.plan(401, "LIST")
    assert client.request("GET", JOBS)["items"] == []
    api.faults.plan(401, "LIST", times=2)
    with pytest.raises(ClusterUnreachable) as caught:
        client.request("GET", JOBS)
    assert "does not accept the credentials (HTTP 401)" in caught.value.message


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
def test_what_an_api_server_refuses_is_refused_in_its_words(api, client, status):
    api.faults.plan(status, "POST")
    with pytest.raises(ClusterRefused) as caught:
        client.request("POST", JOBS, {"metadata": {"name": "some"}})
    assert (caught.value.status, caught.value.message) == (status, f"the test says {status}")


def test_an_api_server_that_is_away_does_not_answer(api, client):
    api.api.stop()
    with pytest.raises(ClusterUnreachable) as caught:
        client.request("GET", JOBS)
    assert "Connection refused" in caught.value.message
