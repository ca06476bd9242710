"""How much memory a process has for itself: not shared with the one it was forked from, and not code of libraries. How
much is too much is for others to say.
"""

from __future__ import annotations

from pathlib import Path


def own_memory_kb(pid: int) -> int | None:
    """The anonymous memory of a process in kilobytes; None when it is gone, or on systems that do not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("RssAnon:")), None)


def growth_mb(pid: int, before_kb: int | None) -> int:
    """By how many megabytes a process has grown; 0 when that cannot be known."""
    now_kb = own_memory_kb(pid)
    return 0 if now_kb is None or before_kb is None else max(0, now_kb - before_kb) // 1024
