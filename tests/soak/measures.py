"""What is measured of the daemon and of its state, from outside: through /proc and the file system."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """One look at the daemon's process and at everything below it."""

    pss_kb: int
    descriptors: int
    processes: int
    zombies: int


def sample(pid):
    """A look at a daemon; None if it has ended meanwhile."""
    try:
        below = list(descendants(pid))
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
        return Sample(pss_kb(pid), descriptors, len(below), sum(state_of(one) == "Z" for one in below))
    except OSError:
        return None


def pss_kb(pid):
    """Memory of one process with its share of what it shares, libraries aside: their pages are counted by how many
    other processes have them at that moment, and would grow whenever another program of ours ends."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1])
    return 0


def descendants(pid):
    """The processes below one, however deep."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in map(int, children):
        yield child
        yield from descendants(child)


def state_of(pid):
    """R, S, T, Z ... as the kernel has it; empty for a process that has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def size_of(directory):
    """The bytes of all files below a directory."""
    return sum(path.lstat().st_size for path in Path(directory).rglob("*") if path.is_file())


def median(values):
    """The middle one; values are not interpolated."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2]
