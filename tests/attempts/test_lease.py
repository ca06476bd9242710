"""One pod takes an attempt, whatever happens to its requests; and one that has lost it stores nothing more."""

import pytest

from orchestrator.attempts.lease import PATIENCE_S, LeaseLost, LeaseRefused, LeaseSpec, LeaseUnknown, PodLease, verdict

SPEC = LeaseSpec("orc-a", "data", {"instance": "1"})
OURS, THEIRS = ({"kind": "Lease", "spec": {"holderIdentity": who}} for who in ("ours", "theirs"))
NO = {"kind": "Status"}


class Server:
    """An API server: answers with these in turn, then with the last one. An exception is raised instead."""

    def __init__(self, *answers):
        self.answers, self.requests, self.now = list(answers), [], 0.0

    def __call__(self, method, path, body):
        self.requests.append(method)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def wait(self, seconds):
        self.now += seconds

    def lease(self):
        return PodLease(SPEC, "ours", "job-1", self, clock=lambda: self.now, pause=self.wait)


@pytest.mark.parametrize(
    ("answers", "requests"),
    [
        pytest.param([(201, OURS)], ["POST"], id="created"),
        pytest.param(
            [OSError("reset"), (409, NO), (200, OURS)], ["POST", "POST", "GET"], id="only the answer was lost"
        ),
        pytest.param([(500, NO), (429, NO), (401, {}), (201, OURS)], ["POST"] * 4, id="the server was busy"),
        pytest.param([(409, NO), OSError("away"), (200, OURS)], ["POST", "GET", "GET"], id="away before the second"),
    ],
)
def test_a_pod_takes_an_attempt_that_is_free(answers, requests):
    server = Server(*answers)
    server.lease().take()
    assert server.requests == requests


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        pytest.param([(409, NO), (200, THEIRS)], LeaseLost, id="another pod was first"),
        pytest.param([(409, NO), (404, NO)], LeaseLost, id="it is there, and then it is not"),
        pytest.param([(403, {"kind": "Status", "message": "leases is forbidden"})], LeaseRefused, id="no permission"),
        pytest.param([(404, {"kind": "Status", "message": "namespace not found"})], LeaseRefused, id="no namespace"),
        pytest.param([OSError("refused")], LeaseUnknown, id="no server"),
        pytest.param(
            [(503, {"kind": "Status", "message": "starting"})], LeaseUnknown, id="a server that never gets ready"
        ),
    ],
)
def test_a_pod_that_cannot_take_its_attempt_says_why(answers, error):
    server = Server(*answers)
    with pytest.raises(error):
        server.lease().take()
    assert server.now < 2 * PATIENCE_S, "it does not ask without end"


def test_a_refusal_names_what_is_missing_and_what_to_do():
    with pytest.raises(LeaseRefused) as error:
        Server((403, {"kind": "Status", "message": 'User "x" cannot create resource "leases"'})).lease().take()
    assert 'cannot create resource "leases"' in error.value.message
    assert "orchestrator kubernetes rbac" in error.value.hint


@pytest.mark.parametrize("answer", [(200, THEIRS), (404, NO)], ids=["given up by its owner", "deleted with its Job"])
def test_an_attempt_that_was_taken_away_is_not_confirmed(answer):
    server = Server((200, OURS), answer)
    lease = server.lease()
    lease.confirm()
    with pytest.raises(LeaseLost):
        lease.confirm()


@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 422])
def test_a_refused_request_is_not_repeated(status):
    assert verdict("POST", status, NO, "ours") != "again"


@pytest.mark.parametrize("status", [200, 201, 403, 404, 409])
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_only_what_an_api_server_says_counts(method, status):
    assert verdict(method, status, "<html>a proxy</html>", "ours") == "again"
    assert verdict(method, status, {}, "ours") == "again"


def test_a_lease_goes_with_its_job_unless_its_owner_has_taken_it():
    (owner,) = SPEC.manifest("ours", "job-1")["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", "orc-a", "job-1")
    assert "ownerReferences" not in SPEC.manifest("owner")["metadata"]
