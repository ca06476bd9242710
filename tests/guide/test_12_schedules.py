"""A schedule runs a pipeline at the instants of a cron expression."""

from datetime import UTC, datetime

import pytest

from orchestrator import DefinitionError, RunRequest, ScheduleContext, SkipReason, pipeline, schedule, step


@step
def close_the_books(day: str = "today") -> None: ...


@pipeline
def books():
    close_the_books()


@schedule(cron="30 2 * * *", timezone="Europe/Berlin", pipeline=books)
def nightly(context):
    if context.scheduled_at.weekday() == 6:
        return SkipReason("the books stay closed on Sundays")
    return RunRequest(tags={"day": f"{context.scheduled_at:%Y-%m-%d}"})


def test_it_is_asked_for_each_instant_what_to_run():
    """`scheduled_at` is the instant it is run for, in its own zone, however late it is asked: never use the clock. It
    answers with config, a RunRequest, several of them (each with a `run_key`), nothing (a run without config), or a
    SkipReason. It is a function, so a test calls it."""
    assert nightly(ScheduleContext(datetime(2026, 3, 28, 1, 30, tzinfo=UTC))).tags == {"day": "2026-03-28"}
    assert isinstance(nightly(ScheduleContext(datetime(2026, 3, 29, 1, 0, tzinfo=UTC))), SkipReason)


def test_what_can_never_work_is_refused_where_it_is_written():
    """Not when it would have been time."""

    def impossible(context): ...

    with pytest.raises(DefinitionError, match="0 0 30 2"):
        schedule(cron="0 0 30 2 *", pipeline=books)(impossible)
    with pytest.raises(DefinitionError, match="Europe/Berln"):
        schedule(cron="@daily", timezone="Europe/Berln", pipeline=books)(impossible)


WORKSPACE = """
    from orchestrator import pipeline, schedule, step

    @step
    def close_the_books() -> None: ...

    @pipeline
    def books():
        close_the_books()

    @schedule(cron="30 2 * * *", timezone="Europe/Berlin", pipeline=books)
    def nightly(context):
        return None
"""


def test_you_can_look_at_what_will_happen_before_it_does(bench):
    """`schedule next` shows the instants, and what a change of the clocks does to them: where 02:30 does not exist, it
    runs at the first instant after the gap, and where it comes twice, once. `schedule preview` asks the function."""
    bench.write(WORKSPACE)
    assert bench("schedule", "next", "nightly", "--from", "2026-03-28", "--count", "2").ok().out.splitlines() == [
        "Sat 2026-03-28 02:30 +0100   2026-03-28 01:30Z",
        "Sun 2026-03-29 03:00 +0200   2026-03-29 01:00Z   the clocks have changed",
    ]
    assert bench("schedule", "preview", "nightly").ok().out == "- {}\n"


def test_it_does_nothing_until_you_turn_it_on(bench):
    """It counts from that moment (`default_on=True`: from when the daemon first sees it). Turned off and on again, the
    time off is never made up. What was due while the machine slept or the daemon was stopped is: by default the
    latest occurrence, if it is less than 24 hours late. See `catch_up` ("latest", "all", "none", or the most to run)
    and `catch_up_window`; `overlap` says what becomes of an occurrence while the run before it is still going ("skip",
    "allow", "buffer_one", "buffer_all", "cancel_other"). Whatever is not run is in `schedule ticks`, with the reason.
    """
    bench.write(WORKSPACE)
    assert "main/nightly is on. First: " in bench("schedule", "start", "nightly").ok().out
    assert "main/nightly is on already." in bench("schedule", "start", "nightly").ok().out
    assert "main/nightly is off." in bench("schedule", "stop", "nightly").ok().out
