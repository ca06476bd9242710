"""A cluster whose API server, node or credentials fail in mid-run: nothing is lost, and nothing is done twice."""

import os
import resource
import signal
import time

import pytest
import yaml

from tests.kubernetes.workspace import PATIENCE_S

# How long the API server is away. ORCHESTRATOR_OUTAGE=60 is the acceptance.
OUTAGE_S = float(os.environ.get("ORCHESTRATOR_OUTAGE", "30"))

PIPELINES = """
    import os, time
    from orchestrator import RetryPolicy, pipeline, step

    def note(line):
        descriptor = os.open("ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{line}\\n".encode())
        os.close(descriptor)

    ONCE = RetryPolicy(max_retries=0, infrastructure_retries=0)

    @step(retry=ONCE)
    def waits(context) -> int:
        note(context.step)
        while not os.path.exists("go"):
            time.sleep(0.1)
        return 1

    @step(retry=ONCE)
    def total(context, numbers: list[int]) -> None:
        note(sum(numbers))

    @step(retry=RetryPolicy(max_retries=0, infrastructure_retries=1))
    def may_be_lost(context) -> None:
        note(context.step)
        while not os.path.exists("go"):
            time.sleep(0.1)

    @pipeline
    def joins():
        total([waits.alias(f"w{number}")() for number in range(4)])

    @pipeline
    def is_lost():
        may_be_lost()
"""


def is_broken_and_mended(work, owner, mend):
    """The steps end while the API server is away, and more must be started when it is back."""
    (work.path / "go").touch()
    time.sleep(OUTAGE_S)
    assert owner.poll() is None, work.printed()
    mend()
    assert owner.wait(PATIENCE_S) == 0, work.printed()
    assert sorted(work.lines()) == ["4", "w0", "w1", "w2", "w3"]
    assert work.kinds().count("attempt_launched") == work.kinds().count("attempt_succeeded") == 5
    assert {"attempt_lost", "attempt_died", "attempt_failed"} & set(work.kinds()) == set()
    work.until_nothing_is_left()


def test_6_an_api_server_that_hangs_in_mid_run_changes_nothing(work):
    owner = work.start("run", "joins")
    work.until(lambda: len(work.lines()) == 4, "four steps to begin")
    work.cluster.signal("kube-apiserver", signal.SIGSTOP)
    try:
        is_broken_and_mended(work, owner, lambda: work.cluster.signal("kube-apiserver", signal.SIGCONT))
    finally:
        work.cluster.signal("kube-apiserver", signal.SIGCONT)


def test_6_an_api_server_that_dies_in_mid_run_changes_nothing(work):
    owner = work.start("run", "joins")
    work.until(lambda: len(work.lines()) == 4, "four steps to begin")
    work.cluster.signal("kube-apiserver", signal.SIGKILL)
    try:
        is_broken_and_mended(work, owner, lambda: work.cluster.start("kube-apiserver"))
    finally:
        work.cluster.until_ready("kube-apiserver")


def test_6_the_daemon_can_be_asked_while_the_api_server_hangs(work):
    daemon = work.start("daemon", "start")
    assert work.queue("joins").code == 0
    work.until(lambda: len(work.lines()) == 4, "four steps to begin")
    work.cluster.signal("kube-apiserver", signal.SIGSTOP)
    try:
        (work.path / "go").touch()
        assert work("daemon", "status").code == 0
        assert work("status").out
    finally:
        work.cluster.signal("kube-apiserver", signal.SIGCONT)
    work.until(work.is_over, "the run's end")
    assert work.show()["status"] == "SUCCESS"
    assert work("daemon", "stop").code == 0
    daemon.wait(PATIENCE_S)


def test_6_a_revoked_token_is_said_in_words_and_fails_no_step(work):
    kubeconfig = with_account(work, "owner")
    work.environment = {"KUBECONFIG": str(kubeconfig)}
    assert work("kubernetes", "check").code == 0
    owner = work.start("run", "joins")
    work.until(lambda: len(work.lines()) == 4, "four steps to begin")
    work.cluster.kubectl("delete", "serviceaccount", "owner", "-n", work.namespace)
    work.until(lambda: work("kubernetes", "check").code == 1, "the token to be refused")
    done = work("kubernetes", "check")
    assert "does not accept the credentials" in done.out, done
    (work.path / "go").touch()
    time.sleep(5)
    assert owner.poll() is None, work.printed()
    with_account(work, "owner")
    assert owner.wait(PATIENCE_S) == 0, work.printed()
    assert sorted(work.lines()) == ["4", "w0", "w1", "w2", "w3"]


def test_2_an_owner_that_cannot_write_when_a_step_ends_does_not_lose_that_it_ended(work):
    owner = work.start("run", "is_lost")
    work.until(lambda: work.lines() == ["may_be_lost"], "the step to begin")
    work.until(lambda: "attempt_started" in work.kinds(), "the owner to see it")
    resource.prlimit(owner.pid, resource.RLIMIT_FSIZE, (1, 1))  # as on a disk that is full
    (work.path / "go").touch()
    assert owner.wait(PATIENCE_S) != 0, work.printed()
    code, printed = work.finish("runs", "resume", "last")
    assert code == 0, printed
    assert work.lines() == ["may_be_lost"]


def test_3_what_a_pod_said_before_its_node_died_is_not_waited_for(work):
    owner = work.start("run", "is_lost")
    work.until(lambda: work.lines() == ["may_be_lost"], "the step to begin")
    owner.kill()
    (work.path / "go").touch()
    work.until(lambda: [pod["status"]["phase"] for pod in work.pods()] == ["Succeeded"], "the pod's end")
    work.cluster.signal("kubelet", signal.SIGKILL)
    try:
        work.start("runs", "resume", "last")
        work.patience_s = 60
        work.until(work.is_over, "the run's end")
    finally:
        work.cluster.until_ready("kubelet")
    assert work.show()["status"] == "SUCCESS"


@pytest.mark.long
def test_3_a_node_that_is_deleted_while_its_kubelet_is_dead_costs_an_infrastructure_retry(work):
    owner = work.start("run", "is_lost")
    work.until(lambda: work.lines() == ["may_be_lost"], "the step to begin")
    work.until(work.running, "the pod's phase to say so")
    work.cluster.signal("kubelet", signal.SIGKILL)
    work.cluster.kubectl("delete", "node", "node")
    try:
        work.until(lambda: "attempt_lost" in work.kinds(), "the attempt to be lost")
    finally:
        work.cluster.start("kubelet")
        work.cluster.until_ready("kubelet")
    work.until(lambda: work.lines() == ["may_be_lost"] * 2, "a second attempt")
    (work.path / "go").touch()
    assert owner.wait(PATIENCE_S) == 0, work.printed()
    (lost,) = [event for event in work.events() if event["event"] == "attempt_lost"]
    assert "its node is gone" in lost["reason"]


def with_account(work, name):
    """A kubeconfig with the token of a service account that has the least role. The token is in a file of its own, and
    is another one with each call."""
    kubectl = work.cluster.kubectl
    role = work.path / "role.yaml"
    role.write_text(work("kubernetes", "rbac").out.replace("name: orchestrator", f"name: {name}"))
    kubectl("apply", "-f", str(role))
    (work.path / "token").write_text(kubectl("create", "token", name, "-n", work.namespace))
    admin = yaml.safe_load(work.cluster.kubeconfig.read_text())
    admin["users"] = [{"name": "user", "user": {"tokenFile": "token"}}]
    path = work.path / "kubeconfig"
    path.write_text(yaml.safe_dump(admin))
    return path
