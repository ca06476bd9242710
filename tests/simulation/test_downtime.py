"""When the machine is awake."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.simulation.downtime import Asleep


def at(hour, minute=0):
    return datetime(2026, 3, 28, hour, minute, tzinfo=UTC)


ASLEEP = Asleep([(at(10), at(12)), (at(3), at(5)), (at(4), at(6))])


def test_spans_that_meet_are_one():
    assert ASLEEP.spans == [(at(3), at(6)), (at(10), at(12))]


@pytest.mark.parametrize(
    ("instant", "awake"),
    [(at(2), at(2)), (at(3), at(6)), (at(5, 59), at(6)), (at(6), at(6)), (at(11), at(12)), (at(23), at(23))],
)
def test_what_falls_into_sleep_happens_at_its_end(instant, awake):
    assert ASLEEP.awake_at(instant) == awake


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        pytest.param(at(0), 3, at(3), id="over when sleep begins"),
        pytest.param(at(0), 4, at(7), id="across one"),
        pytest.param(at(2), 6, at(13), id="across both"),
        pytest.param(at(4), 1, at(7), id="begun asleep"),
        pytest.param(at(13), 5, at(18), id="after all"),
    ],
)
def test_what_runs_stands_still_while_asleep(start, hours, end):
    assert ASLEEP.after(start, timedelta(hours=hours)) == end
