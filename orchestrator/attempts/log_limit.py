"""Keeps what an attempt prints from filling the disk: the owner truncates a log file that passes the limit, and the log
says so. Works from outside, so that it holds for C code and for programs that the step starts.
"""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.layout import AttemptDir
from orchestrator.regular import open_regular


class LogLimit:
    """The limit on each log file of one attempt, in megabytes."""

    def __init__(self, directory: AttemptDir, megabytes: int) -> None:
        self._paths = (directory.stdout, directory.stderr)
        self._most = megabytes << 20
        self._notice = (
            f"\n[orchestrator: this attempt has printed more than {megabytes} MB here; the rest is not kept."
            " `max_log_mb` of the location sets the limit.]\n"
        ).encode()

    def enforce(self) -> None:
        """Truncates what is over the limit. Call it again while the attempt runs: a program may go on printing."""
        for path in self._paths:
            try:
                if path.stat().st_size > self._most + len(self._notice):
                    self._cut(path)
            except OSError:
                pass  # there is no such file yet, or it is no file: nothing that could fill the disk

    def _cut(self, path: Path) -> None:
        descriptor = open_regular(path, os.O_WRONLY)
        try:
            os.ftruncate(descriptor, self._most)
            os.pwrite(descriptor, self._notice, self._most)
        finally:
            os.close(descriptor)
