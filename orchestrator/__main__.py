"""Entry point of the command line: `orchestrator` and `python -m orchestrator`. Does nothing but begin."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Runs the command named on the command line, and exits with its code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)
    from orchestrator.cli.ahead import begin_ahead
    from orchestrator.init_process import run_as_child_of_init

    run_as_child_of_init()
    begin_ahead(sys.argv[1:])
    from orchestrator.cli.app import run_command_line

    run_command_line()


def _end(*_: object) -> None:
    """Ends on Ctrl-C while this program is still being imported: the locations that were started end by
    themselves when this process is gone."""
    os.write(2, b"Interrupted.\n")
    os._exit(130)


if __name__ == "__main__":
    main()
