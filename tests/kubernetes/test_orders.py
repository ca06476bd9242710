"""What must be done in the end is done, however often the API server is away, and once it has answered no more."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator import clock
from orchestrator.errors import ClusterRefused, ClusterUnreachable
from orchestrator.kubernetes.cluster_view import ClusterView
from orchestrator.kubernetes.names import HANDLE
from orchestrator.kubernetes.orders import AGAIN, Orders

NOW = datetime(2026, 11, 1, tzinfo=UTC)


class Work:
    """Raises these in turn, then nothing."""

    def __init__(self, *errors):
        self.errors, self.calls = list(errors), 0

    def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)


@pytest.fixture
def threads():
    with ThreadPoolExecutor(1) as pool:
        yield pool


def settle(threads):
    """Returns once everything that was submitted is done: there is one thread."""
    threads.submit(int).result()


@pytest.mark.parametrize(
    ("errors", "calls"),
    [
        pytest.param([], 1, id="done at once"),
        pytest.param([ClusterUnreachable("away")] * 3, 4, id="the server was away"),
        pytest.param([ClusterRefused("no"), ClusterUnreachable("away")], 1, id="a refusal is an answer"),
    ],
)
def test_an_order_is_repeated_until_there_is_an_answer(threads, errors, calls):
    work, orders, now = Work(*errors), Orders(threads), NOW
    orders.give(work, now)
    for _ in range(10):
        settle(threads)
        orders.turn(now)
        now += AGAIN
    settle(threads)
    assert work.calls == calls


def test_an_order_waits_for_its_time_and_between_two_tries(threads):
    work, orders = Work(ClusterUnreachable("away")), Orders(threads)
    orders.give(work, NOW, due=NOW + timedelta(hours=1))
    for minutes in (0, 30, 59):
        orders.turn(NOW + timedelta(minutes=minutes))
    settle(threads)
    assert work.calls == 0
    for _ in range(3):
        orders.turn(NOW + timedelta(hours=1))
        settle(threads)
    assert work.calls == 1, "not again at once"
    orders.turn(NOW + timedelta(hours=1) + AGAIN)
    settle(threads)
    assert work.calls == 2


def test_finishing_repeats_what_is_due_and_leaves_what_is_due_later(threads):
    work, later, orders = Work(*[ClusterUnreachable("away")] * 2), Work(), Orders(threads)
    orders.give(work, clock.now())
    orders.give(later, clock.now(), due=clock.now() + timedelta(hours=1))
    assert orders.finish(60) == 0
    assert (work.calls, later.calls) == (3, 0)


def test_finishing_gives_up_in_the_end_and_says_how_much_is_not_done(threads):
    orders = Orders(threads)
    for _ in range(2):
        orders.give(Work(*[ClusterUnreachable("away")] * 1000), clock.now())
    assert orders.finish(0.5) == 2


def pod(name, handle):
    return {"metadata": {"name": name, "uid": name, "annotations": {HANDLE: handle}}, "spec": {}, "status": {}}


def test_nothing_is_kept_of_attempts_that_are_over():
    view = ClusterView(None, "default", "abc")
    handle = "0123456789ab/load/1"
    view.follow(handle)
    view._pod(pod("orc-p", handle), False)
    view._event({"involvedObject": {"name": "orc-job"}, "message": "no node", "reason": "FailedScheduling"}, False)
    view._pod(pod("orc-p", handle), True)
    facts, is_gone = view.pod(handle)
    assert (facts.name, is_gone) == ("orc-p", True), "how it ended can still be read"
    view.forget(handle, "orc-job")
    for is_gone in (False, True):  # its deletion is still watched
        view._pod(pod("orc-p", handle), is_gone)
    assert (view._pods, view._names, view._gone, view._warnings, view._followed) == ({}, {}, set(), {}, set())


def test_a_pod_that_is_there_before_its_attempt_is_followed_is_known():
    view = ClusterView(None, "default", "abc")
    view._pod(pod("orc-p", "0123456789ab/load/1"), False)
    view.follow("0123456789ab/load/1")
    assert view.pod("0123456789ab/load/1")[0].name == "orc-p"
    view._listed(set())
    assert view.pod("0123456789ab/load/1")[1], "it was deleted while nothing was watched"
