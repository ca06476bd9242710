"""What an owner of attempts in a cluster must not do: run what was canceled, lose what is there, leave things there."""

import pytest

from orchestrator.attempts.observation import FINAL, Phase
from tests.kubernetes import test_fake_contract
from tests.kubernetes.fake_cluster import NAMESPACE
from tests.kubernetes.test_faults import PATIENCE_S, Work

# An owner that is killed there has another one, which finds what is left to do.
POINTS = ("attempt.journalled", "attempt.sent", "attempt.observed", "attempt.observed:2", "attempt.recorded:4")


@pytest.fixture
def contract(fake, monkeypatch):
    """What makes an owner of attempts in the fake cluster."""
    monkeypatch.setenv("KUBECONFIG", str(fake.kubeconfig))
    contract = test_fake_contract.TestFake()
    contract._fake = fake
    return contract


def test_no_job_is_created_for_what_was_canceled_before(contract, fake, tmp_path):
    with contract.owner(tmp_path) as owner:
        fake.faults.plan(500, "POST", times=2, path="/jobs")
        handle = owner.executor.launch(owner.attempt("slow"))
        owner.until(handle, Phase.UNKNOWN)
        owner.executor.cancel(handle, grace=30)
        owner.until(handle, *FINAL)
        assert fake.store.since(0, "jobs", NAMESPACE) == [], "its Job was created after that"


@pytest.mark.long
def test_an_outcome_waits_while_pods_cannot_be_listed(contract, fake, tmp_path):
    with contract.owner(tmp_path) as owner:
        handle = owner.executor.launch(owner.attempt("slow"))
        owner.until_begun(handle)
        owner.restart()
        for job in fake.until_ended():
            assert job["status"]["conditions"][0]["type"] == "Complete"
        fake.faults.plan(500, "LIST", times=9, path="/pods")  # more than a minute, by the pauses of the watch
        owner.executor.adopt(owner.attempt("slow"), seen=0)
        owner._patience_s = PATIENCE_S
        assert owner.until(handle, *FINAL).phase is Phase.SUCCEEDED


@pytest.mark.sample(2)
@pytest.mark.parametrize("point", POINTS)
def test_a_run_whose_owner_was_killed_is_finished_by_the_next_at(bench, fake, point):
    work = Work(bench, fake)
    work.go()
    killed = bench.start("run", "counts", KUBECONFIG=fake.kubeconfig, ORCHESTRATOR_CRASH_AT=point)
    assert killed.wait(PATIENCE_S) == -9
    owner = bench.start("runs", "resume", "last", to=bench.path / "output", KUBECONFIG=fake.kubeconfig)
    work.succeeds(owner)
    assert fake.left() == []


@pytest.mark.parametrize("point", ["attempt.recorded:4", "run.finished"])
def test_what_the_owner_of_a_run_that_is_over_has_left_is_deleted_on_request(bench, fake, point):
    work = Work(bench, fake)
    work.go()
    killed = bench.start("run", "counts", KUBECONFIG=fake.kubeconfig, ORCHESTRATOR_CRASH_AT=point)
    assert killed.wait(PATIENCE_S) == -9
    is_over = bench.json("runs", "show", "last")["status"] == "SUCCESS"
    done = bench("kubernetes", "jobs", "--delete-orphans", "--yes", KUBECONFIG=fake.kubeconfig).ok()
    assert done.out.startswith("Deleted")
    if is_over:
        assert fake.left() == []
        return
    assert [one for one in fake.left() if one.startswith("secrets/")] != [], "a run that can be resumed needs it"
    owner = bench.start("runs", "resume", "last", to=bench.path / "output", KUBECONFIG=fake.kubeconfig)
    work.succeeds(owner)
    assert fake.left() == []
