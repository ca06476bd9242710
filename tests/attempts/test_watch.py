"""What an attempt's directory says: every row of the truth table, and what happens between its rows."""

import json
import os
import signal
import subprocess
import sys

import pytest

from orchestrator.attempts.observation import Phase, death
from orchestrator.attempts.watch import AttemptWatch, revoke
from orchestrator.layout import AttemptDir
from orchestrator.locks import try_lock
from orchestrator.model import events as ev
from orchestrator.model.attempt import handle_of, split_handle
from orchestrator.model.error_info import ErrorInfo
from orchestrator.model.events import encode_line
from orchestrator.model.states import RunState
from tests.damage.kinds import in_its_place
from tests.engine.lives import START

WORKS = """
import sys, time
from pathlib import Path
from orchestrator.layout import AttemptDir
from orchestrator.attempts.files import AttemptFiles
if "deaf" in sys.argv:
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
claim = AttemptFiles(AttemptDir(Path(sys.argv[1]))).claim()
print("claimed", flush=True)
time.sleep(60)
"""
COMMON = {"at": START, "step": "a", "attempt": 1}
BEGAN = ev.AttemptStarted(n=0, pid=1, host="here", **COMMON)
SUCCEEDED = ev.AttemptSucceeded(n=1, seconds=1.0, **COMMON)
FAILED = ev.AttemptFailed(n=1, seconds=1.0, error=ErrorInfo("E", "no"), **COMMON)


@pytest.fixture
def directory(tmp_path):
    path = tmp_path / "a" / "1"
    path.mkdir(parents=True)
    return AttemptDir(path)


@pytest.fixture
def process(directory):
    """A process that has claimed the attempt and works."""
    started = []

    def start(*arguments):
        command = [sys.executable, "-c", WORKS, directory.path, *arguments]
        working = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        started.append(working)
        assert working.stdout.readline() == "claimed\n"
        return working

    yield start
    for working in started:
        working.kill()
        working.wait()
        working.stdout.close()


def record(directory, *events):
    with directory.events.open("ab") as file:
        file.writelines(encode_line(event) for event in events)


def test_an_attempt_that_nobody_claimed_is_pending_as_long_as_somebody_may_start_it(directory):
    assert AttemptWatch(directory).look(parent_alive=True).phase is Phase.PENDING


def test_an_attempt_that_nobody_can_start_any_more_is_revoked_for_good(directory):
    assert AttemptWatch(directory).look(parent_alive=False).phase is Phase.REVOKED
    assert revoke(directory), "revoking twice is fine"
    claiming = subprocess.run([sys.executable, "-c", WORKS, directory.path], capture_output=True, text=True)
    assert "AlreadyClaimed" in claiming.stderr


def test_an_attempt_in_a_directory_that_was_never_made_is_revoked(tmp_path):
    assert AttemptWatch(AttemptDir(tmp_path / "never" / "1")).look(parent_alive=False).phase is Phase.REVOKED


@pytest.mark.parametrize("parent_alive", [True, False])
def test_an_attempt_whose_process_lives_is_running(directory, process, parent_alive):
    process()
    assert AttemptWatch(directory).look(parent_alive=parent_alive).phase is Phase.RUNNING
    assert not revoke(directory)


@pytest.mark.parametrize(("outcome", "phase"), [(SUCCEEDED, Phase.SUCCEEDED), (FAILED, Phase.FAILED)])
def test_an_outcome_ends_it_whatever_else_there_is(directory, process, outcome, phase):
    process()
    record(directory, BEGAN, outcome)
    seen = AttemptWatch(directory).look(parent_alive=True)
    assert (seen.phase, seen.events) == (phase, (BEGAN, outcome))


def test_events_are_told_once(directory, process):
    process()
    watch = AttemptWatch(directory)
    record(directory, BEGAN)
    assert watch.look(parent_alive=True).events == (BEGAN,)
    assert watch.look(parent_alive=True).events == ()
    record(directory, SUCCEEDED)
    assert watch.look(parent_alive=True).events == (SUCCEEDED,)


@pytest.mark.parametrize(("seen", "rest"), [(0, (BEGAN, SUCCEEDED)), (1, (SUCCEEDED,))])
def test_a_later_owner_is_told_only_what_the_journal_lacks(directory, seen, rest):
    record(directory, BEGAN, SUCCEEDED)
    assert AttemptWatch(directory, seen).look(parent_alive=False).events == rest


def test_a_torn_event_is_not_there_yet(directory, process):
    process()
    watch = AttemptWatch(directory)
    with directory.events.open("ab") as file:
        file.write(encode_line(BEGAN)[:-5])
    assert watch.look(parent_alive=True).events == ()
    with directory.events.open("ab") as file:
        file.write(encode_line(BEGAN)[-5:])
    assert watch.look(parent_alive=True).events == (BEGAN,)


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        pytest.param({"signal": 9}, "ProcessKilled", "SIGKILL (out of memory, perhaps", id="killed"),
        pytest.param({"signal": 11}, "ProcessKilled", "killed by SIGSEGV", id="segfault"),
        pytest.param({"signal": 63}, "ProcessKilled", "signal 63", id="a signal without a name"),
        pytest.param({"exit_code": 3}, "ProcessExited", "exit code 3", id="exited"),
        pytest.param({"exit_code": 0}, "ProcessExited", "exit code 0", id="exited quietly"),
    ],
)
def test_how_a_process_died_is_told_by_its_parent(directory, said, kind, words):
    directory.claim.write_text("1\n")
    directory.exit.write_text(json.dumps(said))
    seen = AttemptWatch(directory).look(parent_alive=True)
    assert (seen.phase, seen.error.kind) == (Phase.FAILED, kind)
    assert words in seen.error.message
    assert seen.error == death(said.get("signal"), said.get("exit_code"))


def test_an_outcome_that_came_just_before_the_end_counts(directory):
    directory.claim.write_text("1\n")
    directory.exit.write_text('{"signal": 9}')
    watch = AttemptWatch(directory)
    record(directory, BEGAN, SUCCEEDED)
    assert watch.look(parent_alive=True).phase is Phase.SUCCEEDED


def test_a_process_that_is_gone_and_had_no_parent_to_see_it_is_lost(directory, process):
    working = process()
    watch = AttemptWatch(directory)
    assert watch.look(parent_alive=False).phase is Phase.RUNNING
    os.kill(working.pid, signal.SIGKILL)
    working.wait()
    assert watch.look(parent_alive=False).phase is Phase.LOST


def test_a_living_parent_is_given_time_to_say_how_it_ended(directory, process):
    working = process()
    watch = AttemptWatch(directory)
    os.kill(working.pid, signal.SIGKILL)
    working.wait()
    assert watch.look(parent_alive=True).phase is Phase.RUNNING
    directory.exit.write_text('{"signal": 9}')
    assert watch.look(parent_alive=True).phase is Phase.FAILED


def test_stopping_asks_first(directory, process):
    working = process()
    AttemptWatch(directory).stop(grace=60)
    assert working.wait() == -signal.SIGTERM


def test_what_does_not_listen_is_killed_after_its_grace(directory, process):
    working = process("deaf")
    watch = AttemptWatch(directory)
    watch.stop(grace=60)
    assert watch.look(parent_alive=True).phase is Phase.RUNNING
    watch.stop(grace=0)
    assert working.wait() == -signal.SIGKILL


def test_stopping_what_has_not_begun_keeps_it_from_ever_beginning(directory):
    watch = AttemptWatch(directory)
    watch.stop(grace=60)
    assert watch.look(parent_alive=True).phase is Phase.REVOKED


def test_a_pid_that_has_passed_to_somebody_else_is_never_signalled(directory):
    """The claim names a living process that does not hold the lock: not the attempt's."""
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    directory.claim.write_text(f"{bystander.pid}\n")
    directory.alive.touch()
    AttemptWatch(directory).stop(grace=0)
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


BAD_LINES = {
    "garbage": b"\xff\xfe garbage\n",
    "zeros": b"\x00\x00\n",
    "nested too deep": b"[" * 100_000 + b"\n",
    "an event of another step": encode_line(ev.AttemptSucceeded(at=START, step="b", attempt=1, n=1, seconds=1.0)),
    "an event of another attempt": encode_line(ev.AttemptFailed(at=START, step="a", attempt=2, n=1, seconds=1.0,
                                                               error=ErrorInfo("E", "no"))),
    "an event of the run": encode_line(ev.RunFinished(at=START, status=RunState.SUCCESS)),
}  # fmt: skip


def write_raw(directory, line):
    with directory.events.open("ab") as file:
        file.write(line)


@pytest.mark.parametrize("bad", BAD_LINES.values(), ids=BAD_LINES)
def test_a_line_that_cannot_be_read_takes_neither_its_neighbors_nor_the_outcome_with_it(directory, bad):
    record(directory, BEGAN)
    write_raw(directory, bad)
    record(directory, SUCCEEDED)
    write_raw(directory, bad)
    seen = AttemptWatch(directory).look(parent_alive=True)
    assert seen.phase is Phase.SUCCEEDED
    first, unreadable, last = seen.events
    assert (first, last) == (BEGAN, SUCCEEDED)
    assert isinstance(unreadable, ev.EventUnreadable)
    assert (unreadable.step, unreadable.attempt, unreadable.n) == ("a", 1, 1)
    assert unreadable.reason


def test_events_behind_an_unreadable_line_are_told_once_however_they_arrive(directory, process):
    process()
    watch = AttemptWatch(directory)
    write_raw(directory, b"garbage\n")
    assert [type(event) for event in watch.look(parent_alive=True).events] == [ev.EventUnreadable]
    assert watch.look(parent_alive=True).events == ()
    record(directory, SUCCEEDED)
    assert watch.look(parent_alive=True).events == (SUCCEEDED,)


@pytest.mark.parametrize("dies", ["seen", "unseen"])
@pytest.mark.parametrize("bad", BAD_LINES.values(), ids=BAD_LINES)
def test_an_attempt_whose_outcome_may_be_unreadable_has_failed_and_is_not_lost(directory, bad, dies):
    """A lost attempt is repeated without being asked, and this one may well have done its work."""
    directory.claim.write_text("1\n")
    if dies == "seen":
        directory.exit.write_text('{"exit_code": 0}')
    record(directory, BEGAN)
    write_raw(directory, bad)
    seen = AttemptWatch(directory).look(parent_alive=dies == "seen")
    assert (seen.phase, seen.error.kind) == (Phase.FAILED, "EventsUnreadable")
    assert "line 2 of its events cannot be read" in seen.error.message


ANYTHING = ["a directory", "a FIFO", "a device", "a link in a circle", "garbage", "a list", "deep"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"lost": "it could not be started: no room"}, "it could not be started: no room"),
        ({"signal": 9, "lost": "before the step began"}, "was killed by SIGKILL"),
        ({"exit_code": 1, "lost": "before the step began"}, "ended with exit code 1 before the step began"),
    ],
)
def test_an_attempt_that_has_not_begun_is_lost_and_not_failed(directory, said, words):
    directory.exit.write_text(json.dumps(said))
    seen = AttemptWatch(directory).look(parent_alive=True)
    assert seen.phase is Phase.LOST
    assert words in seen.reason


@pytest.mark.parametrize("kind", ANYTHING)
@pytest.mark.parametrize("name", ["events", "claim", "exit", "alive"])
def test_whatever_lies_in_the_place_of_a_file_the_attempt_comes_to_an_end(directory, name, kind):
    if name not in ("claim", "events"):
        directory.claim.write_text("1\n")
    if name == "events":
        directory.claim.write_text("1\n")
        directory.exit.write_text('{"exit_code": 1}')
    in_its_place(getattr(directory, name), kind)
    watch = AttemptWatch(directory)
    watch.stop(grace=0)
    assert watch.look(parent_alive=False).phase in (Phase.FAILED, Phase.LOST)


@pytest.mark.parametrize("pid", ["0", "1", "-1", "", "12x", "9" * 70])
def test_a_claim_that_names_no_process_gets_nobody_killed(directory, pid):
    directory.claim.write_text(pid)
    lock = try_lock(directory.alive)
    watch = AttemptWatch(directory)
    watch.stop(grace=0)
    assert watch.look(parent_alive=False).phase is Phase.RUNNING
    lock.release()


@pytest.mark.parametrize("step", ["a", "outer.inner", "load[a.b-c]", "load[a][b]"])
def test_a_handle_can_be_taken_apart(step):
    assert split_handle(handle_of("run", step, 12)) == ("run", step, 12)
