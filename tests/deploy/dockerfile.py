"""Reads deploy/Dockerfile, as far as the tests carry it out without Docker."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCKERFILE = ROOT / "deploy" / "Dockerfile"


def instructions(path=DOCKERFILE):
    """Its instructions in order, as pairs: the name, and the rest with its lines joined."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line]


def stages(found):
    """The instructions of each stage: first what stands before any, then one list for each FROM."""
    result = [[]]
    for name, rest in found:
        if name == "FROM":
            result.append([])
        result[-1].append((name, rest))
    return result


def values_of(stage, name):
    """What the instructions of that name say, in order."""
    return [rest for one, rest in stage if one == name]


def variables(stage):
    """The environment variables that a stage sets."""
    pairs = [word.split("=", 1) for rest in values_of(stage, "ENV") for word in shlex.split(rest)]
    return dict(pairs)


def without_mounts(command):
    """The command of a RUN without its options."""
    return re.sub(r"^(--\S+\s+)+", "", command)
