"""What begins before the command line is imported: the loading of the code that `orchestrator run NAME` will need.

Importing the rest of this program takes as long again as finding out how to start a location's process.
"""

from __future__ import annotations

from collections.abc import Sequence


def begin_ahead(arguments: Sequence[str]) -> None:
    """Starts the locations of a run in the workspace of the working directory. Does nothing for other command lines,
    for help, and for a workspace that is named: that is for the command to find."""
    if len(arguments) < 2 or arguments[0] != "run" or arguments[1].startswith("-"):
        return
    if any(word in ("-h", "--help") or word.startswith(("-w", "--workspace")) for word in arguments):
        return
    from orchestrator.service.location_specs import start_ahead  # not for `--help`

    start_ahead(arguments[1])
