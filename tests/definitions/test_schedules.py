"""Schedules as they are written down: what is taken, and what can never work and is refused at once."""

import pytest

from orchestrator import DefinitionError, RunRequest, ScheduleContext, pipeline, schedule
from tests.definitions.refusals import NAME_HINT, check_refusal
from tests.definitions.short import one, refusal

DURATION = "Write seconds, text like '90s', '15m', '24h', or a timedelta."
POLICY = "Give 'latest', 'all', 'none', or the most occurrences to run (1 or more)."


@pipeline
def working():
    one()


def refused(problem, hint=None, *, cron="@daily", name="nightly", what="Schedule 'nightly'", **options):
    """A row: the options of a schedule, and what is said of them."""

    def define():
        given = {"pipeline": working, **options}

        @schedule(cron=cron, name=name, **given)  # here
        def nightly(context): ...

    return pytest.param(define, what, problem, hint, id=problem[:40])


@pytest.mark.parametrize(
    ("define", "what", "problem", "hint"),
    [
        refused("'0 0 30 2 *' never fires: there is no such day in those months", cron="0 0 30 2 *"),
        refused("'0 0 31 2,4 *' never fires: there is no such day in those months", cron="0 0 31 2,4 *"),
        refused(
            "'0 0 32 1 *' is not a valid cron expression: '32' is not a valid day of the month (1-31)",
            cron="0 0 32 1 *",
        ),
        refused(
            "'0 0 0 * * *' has 6 fields; cron has five fields: minute, hour, day, month and weekday. There is no field "
            "for seconds: write '0 0 * * *', and for less than a minute a sensor with interval=SECONDS",
            cron="0 0 0 * * *",
        ),
        refused("'foo' has 1 field; cron has five fields: minute, hour, day, month and weekday", cron="foo"),
        refused(
            "'@reboot' is not a time: run the pipeline where the daemon is started, `orchestrator run NAME --detach`",
            cron="@reboot",
        ),
        refused("cron=5 is not text.", cron=5),
        refused("it has no cron expression.", "Add cron='30 2 * * *', for every night at half past two.", cron=None),
        refused("'Europe/Berln' is not a time zone; did you mean Europe/Berlin?", timezone="Europe/Berln"),
        refused("timezone=1 is not text.", timezone=1),
        refused("catch_up='lates' is not a policy.", POLICY, catch_up="lates"),
        refused("catch_up=0 is not a policy.", POLICY, catch_up=0),
        refused("catch_up=True is not a policy.", POLICY, catch_up=True),
        refused("catch_up_window='soon' is not a duration.", DURATION, catch_up_window="soon"),
        refused("catch_up_window=0 must be at least 1 seconds.", catch_up_window=0),
        refused("overlap='skp' is not a policy.", "Did you mean skip?", overlap="skp"),
        refused("jitter=-1 must be at least 0 seconds.", jitter=-1),
        refused("timeout=0 must be at least 0.01 seconds.", timeout=0),
        refused("pipeline=5 is not a pipeline.", "Give the pipeline itself, or its name.", pipeline=5),
        refused("it names no pipeline.", "Add pipeline=...", pipeline=None),
        refused("mode=5 is not text.", mode=5),
        refused("description=5 is not text.", description=5),
        refused("that cannot be a name.", NAME_HINT, name="every night", what="Schedule 'every night'"),
    ],
)
def test_what_can_never_work_is_refused_with_its_name_and_line(define, what, problem, hint):
    check_refusal(define, what, problem, hint)


def test_options_are_given_by_name_and_in_parentheses():
    error = refusal(schedule, lambda context: None)
    assert error.hint == "Write @schedule(cron='30 2 * * *', pipeline=...)."
    assert refusal(schedule, cron="@daily", pipeline=working, catchup="all").hint.startswith("Did you mean catch_up")


def test_its_function_takes_a_context_or_nothing():
    @schedule(cron="@daily", pipeline=working)
    def nightly(): ...

    def other(when): ...

    error = refusal(schedule(cron="@daily", pipeline=working), other)
    assert error.hint == "Write `def other(context):`."


def test_a_leap_day_is_a_day():
    @schedule(cron="0 0 29 2 *", pipeline=working)
    def leaping(context): ...

    assert leaping.info.cron == "0 0 29 2 *"


def test_what_is_declared_and_what_is_not():
    @schedule(cron="@daily", pipeline=working)
    def nightly(context):
        """Closes the books.

        And more.
        """

    info = nightly.info
    assert (info.name, info.pipeline, info.timezone, info.description) == (
        "nightly",
        "working",
        "UTC",
        "Closes the books.",
    )
    assert (info.catch_up, info.catch_up_window, info.overlap, info.default_on) == ("latest", 86400, "skip", False)

    @schedule(
        cron="@daily", pipeline="working", catch_up=3, catch_up_window=None, jitter="5m", timeout="2m", name="other"
    )
    def another(context): ...

    info = another.info
    assert (info.name, info.catch_up, info.catch_up_window, info.jitter, info.timeout) == ("other", 3, None, 300, 120)


def test_it_is_still_a_function():
    @schedule(cron="@daily", pipeline=working)
    def nightly(context):
        return RunRequest(tags={"day": f"{context.scheduled_at:%A}"})

    assert nightly(ScheduleContext()).tags["day"].endswith("day")
    assert str(nightly) == "Schedule 'nightly'"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param("pipeline='wrking'", "its location has no pipeline 'wrking' as a module attribute", id="pipeline"),
        pytest.param("pipeline=working, mode='prod'", "pipeline 'working' has no mode 'prod'", id="mode"),
    ],
)
def test_what_its_location_does_not_have_is_refused_when_it_is_loaded(bench, options, said):
    bench.write(
        f"""
        from orchestrator import pipeline, schedule, step

        @step
        def work() -> None: ...

        @pipeline
        def working():
            work()

        @schedule(cron="@daily", {options})
        def nightly(context): ...
        """
    )
    done = bench("config", "check")
    assert done.code == 3
    assert said in done.out + done.err
    assert "pipelines.py:11" in done.out + done.err


def test_two_of_the_same_name_in_a_location_are_refused(bench):
    bench.write(
        """
        from orchestrator import pipeline, schedule, sensor, step

        @step
        def work() -> None: ...

        @pipeline
        def working():
            work()

        @schedule(cron="@daily", pipeline=working)
        def nightly(context): ...

        @sensor(pipeline=working, name="nightly")
        def watching(context): ...
        """
    )
    done = bench("config", "check")
    assert done.code == 3
    assert "nightly" in done.out + done.err


def test_a_definition_error_is_what_it_is():
    with pytest.raises(DefinitionError):
        schedule(cron="@daily", pipeline=working)(5)
