"""What goes wrong in the fake API server, as a test says. Without a word of the test, nothing does."""

import random
import threading
from collections import Counter

# What may go wrong with a request of a kind: a number is an HTTP status. `drop`: the answer ends in its middle. `lost`:
# it is done, and nothing is answered. `html`, `refusal`: a proxy answers in its own words, with 200 or with 403.
# `expired`: 410, as a watch says it. `stale`: what there was before the newest object. `cut`: a watch ends in mid-line.
ANY = (429, 500, 503, "drop", "html")
RAIN = {
    "GET": ANY,
    "LOG": ANY,
    "POST": (*ANY, "lost"),
    "DELETE": (*ANY, "lost"),
    "PATCH": (*ANY, "lost"),
    "LIST": (*ANY, "stale"),
    "WATCH": (*ANY, "expired"),
    "LINE": ("cut",),
}


class Faults:
    """For any thread. Requests are of the kinds above: `LINE` is one line of a watch.

    `is_doubling` sends each change to watches twice. `is_echoing` sends the change before it once more after each: an
    older state after a newer one, and a state after the deletion.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._planned = []
        self._chance = None
        self._rate = 0.0
        self._in_a_row = Counter()
        self.is_doubling = False
        self.is_echoing = False
        self.done = Counter()  # by kind of request and fault

    def plan(self, fault, *kinds, times=1, path=""):
        """The next requests of these kinds, to a path that has `path` in it, meet this fault."""
        assert all(fault in RAIN[kind] or isinstance(fault, int) or fault == "refusal" for kind in kinds)
        with self._lock:
            self._planned.append([fault, frozenset(kinds), times, path])

    def rain(self, seed, rate):
        """Of all requests so many, from 0 to 1, meet one fault or another, but of a kind no three in a row. The same
        seed gives the same faults to the same requests; which request comes first is for threads to decide."""
        with self._lock:
            self._chance, self._rate = random.Random(seed), rate

    def clear(self):
        """Nothing goes wrong any more."""
        with self._lock:
            self._planned, self._rate = [], 0.0
            self.is_doubling = self.is_echoing = False

    @property
    def left(self):
        """The planned faults that no request has met yet."""
        with self._lock:
            return [(fault, sorted(kinds), times) for fault, kinds, times, _ in self._planned if times]

    def take(self, kind, path):
        """What goes wrong with this request, or None."""
        with self._lock:
            fault = self._next(kind, path)
            if fault is not None:
                self.done[kind, fault] += 1
            return fault

    def _next(self, kind, path):
        for planned in self._planned:
            fault, kinds, times, part = planned
            if times and kind in kinds and part in path:
                planned[2] -= 1
                return fault
        if self._rate and self._chance.random() < self._rate and self._in_a_row[kind] < 2:
            self._in_a_row[kind] += 1
            return self._chance.choice(RAIN[kind])
        self._in_a_row[kind] = 0
        return None

    def sent(self, changes, before):
        """The changes as a watch sends them. `before`: by object, the change that came before."""
        for change in changes:
            yield change
            if self.is_doubling:
                yield change
            older = before.get(change.key)
            if self.is_echoing and older is not None:
                yield older._replace(type="MODIFIED")
            before[change.key] = change
