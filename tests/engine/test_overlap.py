"""Which runs a schedule's `overlap` counts."""

import pytest

from orchestrator.engine.overlap import active_runs
from orchestrator.model.automation import ScheduleInfo
from orchestrator.model.queued_run import UnfinishedRun
from orchestrator.model.run import Trigger

ID = "main/nightly"


def run(trigger, pipeline="p", location="main", mode="default", has_begun=True):
    return UnfinishedRun(
        run_id="r", pipeline=pipeline, location=location, mode=mode, trigger=trigger, has_begun=has_begun
    )


def counted(one, modes=("default", "dev"), mode=None):
    declared = ScheduleInfo(name="nightly", cron="0 0 * * *", pipeline="p", mode=mode)
    return active_runs("main", declared, modes, [one])


@pytest.mark.parametrize(
    ("one", "counts"),
    [
        pytest.param(run(Trigger("schedule", ID)), True, id="its-own"),
        pytest.param(run(Trigger("schedule", ID), pipeline="other"), True, id="its-own-of-another-pipeline"),
        pytest.param(run(Trigger("schedule", "main/hourly")), False, id="of-another-schedule"),
        pytest.param(run(Trigger("schedule", "else/nightly")), False, id="of-its-namesake-elsewhere"),
        pytest.param(run(Trigger("sensor", "main/inbox")), False, id="of-a-sensor"),
        pytest.param(run(Trigger()), True, id="by-hand"),
        pytest.param(run(Trigger("rerun", "0123456789ab")), True, id="re-run-by-hand"),
        pytest.param(run(Trigger(), pipeline="other"), False, id="by-hand-of-another-pipeline"),
        pytest.param(run(Trigger(), location="else"), False, id="by-hand-of-its-namesake-elsewhere"),
        pytest.param(run(Trigger(), mode="dev"), False, id="by-hand-in-another-mode"),
        pytest.param(run(Trigger("rerun", ID), pipeline="other"), False, id="a-rerun-is-no-run-of-a-schedule"),
    ],
)
def test_which_runs_count(one, counts):
    assert counted(one).run_ids == (("r",) if counts else ())


@pytest.mark.parametrize(
    ("mode", "modes", "of_the_run", "counts"),
    [
        pytest.param("prod", ("dev", "prod"), "prod", True, id="the-named-mode"),
        pytest.param("prod", ("dev", "prod"), "dev", False, id="not-the-named-mode"),
        pytest.param(None, ("only",), "only", True, id="there-is-only-one"),
        pytest.param(None, (), "anything", True, id="modes-unknown"),
    ],
)
def test_in_which_mode_a_run_by_hand_counts(mode, modes, of_the_run, counts):
    assert bool(counted(run(Trigger(), mode=of_the_run), modes, mode).run_ids) is counts


@pytest.mark.parametrize(
    ("one", "note"),
    [
        (run(Trigger("schedule", ID)), None),
        (run(Trigger("schedule", ID), has_begun=False), "the previous run has not begun"),
        (run(Trigger()), "a run that was started by hand has not finished"),
        (run(Trigger(), has_begun=False), "a run asked for by hand has not begun"),
    ],
)
def test_the_words_for_the_run_in_the_way(one, note):
    assert counted(one).notes.get("r") == note
