"""An agenda: everything is looked at when it is due, once, and nothing is forgotten when looking at it fails."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.daemon.due_queue import DueQueue

START = datetime(2026, 3, 30, 9, tzinfo=UTC)


def later(seconds):
    return START + timedelta(seconds=seconds)


class Everything:
    """What is to be looked at: `every` so many seconds, from the first turn on."""

    def __init__(self, **every):
        self.every = every
        self.version = 0
        self.looked = []
        self.filled = []
        self.error = None
        self.due_queue = DueQueue(lambda: self.version, self.fill, self.look)

    def fill(self, before, now):
        self.filled.append(dict(before))
        for id in self.every:
            self.due_queue.put(id, now)

    def look(self, id, now):
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self.looked.append(id)
        self.due_queue.put(id, now + timedelta(seconds=self.every[id]))


def test_each_is_looked_at_at_its_own_pace():
    all = Everything(often=1, seldom=3)
    assert [all.due_queue.turn(later(second)) for second in range(4)] == [later(1), later(2), later(3), later(4)]
    assert all.looked == ["often", "seldom", "often", "often", "often", "seldom"]


def test_what_is_put_elsewhere_is_looked_at_only_then():
    all = Everything(one=10)
    all.due_queue.turn(START)
    all.due_queue.put("one", later(2))
    all.due_queue.put("one", later(5))
    assert all.due_queue.turn(later(3)) == later(5)
    assert all.looked == ["one"]
    all.due_queue.turn(later(5))
    assert all.looked == ["one", "one"]
    assert all.due_queue.at("one") == later(15)


@pytest.mark.parametrize(
    ("change", "at"),
    [
        pytest.param(lambda all: setattr(all, "version", 1), 1, id="another version"),
        pytest.param(lambda all: all.due_queue.invalidate(), 1, id="invalidated"),
        pytest.param(lambda all: None, -3600, id="the clock was set back"),
    ],
)
def test_everything_is_put_on_it_anew(change, at):
    all = Everything(one=10)
    all.due_queue.turn(START)
    change(all)
    assert all.due_queue.turn(later(at)) == later(at + 10)
    assert all.filled == [{}, {"one": later(10)}]


def test_what_could_not_be_looked_at_is_looked_at_again():
    all = Everything(one=10, other=10)
    all.error = OSError("the disk is full")
    with pytest.raises(OSError, match="full"):
        all.due_queue.turn(START)
    all.due_queue.turn(later(1))
    assert sorted(all.looked) == ["one", "other"]


def test_something_that_is_off_it_is_in_nobodys_way():
    all = Everything(one=10)
    all.due_queue = DueQueue(lambda: all.version, all.fill, lambda id, now: all.looked.append(id))
    assert all.due_queue.turn(START) is None
    assert list(all.due_queue.upcoming()) == []
    assert all.due_queue.at("one") is None
