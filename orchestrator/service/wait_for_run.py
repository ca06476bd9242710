"""Waiting for a run to be over. Does nothing towards it."""

from __future__ import annotations

import time

from orchestrator.clock import monotonic
from orchestrator.errors import NotPossible, TimedOut
from orchestrator.model.run import RunDetail
from orchestrator.model.states import TERMINAL_RUN_STATES
from orchestrator.runlog.run_log import RunLog
from orchestrator.service.history import detail_of, progress_of

_PAUSE_S = 0.1
# An owner that died leaves its run unfinished for ever; one that is only just starting has not locked it yet.
_UNDRIVEN_PATIENCE_S = 5.0


def wait_for(run_log: RunLog, timeout: float | None, started: float) -> RunDetail:
    """The run once it is over. Raises NotPossible when its owner is gone, and TimedOut
    `timeout` seconds after `started`: the monotonic time at which the caller began to wait."""
    undriven_since: float | None = None
    size: int | None = -1
    while True:
        now_size = run_log.size()
        if now_size != size:  # nothing new in the journal, nothing new to read
            size = now_size
            if progress_of(run_log).status in TERMINAL_RUN_STATES:
                return detail_of(run_log)
        undriven_since = None if run_log.is_owned() else undriven_since or monotonic()
        if undriven_since is not None and monotonic() - undriven_since > _UNDRIVEN_PATIENCE_S:
            raise NotPossible(
                f"Run {run_log.run_id} has no owner process: it has exited.",
                hint=f"Continue it: orchestrator runs resume {run_log.run_id}",
            )
        if timeout is not None and monotonic() - started > timeout:
            raise TimedOut(f"Run {run_log.run_id} is not over after {timeout:g} seconds.")
        time.sleep(_PAUSE_S)
