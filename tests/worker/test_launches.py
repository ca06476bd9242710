"""Attempts that the system has no room for wait in order, and are given up after a time."""

import errno

import pytest

from orchestrator.model.attempt import AttemptSpec
from orchestrator.protocol.messages import LaunchAttempt
from orchestrator.worker.launches import PATIENCE_S, Launches


class System:
    """Has room for so many processes; `started` and `given_up` say what became of each attempt."""

    def __init__(self, room):
        self.room, self.error = room, BlockingIOError(errno.EAGAIN, "no")
        self.started, self.given_up = [], []
        self.launches = Launches(self.start, lambda message, why: self.given_up.append((message.spec.step, why)))

    def start(self, message):
        if len(self.started) >= self.room:
            raise self.error
        self.started.append(message.spec.step)

    def ask(self, *steps, now=0.0):
        for step in steps:
            self.launches.put(
                LaunchAttempt("/run", AttemptSpec(run_id="r", step=step, template=step, attempt=1), "fork"), now
            )
        return self


def test_what_there_is_room_for_is_started_at_once():
    system = System(room=3).ask("a", "b")
    assert system.started == ["a", "b"]
    assert system.launches.timeout(0.0) is None


def test_what_waits_is_started_in_order_once_there_is_room():
    system = System(room=1).ask("a", "b", "c")
    assert system.started == ["a"]
    system.room = 3
    system.ask("d")  # not before those that wait
    assert system.started == ["a"]
    assert 0 < system.launches.timeout(0.0) < 1
    system.launches.turn(system.launches.timeout(0.0))
    assert system.started == ["a", "b", "c"]
    assert len(system.launches) == 1


def test_the_end_of_a_process_makes_it_look_at_once():
    system = System(room=1).ask("a", "b")
    system.room = 2
    system.launches.retry_now()
    system.launches.turn(0.0)
    assert system.started == ["a", "b"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (BlockingIOError(errno.EAGAIN, "x"), "the system allows no more processes"),
        (OSError(errno.ENOMEM, "x"), "there is no memory left"),
        (MemoryError(), "there is no memory left"),
        (OSError(errno.EMFILE, "x"), "the process may open no more files"),
    ],
)
def test_what_waits_for_too_long_is_given_up_with_the_reason(error, words):
    system = System(room=0).ask("early").ask("late", now=1.0)
    system.error = error
    system.launches.turn(PATIENCE_S - 0.1)
    assert system.given_up == []
    system.launches.turn(PATIENCE_S + 0.5)
    assert [step for step, _ in system.given_up] == ["early"]
    assert system.given_up[0][1].startswith(words)
    assert len(system.launches) == 1


def test_what_an_owner_left_that_is_gone_is_not_started():
    system = System(room=0).ask("a")
    system.launches.clear()
    system.room = 1
    system.launches.turn(10.0)
    assert system.started == []
