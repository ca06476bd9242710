"""The days on which clocks change, and what that does to schedules."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.model.automation import ScheduleInfo
from orchestrator.simulation.clock_changes import changes_between, moved_by

YEAR = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("timezone", "changes"),
    [
        ("UTC", []),
        ("Asia/Tokyo", []),
        ("Europe/Berlin", ["2026-03-29 01:00 +60", "2026-10-25 01:00 -60"]),
        ("America/New_York", ["2026-03-08 07:00 +60", "2026-11-01 06:00 -60"]),
        ("Australia/Lord_Howe", ["2026-04-04 15:00 -30", "2026-10-03 15:30 +30"]),
    ],
)
def test_the_changes_of_a_year(timezone, changes):
    found = list(changes_between(timezone, *YEAR))
    shifts = [int((one.after - one.before) / timedelta(minutes=1)) for one in found]
    assert [f"{one.at:%Y-%m-%d %H:%M} {shift:+d}" for one, shift in zip(found, shifts, strict=True)] == changes
    assert [one.is_forward for one in found] == [shift > 0 for shift in shifts]


def test_a_change_at_the_very_end_or_before_the_beginning_is_none():
    change = datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert not list(changes_between("Europe/Berlin", change, change + timedelta(days=3)))
    assert not list(changes_between("Europe/Berlin", change - timedelta(days=3), change - timedelta(seconds=1)))
    assert len(list(changes_between("Europe/Berlin", change - timedelta(seconds=1), change))) == 1


@pytest.mark.parametrize(
    ("cron", "forward", "back"),
    [
        pytest.param("30 2 * * *", ["01:00"], ["01:30"], id="in the gap and in the hour that comes twice"),
        pytest.param("0 3 * * *", [], [], id="at the end of the gap, where it is every day"),
        pytest.param("0 12 * * *", [], [], id="far from it"),
        pytest.param("30 * * * *", [], [], id="every hour"),
        pytest.param("0,30 2 * * *", ["01:00"], ["01:00", "01:30"], id="two of them become one"),
    ],
)
def test_what_a_change_moves(cron, forward, back):
    declared = ScheduleInfo(name="s", pipeline="p", cron=cron, timezone="Europe/Berlin")
    spring, autumn = changes_between("Europe/Berlin", *YEAR)
    assert [f"{one:%H:%M}" for one in moved_by(spring, declared)] == forward
    assert [f"{one:%H:%M}" for one in moved_by(autumn, declared)] == back
