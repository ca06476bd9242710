"""Which states there are."""

from orchestrator.model.states import ACTIVE_RUN_STATES, TERMINAL_RUN_STATES, RunState


def test_every_state_is_queued_active_or_over():
    assert set(RunState) == {RunState.QUEUED} | ACTIVE_RUN_STATES | TERMINAL_RUN_STATES
