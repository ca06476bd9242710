"""The copy of a cluster's pods stays right, whatever happens to the watch it comes from."""

import json
import threading

import pytest

from orchestrator.errors import ClusterUnreachable
from orchestrator.kubernetes.reflector import Reflector, Versions, pause_after


def pod(name, version="1"):
    return {"metadata": {"name": name, "resourceVersion": version}}


def line(kind, item):
    return json.dumps({"type": kind, "object": item}).encode()


EXPIRED = json.dumps({"type": "ERROR", "object": {"code": 410, "reason": "Expired"}}).encode()


class Server:
    """An API server that answers from a script: lists, then watches; an exception is raised in place of an answer."""

    def __init__(self, *script):
        self.script = list(script)
        self.asked = []
        self.over = threading.Event()

    def _next(self, kind, query):
        self.asked.append((kind, query.get("resourceVersion")))
        if not self.script:
            self.over.set()
            raise ClusterUnreachable("the script is over")
        wanted, answer = self.script.pop(0)
        assert wanted == kind, f"asked for a {kind}, and the script has a {wanted}"
        if isinstance(answer, Exception):
            raise answer
        return answer

    def request(self, method, path, query):
        items, version, more = self._next("list", query)
        return {"items": items, "metadata": {"resourceVersion": version, **({"continue": more} if more else {})}}

    def lines(self, path, query, timeout):
        for one in self._next("watch", query):
            if isinstance(one, Exception):
                raise one
            yield one


class Copy:
    def __init__(self):
        self.names, self.listed = set(), []

    def seen(self, item, is_gone):
        (self.names.discard if is_gone else self.names.add)(item["metadata"]["name"])

    def all_listed(self, names):
        self.listed.append(names)
        self.names &= names


SCRIPTS = {
    "a watch that ends is gone on with from where it was": (
        [
            ("list", ([pod("a")], "5", None)),
            ("watch", [line("ADDED", pod("b", "6"))]),
            ("watch", [line("DELETED", pod("a", "7"))]),
        ],
        {"b"},
        [("list", None), ("watch", "5"), ("watch", "6"), ("watch", "7")],
    ),
    "a version that has expired means listing again": (
        [
            ("list", ([pod("a"), pod("b")], "5", None)),
            ("watch", [EXPIRED]),
            ("list", ([pod("b")], "90", None)),
            ("watch", [line("ADDED", pod("c", "91"))]),
        ],
        {"b", "c"},
        [("list", None), ("watch", "5"), ("list", None), ("watch", "90"), ("watch", "91")],
    ),
    "a bookmark moves the version": (
        [("list", ([], "5", None)), ("watch", [line("BOOKMARK", {"metadata": {"resourceVersion": "70"}})])],
        set(),
        [("list", None), ("watch", "5"), ("watch", "70")],
    ),
    "a line that is cut off causes a new list": (
        [("list", ([pod("a")], "5", None)), ("watch", [line("ADDED", pod("b", "6"))[:20]]), ("list", ([], "7", None))],
        set(),
        [("list", None), ("watch", "5"), ("list", None), ("watch", "7")],
    ),
    "a server that is away is asked again": (
        [
            ("list", ClusterUnreachable("away")),
            ("list", ([pod("a")], "5", None)),
            ("watch", [ClusterUnreachable("broke off")]),
            ("list", ([pod("a"), pod("b")], "8", None)),
        ],
        {"a", "b"},
        [("list", None), ("list", None), ("watch", "5"), ("list", None), ("watch", "8")],
    ),
    "an older change comes after a newer one": (
        [
            ("list", ([pod("a", "3"), pod("b", "4")], "5", None)),
            ("watch", [line("DELETED", pod("a", "8")), line("MODIFIED", pod("a", "7")), line("ADDED", pod("b", "2"))]),
        ],
        {"b"},
        [("list", None), ("watch", "5"), ("watch", "8")],
    ),
    "a list is older than what was watched": (
        [
            ("list", ([], "5", None)),
            ("watch", [line("ADDED", pod("a", "9")), EXPIRED]),
            ("list", ([], "8", None)),
            ("list", ([pod("a", "9")], "9", None)),
        ],
        {"a"},
        [("list", None), ("watch", "5"), ("list", None), ("list", None), ("watch", "9")],
    ),
    "versions are not numbers": (
        [
            ("list", ([pod("a", "x9")], "x9", None)),
            ("watch", [line("DELETED", pod("a", "x8"))]),
            ("watch", [line("ADDED", pod("b", "x1"))]),
        ],
        {"b"},
        [("list", None), ("watch", "x9"), ("watch", "x8"), ("watch", "x1")],
    ),
    "a long list comes in pages": (
        [("list", ([pod("a")], "5", "more")), ("list", ([pod("b")], "5", None))],
        {"a", "b"},
        [("list", None), ("list", None), ("watch", "5")],
    ),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_copy_is_right_after(script):
    steps, names, asked = SCRIPTS[script]
    server, copy = Server(*steps), Copy()
    reflector = Reflector(server, "/pods", {}, copy.seen, copy.all_listed)
    reflector.start()
    assert server.over.wait(30)
    reflector.stop()
    assert copy.names == names
    assert server.asked[: len(asked)] == asked


def test_a_list_that_stays_older_counts_in_the_end():
    versions = Versions()
    assert versions.takes_list("100")
    assert versions.takes({"name": "a", "resourceVersion": "120"}, False)
    believed = [versions.takes_list("50") for _ in range(6)]
    assert believed == [False] * 5 + [True]
    assert versions.takes({"name": "a", "resourceVersion": "40"}, False)
    assert versions.takes_list("51")


def test_of_what_was_deleted_only_the_last_thousand_are_remembered():
    versions = Versions()
    for number in range(1, 1002):
        versions.takes({"name": f"pod-{number}", "resourceVersion": str(10 * number)}, True)
    assert versions.takes({"name": "pod-1", "resourceVersion": "5"}, False)
    assert not versions.takes({"name": "pod-1001", "resourceVersion": "5"}, False)


def test_trouble_is_reported_until_it_is_over():
    server, copy = Server(("list", ClusterUnreachable("no route"))), Copy()
    reflector = Reflector(server, "/pods", {}, copy.seen, copy.all_listed)
    assert not reflector.is_synced.is_set()
    reflector.start()
    assert server.over.wait(30)
    assert reflector.unreachable_since is not None
    assert reflector.problem in ("no route", "the script is over")
    reflector.stop()


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_pauses_grow_to_a_limit_and_differ_by_chance(chance):
    pauses = [pause_after(failures, chance) for failures in range(1, 30)]
    assert pauses == sorted(pauses)
    assert 0.2 <= pauses[0] <= 0.5
    assert 10 <= pauses[-1] <= 20
