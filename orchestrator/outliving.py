"""Child processes that are meant to outlive the command that started them."""

from __future__ import annotations

import subprocess


class OutlivingProcess(subprocess.Popen[bytes]):
    """A child process that may still run when nothing refers to it any more: no ResourceWarning says so."""

    def __del__(self) -> None:
        # The default would warn. All else it does is needed: the child is reaped once another one is started.
        super().__del__(_warn=_keep_quiet)  # type: ignore[call-arg]


def _keep_quiet(*_: object, **__: object) -> None:
    """Takes the place of `warnings.warn`."""
