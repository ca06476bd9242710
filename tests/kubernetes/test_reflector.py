"""The copy of a cluster's pods stays right, whatever happens to the watch it comes from."""

import json
import threading

import pytest

from orchestrator.errors import ClusterUnreachable
from orchestrator.kubernetes.reflector import Reflector, pause_after


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
