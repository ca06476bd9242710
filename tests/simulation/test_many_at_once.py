"""Asking a schedule about many occurrences in one message."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from orchestrator import RunRequest, SkipReason, pipeline, schedule, step
from orchestrator.masking import Masker
from orchestrator.model.tick import Evaluation
from orchestrator.protocol.messages import Evaluate, Evaluated, EvaluateMany
from orchestrator.worker.evaluate import evaluate, evaluate_many

START = datetime(2026, 3, 29, tzinfo=UTC)
OCCURRENCES = tuple((START + timedelta(hours=hour, minutes=5), START + timedelta(hours=hour)) for hour in range(24))


@step
def nothing():
    pass


@pipeline
def work():
    nothing()


@schedule(cron="0 * * * *", timezone="Europe/Berlin", pipeline=work)
def varied(context):
    if context.scheduled_at.hour == 4:
        return SkipReason("too early")
    if context.scheduled_at.hour == 5:
        raise SystemExit("enough")
    if context.scheduled_at.hour == 6:
        return {"steps": {"nothing": {"config": object()}}}
    if context.scheduled_at.hour < 12:
        return None
    return RunRequest(tags={"asked": f"{context.now:%H:%M}", "for": f"{context.scheduled_at:%H:%M%z}"})


def answered(seconds):
    answer = msgspec.json.decode(
        evaluate_many(varied, EvaluateMany(1, "varied", OCCURRENCES, seconds), Masker()), type=Evaluated
    )
    evaluations = [msgspec.json.decode(one, type=Evaluation) for one in answer.evaluations]
    return [evaluations[place] for place in answer.which], evaluations


def test_each_occurrence_is_answered_as_if_it_were_asked_alone():
    many, _ = answered(seconds=60)
    assert len(many) == len(OCCURRENCES)
    for (at, scheduled_at), evaluation in zip(OCCURRENCES, many, strict=True):
        if scheduled_at.hour == 4:  # 6 o'clock there: what cannot be written down is an error of its own
            assert "cannot be written down" in evaluation.error
            continue
        question = Evaluate(request=1, name="varied", at=at, scheduled_at=scheduled_at)
        assert evaluation == evaluate(varied, question, lambda *_: ())


def test_equal_answers_are_said_once():
    many, distinct = answered(seconds=60)
    plain = [one for one in many if one.requests and not one.requests[0].tags]
    assert len(plain) > 5
    assert len(distinct) == len({msgspec.json.encode(one) for one in many})


def test_after_its_time_it_answers_with_what_it_has_and_that_is_at_least_one():
    many, _ = answered(seconds=-1.0)
    assert len(many) == 1


@pytest.mark.parametrize("hour", [2, 3, 4])
def test_an_error_of_one_is_no_error_of_its_neighbours(hour):
    many, _ = answered(seconds=60)
    assert (many[hour].error is None) == (hour == 2)
