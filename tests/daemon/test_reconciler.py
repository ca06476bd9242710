"""The health of a concern, in two facts of which neither says the other: it gets its turns, and they succeed."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.daemon.log import DaemonLog
from orchestrator.daemon.reconciler import Supervised
from orchestrator.errors import StoreError
from orchestrator.state_dir import prepare

NOW = datetime(2026, 3, 30, 9, tzinfo=UTC)
TOLERANCE = timedelta(seconds=30)


def later(seconds):
    return NOW + timedelta(seconds=seconds)


class Sensors:
    """A concern that fails while it has an error."""

    name = "sensors"

    def __init__(self):
        self.error = None
        self.turns = 0

    def turn(self, now):
        self.turns += 1
        if self.error is not None:
            raise self.error
        return now + timedelta(minutes=1)


@pytest.fixture
def log(tmp_path):
    log = DaemonLog(prepare(tmp_path / "state"), echo=False)
    log.path = tmp_path / "state" / "daemon.log"
    yield log
    log.close()


@pytest.fixture
def sensors():
    return Sensors()


@pytest.fixture
def watched(sensors, log):
    return Supervised(sensors, log)


def facts(watched, seconds):
    told = watched.describe(later(seconds), TOLERANCE)
    return told["alive"], told["erroring"]


def test_one_that_had_no_turn_yet_is_not_alive(watched):
    assert facts(watched, 0) == (False, False)


@pytest.mark.parametrize(("seconds", "alive"), [(0, True), (29, True), (31, False), (100, False)])
def test_one_is_alive_for_as_long_as_it_gets_its_turns(watched, seconds, alive):
    watched.turn(NOW)
    assert facts(watched, seconds) == (alive, False)


def test_one_that_fails_is_alive_and_carries_its_error_until_a_turn_succeeds(watched, sensors):
    sensors.error = ValueError("foobar")
    watched.turn(NOW)
    assert facts(watched, 0) == (True, True)
    told = watched.describe(NOW, TOLERANCE)
    assert told["error"].strip().endswith("ValueError: foobar")
    assert told["error_at"] == NOW
    sensors.error = None
    watched.turn(later(10))
    assert facts(watched, 10) == (True, False)


def test_one_that_fails_is_left_alone_for_a_moment(watched, sensors):
    sensors.error = ValueError("foobar")
    due = watched.turn(NOW)
    assert due == later(1)
    assert watched.turn(later(0.5)) == due
    assert sensors.turns == 1
    watched.turn(later(1))
    assert sensors.turns == 2


def test_the_log_has_an_error_once_and_a_word_when_it_is_over(watched, sensors, log):
    sensors.error = StoreError("The disk is full.")
    for second in range(0, 20, 2):
        watched.turn(later(second))
    sensors.error = None
    watched.turn(later(20))
    lines = log.path.read_text().splitlines()
    assert [line.partition("Z ")[2] for line in lines] == [
        'error   failing concern=sensors error="The disk is full."',
        "info    recovered concern=sensors",
    ]
