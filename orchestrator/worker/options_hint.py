"""Suggests the option that was meant, when a call of one of our classes fails on an unknown one."""

from __future__ import annotations

import inspect
import re
import sys
import traceback

from orchestrator.errors import near_misses

_UNEXPECTED = re.compile(r"unexpected keyword argument '(\w+)'", re.IGNORECASE)


def options_hint(error: BaseException) -> str | None:
    """What the options of the class are that was called, or which is near; None for any other error."""
    said = _UNEXPECTED.search(str(error)) if type(error) is TypeError else None
    frames = traceback.extract_tb(error.__traceback__)
    if said is None or not frames:
        return None
    package = sys.modules.get("orchestrator")
    for word in re.findall(r"\w+(?=\()", f"{error} {frames[-1].line}".replace(".__init__", "")):
        found = getattr(package, word, None) if word in getattr(package, "__all__", ()) else None
        if isinstance(found, type) and found.__module__.startswith("orchestrator."):
            options = list(inspect.signature(found).parameters)
            if said[1] not in options:
                near = near_misses(said[1], options, "option")
                return f"{word}: {near}" if near.startswith("Did you mean") else f"{word} takes {', '.join(options)}."
    return None
