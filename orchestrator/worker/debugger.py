"""`breakpoint()` where there is no terminal: says what to do instead of failing with the debugger's own error."""

from __future__ import annotations

import os
import sys
from typing import Any

from orchestrator.worker.errors import NO_TERMINAL

# Names of debuggers that ask at the terminal.
_AT_THE_TERMINAL = frozenset({"", "pdb.set_trace", "ipdb.set_trace", "pudb.set_trace", "IPython.embed"})


class NoTerminal(Exception):
    """A debugger was started in a process without a terminal."""


def refuse_breakpoints() -> None:
    """Has `breakpoint()` raise NoTerminal in this process, unless PYTHONBREAKPOINT names a debugger that needs none."""
    sys.breakpointhook = _breakpoint


def _breakpoint(*arguments: Any, **options: Any) -> Any:
    if os.environ.get("PYTHONBREAKPOINT", "") in _AT_THE_TERMINAL:
        raise NoTerminal(NO_TERMINAL)
    return sys.__breakpointhook__(*arguments, **options)
