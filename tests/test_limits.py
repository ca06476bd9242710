"""What the operating system lets a process have, tried in a process that has little."""

import errno
import resource
import subprocess
import sys
import textwrap

import pytest

from orchestrator.engine.admission import DESCRIPTORS_PER_RUN, DESCRIPTORS_RESERVED, room_for_runs
from orchestrator.limits import hint_for, what_ran_out


def in_child(code, soft, hard):
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], preexec_fn=limit, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_limit_is_raised_as_far_as_it_may_be():
    code = """
        import resource
        from orchestrator.limits import raise_file_limit
        raise_file_limit()
        print(*resource.getrlimit(resource.RLIMIT_NOFILE))
    """
    assert in_child(code, 64, 512) == ["512", "512"]
    assert in_child(code, 64, 64) == ["64", "64"]


def test_what_is_free_is_counted_down_to_nothing():
    code = """
        import os
        from orchestrator.limits import free_descriptors
        before = free_descriptors()
        kept = [os.open(os.devnull, os.O_RDONLY) for _ in range(10)]
        print(before - free_descriptors())
        try:
            while True:
                kept.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            print(free_descriptors())
    """
    assert in_child(code, 64, 64) == ["10", "0"]


@pytest.mark.parametrize(
    ("free", "active", "room"),
    [
        (0, 0, 1),
        (0, 1, 0),
        (DESCRIPTORS_RESERVED, 3, 0),
        (DESCRIPTORS_RESERVED + DESCRIPTORS_PER_RUN, 3, 1),
        (DESCRIPTORS_RESERVED + 10 * DESCRIPTORS_PER_RUN, 0, 10),
    ],
)
def test_runs_begin_while_there_are_descriptors_for_them(free, active, room):
    assert room_for_runs(free, active) == room


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM])
def test_what_has_run_out_is_told_with_a_remedy(number):
    assert what_ran_out(OSError(number, "x"))
    assert hint_for(OSError(number, "x"))
    assert hint_for(OSError(errno.ENOENT, "x")) is None
    assert what_ran_out(OSError(errno.ENOENT, "x")) is None


def test_memory_that_python_cannot_get_counts_as_run_out():
    assert what_ran_out(MemoryError()) == "there is no memory left"
    assert hint_for(MemoryError())
