"""Why a daemon does not answer, told from outside."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator import heartbeat
from orchestrator.heartbeat import STOPPED, daemon_pid, is_suspended, last_heartbeat, touch, unresponsive_error
from orchestrator.locks import try_lock
from orchestrator.state_dir import prepare

NOW = datetime(2026, 3, 30, 9, tzinfo=UTC)


@pytest.fixture
def state(tmp_path):
    return prepare(tmp_path / "state")


@pytest.fixture
def sleeper():
    """A process that does nothing, in the place of a daemon."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def held(state, sleeper):
    """A state directory whose daemon that process is."""
    lock = try_lock(state.daemon_lock)
    lock.write_note(str(sleeper.pid).encode())
    yield state
    lock.release()


def suspend(process):
    process.send_signal(signal.SIGSTOP)
    deadline = time.monotonic() + 20
    while not is_suspended(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_without_a_lock_there_is_no_daemon_whatever_lies_about(state):
    state.daemon_lock.write_text("4711")
    state.daemon_json.write_text("{}")
    assert daemon_pid(state) is None
    assert "ended while it was asked" in unresponsive_error(state, NOW).message


def test_a_beat_is_seen_from_outside(held):
    assert last_heartbeat(held) is None
    held.daemon_json.write_text("{}")
    touch(held, NOW)
    assert last_heartbeat(held) == NOW


@pytest.mark.parametrize(
    ("ago", "suspended", "message", "hint"),
    [
        (None, False, "does not answer.", "starting"),
        (timedelta(seconds=3), False, "does not answer.", "busy"),
        (2 * STOPPED, False, "hangs: it does not answer, and its loop has not turned for 40.0s.", "kill -9"),
        (timedelta(seconds=3), True, "is suspended.", "kill -CONT"),
        (timedelta(hours=3), True, "is suspended, and its loop has not turned for 3h 00m.", "kill -CONT"),
    ],
)
def test_the_reason_and_the_remedy(held, sleeper, monkeypatch, ago, suspended, message, hint):
    if ago is not None:
        held.daemon_json.write_text("{}")
        monkeypatch.setattr(heartbeat, "monotonic", lambda: 90_000 - ago.total_seconds())
        touch(held, NOW - ago)
    monkeypatch.setattr(heartbeat, "monotonic", lambda: 90_000.0)
    if suspended:
        suspend(sleeper)
    why = unresponsive_error(held, NOW)
    assert why.exit_code == 7
    assert why.message == f"The daemon (process {sleeper.pid}) {message}"
    assert hint in why.hint


@pytest.mark.parametrize("jump", [timedelta(days=730), timedelta(hours=-3)], ids=["forwards", "backwards"])
def test_a_clock_that_was_set_makes_nobody_think_that_the_loop_stands_still(held, monkeypatch, jump):
    held.daemon_json.write_text("{}")
    monkeypatch.setattr(heartbeat, "monotonic", lambda: 90_000.0)
    touch(held, NOW)
    monkeypatch.setattr(heartbeat, "monotonic", lambda: 90_000.5)
    assert "not turned" not in unresponsive_error(held, NOW + jump).message
    assert heartbeat.is_turning(held, NOW + jump)
    monkeypatch.setattr(heartbeat, "monotonic", lambda: 90_060.0)
    assert "not turned for 1m 00s" in unresponsive_error(held, NOW + jump).message
    assert not heartbeat.is_turning(held, NOW + jump)


def test_what_an_older_version_has_written_goes_by_the_clock(held):
    held.daemon_json.write_text("{}")
    os.utime(held.daemon_json, (NOW.timestamp(), NOW.timestamp()))
    assert "not turned for 1m 00s" in unresponsive_error(held, NOW + timedelta(minutes=1)).message


def test_a_process_that_goes_on_is_suspended_no_more(sleeper):
    suspend(sleeper)
    sleeper.send_signal(signal.SIGCONT)
    deadline = time.monotonic() + 20
    while is_suspended(sleeper.pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("pid", [0, 2**22 + 1])
def test_a_process_that_is_not_there_is_not_suspended(pid):
    assert not is_suspended(pid)
    assert not is_suspended(os.getpid())
