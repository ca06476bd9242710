"""Which changes of state are legal."""

import itertools

import pytest

from orchestrator.errors import NotPossible
from orchestrator.states import ACTIVE_RUN_STATES, TERMINAL_RUN_STATES, RunState, check_run_change, is_legal_run_change


def test_every_state_is_queued_active_or_over():
    assert set(RunState) == {RunState.QUEUED} | ACTIVE_RUN_STATES | TERMINAL_RUN_STATES


@pytest.mark.parametrize(("before", "after"), list(itertools.product(sorted(TERMINAL_RUN_STATES), RunState)))
def test_a_run_that_is_over_stays_as_it_ended_unless_it_is_resumed(before, after):
    resumed = (before, after) == (RunState.FAILURE, RunState.STARTED)
    assert is_legal_run_change(before, after) == (before == after or resumed)


def test_a_cancelled_run_never_becomes_a_success():
    with pytest.raises(NotPossible, match="is CANCELED; it cannot become SUCCESS"):
        check_run_change("r", RunState.CANCELED, RunState.SUCCESS)


@pytest.mark.parametrize("state", list(RunState))
def test_staying_is_always_legal(state):
    check_run_change("r", state, state)
