"""An evaluator that dies while it plans what user code has asked for loses no occurrence, nor does a store that cannot
be read when the answer comes, or when user code wants to know something."""

import pytest

from orchestrator.errors import StoreError

SOURCE = """
    import os
    from dataclasses import dataclass
    from orchestrator import pipeline, schedule, step

    @dataclass
    class What:
        what: str

        def __post_init__(self):
            if not os.path.exists("calm"):
                os._exit(1)

    @step
    def note(config: What) -> None: ...

    @pipeline
    def work():
        note()

    @schedule(cron="0 * * * *", pipeline=work)
    def it(context):
        return {"steps": {"note": {"config": {"what": "a"}}}}
"""


def test_an_occurrence_whose_plans_were_lost_is_tried_again(bench, ticking):
    bench.write(SOURCE)
    with ticking:
        ticking.at("2026-01-10T11:30:00Z").turn_on("it").at("2026-01-10T12:00:01Z")
        assert ticking.outcomes("it") == ["FAILURE"]
        (bench.path / "calm").touch()
        ticking.at("2026-01-10T12:00:30Z")
        assert ticking.outcomes("it") == ["FAILURE", "SUCCESS"]
        assert ticking.instants("it") == ["01-10 12:00"]


def test_what_was_answered_while_the_store_could_not_be_read_is_asked_again(bench, ticking):
    bench.write(SOURCE)
    (bench.path / "calm").touch()
    with ticking:
        ticking.at("2026-01-10T11:30:00Z").turn_on("it")
        evaluations = ticking.daemon.evaluations
        judge = evaluations._judge

        def unreadable(*_):
            evaluations._judge = judge
            raise StoreError("it cannot be read")

        evaluations._judge = unreadable
        with pytest.raises(AssertionError, match="it cannot be read"):  # the concern says so
            ticking.at("2026-01-10T12:00:01Z", until=lambda: evaluations._judge is judge)
        assert ticking.outcomes("it") == []
        ticking.at("2026-01-10T12:00:03Z")
        assert ticking.instants("it") == ["01-10 12:00"]


LOOKING = """
    from orchestrator import RunRequest, pipeline, sensor, step

    @step
    def note() -> None: ...

    @pipeline
    def work():
        note()

    @sensor(pipeline=work, interval=60, default_on=True)
    def looks(context):
        return RunRequest("once" if context.assets.latest("a") is None else "never")
"""


def test_a_sensor_that_looks_into_the_catalog_while_it_cannot_be_read_is_told_when_it_can(bench, ticking):
    bench.write(LOOKING)
    with ticking:
        ticking.at("2026-01-10T11:59:59Z")
        evaluations = ticking.daemon.evaluations
        store = evaluations._store

        def unreadable(*_):
            evaluations._store = store
            raise StoreError("it cannot be read")

        evaluations._store = unreadable
        with pytest.raises(AssertionError, match="it cannot be read"):  # the concern says so
            ticking.at("2026-01-10T12:00:01Z", until=lambda: evaluations._store is store)
        ticking.at("2026-01-10T12:00:03Z")
        assert ticking.outcomes("looks") == ["SUCCESS"]
