"""When the value of another run is kept beside the one that replaces it, and where. Moves nothing itself.

Runs that overlap may have the same table or path. The one that comes second keeps what the first has stored there for
as long as that run is active, so that each run reads its own values. What is kept for runs that have ended is deleted
by the next write.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from orchestrator.definitions.contexts import OutputContext
from orchestrator.io_managers.identity import Identity

# The schema, or the directory, of the values that are kept.
KEPT = "orchestrator_kept"
_RUN = re.compile(r"[A-Za-z0-9_-]+")


def run_to_keep(found: Identity | None, context: OutputContext) -> str | None:
    """The run for which the value that is about to be replaced must be kept."""
    if found is None or found.run is None or found.run == context.run_id or not _RUN.fullmatch(found.run):
        return None
    return found.run if context.is_active(found.run) else None


def run_to_look_for(found: Identity | None, context: OutputContext) -> str | None:
    """The run whose value may have been kept, as it is not the one that was found."""
    if found is None or context.run_id is None or found.run == context.run_id:
        return None
    return context.run_id


def ended_runs(kept_for: Iterable[str], context: OutputContext) -> list[str]:
    """Those of the runs for which nothing needs to be kept anymore."""
    return [run for run in kept_for if run != context.run_id and not context.is_active(run)]
