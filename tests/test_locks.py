"""Locks belong to a process, and die with it."""

import os
import signal
import subprocess
import sys

import pytest

from orchestrator.locks import is_locked, read_note, try_lock

HOLD = """
import sys
from pathlib import Path
from orchestrator.locks import try_lock
lock = try_lock(Path(sys.argv[1]))
lock.write_note(b"held")
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.lock"


@pytest.fixture
def holder(path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.communicate()


def test_only_one_holds_a_lock(path):
    lock = try_lock(path)
    assert try_lock(path) is None
    lock.release()
    assert try_lock(path) is not None


def test_a_lock_is_seen_from_another_process(path, holder):
    assert is_locked(path)
    assert try_lock(path) is None
    assert read_note(path) == "held"


def test_a_lock_ends_with_its_holder_whatever_killed_it(path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert not is_locked(path)


def test_asking_does_not_take_the_lock(path, holder):
    holder.kill()
    holder.wait()
    assert not is_locked(path)
    assert try_lock(path) is not None


def test_there_is_no_lock_without_a_file(path):
    assert not is_locked(path)
    assert read_note(path) == ""


def test_a_forked_child_does_not_keep_the_lock(path):
    lock = try_lock(path)
    ready, says_ready = os.pipe()
    until_closed, keeps_open = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(keeps_open)
        os.write(says_ready, b"!")
        os.read(until_closed, 1)
        os._exit(0)
    os.read(ready, 1)
    lock.release()
    try:
        assert not is_locked(path)
    finally:
        os.close(keeps_open)
        os.waitpid(child, 0)


def test_a_forked_child_that_ends_does_not_unlock(path):
    lock = try_lock(path)
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert is_locked(path)
    lock.release()
