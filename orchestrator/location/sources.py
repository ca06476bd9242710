"""Which files a location's code was loaded from: those whose change means that it should be loaded again."""

from __future__ import annotations

import sys
from pathlib import Path

from orchestrator.location.loading import Target

_INSTALLED = ("site-packages", "dist-packages")


def source_files(target: Target) -> tuple[str, ...]:
    """The files of the loaded modules that lie in the location's directory, installed packages left out."""
    root = str(Path(target.working_dir).resolve())
    found = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.startswith(root) and not any(part in file for part in _INSTALLED):
            found.add(file)
    return tuple(sorted(found))
