"""Deletes stale .pyc files of modules that were edited twice within one second.

Python runs its compiled copy of a file as long as size and modification time are the same, and it notes the time in
whole seconds: of a file that is saved twice within one, with as many characters, it would run the first version for
ever, though we have noticed the second and loaded everything anew.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

# A second that is noted whole, and one for file systems and clocks that are not quite of one mind.
_YOUNG = timedelta(seconds=2)


def forget_young(files: Iterable[str], loaded_from: datetime) -> None:
    """Removes the compiled copies of files that may have been saved, or may be saved yet, in the second of the version
    that was loaded. `loaded_from` is when loading began: whatever was older than that then keeps its copy."""
    oldest = (loaded_from - _YOUNG).timestamp()
    for file in files:
        try:
            if os.stat(file).st_mtime >= oldest:  # noqa: PTH116
                Path(importlib.util.cache_from_source(file)).unlink(missing_ok=True)
        except (OSError, NotImplementedError):
            pass  # it is gone, or nothing can be written there: then there is no copy either
