"""Whatever goes wrong between a run and its cluster, each step runs once, the run succeeds, and nothing is left there.

The cluster is a fake one: it fails when a test says so. Its pods are real processes.
"""

import time
from datetime import timedelta

import pytest
import yaml

PIPELINES = """
    import os, time
    from orchestrator import pipeline, step

    def note(line):
        with open("ledger", "a") as ledger:
            ledger.write(f"{line}\\n")

    @step(timeout=120)
    def one(context) -> int:
        note("one")
        while not os.path.exists("go"):
            time.sleep(0.05)
        for number in range(200):  # more than a termination message holds
            context.log.info(os.urandom(20).hex())
        open("over", "w").close()
        return 1

    @step(timeout=120)
    def two(number: int) -> None:
        note("two")

    @pipeline
    def counts():
        two(one())
"""
LOGGED = 200
PATIENCE_S = 120
ASKING = ("LIST", "WATCH", "POST", "LOG")


class Work:
    """A workspace whose steps run in the fake cluster."""

    def __init__(self, bench, fake):
        self.bench, self.fake = bench, fake
        storage = {"claim": "values", "mount": "/mnt/values"}
        location = {"name": "main", "file": "pipelines.py", "image": "fake/image:1"}
        kubernetes = fake.section(bench.path, storage=storage)
        text = {"locations": [location], "executor": {"default": "kubernetes"}, "kubernetes": kubernetes}
        bench.settings(yaml.safe_dump(text)).write(PIPELINES)

    def start(self):
        return self.bench.start("run", "counts", to=self.bench.path / "output", KUBECONFIG=self.fake.kubeconfig)

    def go(self):
        (self.bench.path / "go").touch()

    def until_begun(self):
        """Returns once the first step runs. Under many faults that takes a while."""
        deadline = time.monotonic() + PATIENCE_S
        while self.bench.ledger() != ["one"]:
            assert time.monotonic() < deadline, (self.bench.path / "output").read_text()
            time.sleep(0.05)

    def succeeds(self, owner):
        """Asserts that all is well at the end of a run."""
        code = owner.wait(PATIENCE_S)
        printed = (self.bench.path / "output").read_text()
        assert (code, self.bench.ledger()) == (0, ["one", "two"]), printed
        logged = [event for event in self.bench.events() if event["event"] == "log_emitted"]
        assert len(logged) == LOGGED, printed
        assert self.fake.faults.left == []


@pytest.fixture
def work(bench, fake):
    return Work(bench, fake)


def planned(fault, *kinds, times=1, path=""):
    """A plan for faults: given to them, it is made."""
    return lambda faults: faults.plan(fault, *kinds, times=times, path=path)


def doubling(faults):
    faults.is_doubling = True


def echoing(faults):
    faults.is_echoing = True


def stale(faults):
    """The watch breaks off, and what is listed then is older than what it had said."""
    faults.plan("cut", "LINE", path="/pods")
    faults.plan("stale", "LIST", path="/pods")


# What goes wrong from the beginning.
FROM_THE_BEGINNING = {
    "429 for a while": [planned(429, kind, times=2) for kind in ASKING],
    "500 for a while": [planned(500, kind, times=2) for kind in ASKING],
    "answers end in their middle": [planned("drop", kind, times=2) for kind in ASKING],
    "a Job is made, and that is not answered": [planned("lost", "POST", path="/jobs"), planned(500, "GET")],
    "a Secret is made, and that is not answered": [planned("lost", "POST", path="/secrets")],
    "watches are cut in mid-line": [planned("cut", "LINE", times=3)],
    "versions have expired": [planned("expired", "WATCH", times=2)],
    "changes come twice": [doubling],
    "older changes come after newer ones": [echoing],
    "a proxy answers with a page": [planned("html", kind, times=2) for kind in ASKING],
    "a proxy refuses with a page": [planned("refusal", kind, times=2) for kind in ASKING],
    "the token is refused for a while": [planned(401, kind, times=4) for kind in ASKING],
}
# What goes wrong while the first step runs.
IN_ITS_MIDDLE = {
    "a list is older than what was watched": [stale],
    "versions have expired": [planned("cut", "LINE", path="/pods"), planned("expired", "WATCH", times=2)],
}


@pytest.mark.sample(4)
@pytest.mark.parametrize("what", FROM_THE_BEGINNING)
def test_a_run_succeeds_when(work, what):
    for plan in FROM_THE_BEGINNING[what]:
        plan(work.fake.faults)
    work.go()
    work.succeeds(work.start())
    assert work.fake.left() == []


@pytest.mark.parametrize("what", IN_ITS_MIDDLE)
def test_a_run_succeeds_when_in_its_middle(work, what):
    owner = work.start()
    work.until_begun()
    for plan in IN_ITS_MIDDLE[what]:
        plan(work.fake.faults)
    work.fake.store.touch()
    work.bench.wait_until(lambda: work.fake.faults.left == [], "the fault")
    work.go()
    work.succeeds(owner)
    assert work.fake.left() == []


@pytest.mark.parametrize("fault", ["lost", "drop", 429, 500])
def test_nothing_is_left_when_deletions_meet(work, fault):
    work.fake.faults.plan(fault, "DELETE", times=3)
    work.go()
    work.succeeds(work.start())
    assert work.fake.left() == []


def test_a_run_waits_for_an_api_server_that_is_away(work):
    owner = work.start()
    work.until_begun()
    work.fake.api.stop()
    work.go()
    work.bench.wait_until((work.bench.path / "over").exists, "the step's end")
    work.fake.api.start()
    work.succeeds(owner)
    assert work.fake.left() == []


@pytest.mark.parametrize("hours", [-5, 5])
def test_the_clock_of_a_cluster_does_not_count(work, hours):
    work.fake.store.skew = timedelta(hours=hours)
    work.go()
    work.succeeds(work.start())
    assert work.fake.left() == []
