"""Exit codes and signals in words."""

from __future__ import annotations

import signal


def how_it_ended(code: int, *, guess: bool = True) -> str:
    """ "ended with exit code 3" or, for a negative number, the signal that killed it, with a guess why."""
    if code >= 0:
        return f"ended with exit code {code}"
    hint = " (out of memory, perhaps: the kernel kills like this)" if guess and code == -signal.SIGKILL else ""
    return f"was killed by {_signal_name(-code)}{hint}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no names here
        return f"signal {number}"
