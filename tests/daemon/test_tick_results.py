"""What the answer of a schedule or sensor comes to."""

from types import SimpleNamespace

from orchestrator import clock
from orchestrator.daemon.evaluations import Answered, Planned
from orchestrator.daemon.tick_results import outcome_of
from orchestrator.engine.sensor_timing import RequestDecision
from orchestrator.model.automation import Automation
from orchestrator.model.states import TickState
from orchestrator.model.tick import Evaluation, Requested


def test_a_tick_that_fails_for_one_request_names_it_and_keeps_none():
    requests = [Requested(key) for key in ("a", "b", None)]
    planned = (
        Planned(requests[0], SimpleNamespace()),
        Planned(requests[1], None, "steps.load.config.n: not a number"),
        Planned(requests[2], None, "steps.load: there is no such step"),
    )
    answered = Answered(
        "l/s",
        None,
        print,
        0.1,
        Evaluation(requests=tuple(requests)),
        RequestDecision(tuple(requests), ()),
        planned,
        None,
    )
    one = Automation(id="l/s", name="s", location="l", kind="sensor", is_on=True, changed_at=clock.now())
    outcome = outcome_of(answered, one, SimpleNamespace(), clock.now(), kind="sensor")
    assert (outcome.tick.status, outcome.runs) == (TickState.FAILURE, ())
    assert outcome.tick.error == (
        "RunRequest with run_key 'b': steps.load.config.n: not a number\nsteps.load: there is no such step"
    )
