"""Whether the process as it is can be forked, and forking it."""

from __future__ import annotations

import threading

SPAWN_HINT = (
    'Set `isolation: spawn` on the location, or @step(isolation="spawn") on the steps, or start no threads at import.'
)


def fork_problem() -> str | None:
    """Why children of this process could hang or go wrong, in words for the user; None when nothing says they could."""
    threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if threads:
        return f"it started {len(threads)} thread{'s' if len(threads) > 1 else ''} ({', '.join(threads[:5])})"
    return None
