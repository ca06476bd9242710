"""How states look: a symbol for those who see no colour, and a colour. Writes nothing."""

from __future__ import annotations

from orchestrator.model.states import RunState, StepState

# ANSI colour codes, so that plain lines need no library; rich understands the names beside them.
# No blue: it cannot be read on a black palette.
RED, GREEN, YELLOW, CYAN, DIM, BOLD = "31", "32", "33", "36", "2", "1"

STEP_STYLES: dict[StepState, tuple[str, str]] = {
    StepState.WAITING: ("·", DIM),
    StepState.READY: ("·", DIM),
    StepState.RUNNING: ("▸", CYAN),
    StepState.RETRYING: ("↻", YELLOW),
    StepState.SUCCESS: ("✓", GREEN),
    StepState.FAILURE: ("✗", RED),
    StepState.SKIPPED: ("○", DIM),
    StepState.ABANDONED: ("−", YELLOW),
    StepState.CANCELED: ("■", YELLOW),
    StepState.REUSED: ("=", DIM),
}

RUN_STYLES: dict[RunState, tuple[str, str]] = {
    RunState.QUEUED: ("…", DIM),
    RunState.STARTING: ("▸", CYAN),
    RunState.STARTED: ("▸", CYAN),
    RunState.SUCCESS: ("✓", GREEN),
    RunState.FAILURE: ("✗", RED),
    RunState.CANCELING: ("■", YELLOW),
    RunState.CANCELED: ("■", YELLOW),
}

# What a state is called in a sentence about a step.
STEP_WORDS: dict[StepState, str] = {
    StepState.WAITING: "waiting",
    StepState.READY: "ready",
    StepState.RUNNING: "running",
    StepState.RETRYING: "to be retried",
    StepState.SUCCESS: "succeeded",
    StepState.FAILURE: "failed",
    StepState.SKIPPED: "skipped",
    StepState.ABANDONED: "abandoned",
    StepState.CANCELED: "canceled",
    StepState.REUSED: "reused",
}
