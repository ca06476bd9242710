"""Says which libraries native threads of this process belong to, by what is on their stacks. Linux only."""

from __future__ import annotations

import itertools
import os
import re
import sys
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

# What is on every stack and says nothing about whose thread it is.
_EVERYWHERE = re.compile(r"/(ld-|libc[.-]|libm[.-]|libpthread|libstdc\+\+|libgcc_s|libpython|librt|libdl)[^/]*$|^\[|^$")
TASKS = Path("/proc/self/task")
# glibc keeps its record of a thread (struct pthread) in the last page of the thread's stack. On x86-64 the record's
# first and third word are its own address; the thread's id and the function that it started with stand further on.
_PAGE = 4096
_LONGEST_RECORD = 288


class Region(Struct, frozen=True):
    """A stretch of this process's memory, with the file that is mapped there."""

    start: int
    end: int
    flags: str
    library: str


def read_memory_map() -> list[Region]:
    """The regions of this process's memory, by address."""
    regions = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split(None, 5)
        start, _, end = fields[0].partition("-")
        library = fields[5].strip() if len(fields) > 5 else ""
        regions.append(Region(int(start, 16), int(end, 16), fields[1], library))
    return regions


def libraries_of(tid: int, memory: list[Region]) -> set[str] | None:
    """The libraries that a thread belongs to; None when that cannot be found.

    A waiting thread belongs to those that its stack has return addresses into. The stack of a running one cannot be
    read: it belongs to the library of the function it started with. Raises OSError when the thread has ended or may not
    be looked at.
    """
    fields = (TASKS / str(tid) / "syscall").read_text().split()
    if len(fields) < 3:
        return libraries_of_start(tid, memory) or None
    return _libraries_on_stack(int(fields[-2], 16), memory)


def _libraries_on_stack(pointer: int, memory: list[Region]) -> set[str] | None:
    stack = _region_of(pointer, memory)
    if stack is None:
        return None
    found: set[str] = set()
    for size in (4096, 65536):  # the nearest frames say most; further up there may be remains of finished calls
        found = _libraries_in(_words(pointer, min(size, stack.end - pointer)), memory)
        if found:
            break
    return found


def libraries_of_start(tid: int, memory: list[Region]) -> set[str]:
    """Empty where threads are recorded in another way.

    OpenBLAS, which numpy brings, lets its threads spin for a tenth of a second after they were made. Waiting until they
    sleep would be a sixth of the time that a run of one step takes.
    """
    for below, region in itertools.pairwise(memory):
        is_stack = below.flags.startswith("---") and below.end == region.start and region.flags.startswith("rw")
        if not is_stack or region.library:
            continue
        first = region.end - _PAGE
        words = _words(first, _PAGE)
        for number in range(len(words) - 2):
            if words[number] == words[number + 2] == first + 8 * number:
                record = words[number + 3 : number + _LONGEST_RECORD]
                if any(tid in (word & 0xFFFFFFFF, word >> 32) for word in record):
                    return _libraries_in(record, memory)
    return set()


def _libraries_in(words: Iterable[int], memory: list[Region]) -> set[str]:
    """The libraries whose code these words point into."""
    regions = (_region_of(word, memory) for word in words)
    found = {region.library for region in regions if region is not None and "x" in region.flags}
    executable = os.path.realpath(sys.executable)
    return {library for library in found if library != executable and not _EVERYWHERE.search(library)}


def _region_of(address: int, memory: list[Region]) -> Region | None:
    index = bisect_right(memory, address, key=_start) - 1
    return memory[index] if index >= 0 and address < memory[index].end else None


def _start(region: Region) -> int:
    return region.start


def _words(address: int, size: int) -> memoryview:
    with open("/proc/self/mem", "rb", buffering=0) as file:  # noqa: PTH123 (unbuffered: it must not read beyond)
        file.seek(address)
        data = file.read(size)
    return memoryview(data[: len(data) & ~7]).cast("Q")
