"""How much memory a process has for itself: shared neither with the one it was forked from nor with other processes."""

from __future__ import annotations


def own_memory_kb(pid: int) -> int | None:
    """The unique set size of a process in kilobytes: what ending it would free. None when that cannot be known."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_full_info().uss) // 1024
    except (psutil.Error, OSError):
        return None


def growth_mb(pid: int, before_kb: int | None) -> int:
    """By how many megabytes a process has grown; 0 when that cannot be known."""
    now_kb = own_memory_kb(pid)
    return 0 if now_kb is None or before_kb is None else max(0, now_kb - before_kb) // 1024
