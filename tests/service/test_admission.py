"""Slots and tickets on a real file system, with real locks: what counts, what is void, and that two never share one."""

import os
import random
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from orchestrator.engine.admission import QueueLimits, TagLimitRule
from orchestrator.layout import RunsDir
from orchestrator.locks import try_lock
from orchestrator.model.queued_run import QueuedRun
from orchestrator.model.run import RunRecord, Trigger
from orchestrator.runlog import slots, tickets
from orchestrator.service import admission
from orchestrator.state_dir import prepare

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = QueueLimits(1, (TagLimitRule("db", 1, per_value=True),))


@pytest.fixture
def state(tmp_path):
    return prepare(tmp_path / "state")


def one(number, at=NOW, priority=0, **tags):
    return QueuedRun(
        run_id=f"{number:012}", created_at=at, priority=priority, tags=tags, pipeline="p", foreground=True, by_hand=True
    )


def begin(state, run):
    """What a command does when it is let in: creates the run and locks it."""

    def create():
        RunsDir(state.path).run(run.run_id).path.mkdir(exist_ok=True)
        return try_lock(RunsDir(state.path).run(run.run_id).owner_lock)

    return create


def attempt(state, run, step="outer.inner[a]"):
    directory = RunsDir(state.path).run(run.run_id).attempt(step, 1)
    directory.path.mkdir(parents=True)
    return try_lock(directory.alive)


def enter(state, run):
    return admission.start_if_admitted(state, run, LIMITS, begin(state, run), NOW)


def counting(state):
    return [run.run_id for run in slots.holders(state)]


def test_a_slot_is_held_by_an_owner_and_then_by_what_is_still_alive_of_the_run(state):
    first, second = one(1, db="x"), one(2, db="x")
    lock = enter(state, first)
    assert enter(state, second).reason == f"1 of 1 runs with db=x are going ({first.run_id})"
    alive = attempt(state, first)
    lock.release()
    assert counting(state) == [first.run_id], "its owner is dead, and a step of it still writes"
    assert isinstance(enter(state, second), admission.Blocked)
    assert not isinstance(enter(state, first), admission.Blocked), "who takes it over needs no second slot"
    try_lock(RunsDir(state.path).run(first.run_id).owner_lock)
    alive.release()


def test_a_killed_run_frees_its_slot_and_its_file_is_swept_by_the_next(state):
    first, second = one(1, db="x"), one(2, db="x")
    enter(state, first).release()
    assert counting(state) == []
    assert (RunsDir(state.path).slots / first.run_id).exists()
    lock = enter(state, second)
    assert [path.name for path in RunsDir(state.path).slots.iterdir()] == [second.run_id]
    lock.release()


def test_a_run_without_limits_needs_no_admission_and_counts_all_the_same(state):
    blocker = slots.try_admission(state)
    free = one(1)
    lock = enter(state, free)
    assert counting(state) == [free.run_id]
    blocked = enter(state, one(2, db="x"))
    assert blocked.is_momentary
    assert f"by process {os.getpid()}" in blocked.reason
    blocker.release()
    lock.release()


@pytest.mark.parametrize("content", [b"", b"\0\xff", b"[]", b'{"run_id": 1}'])
def test_a_damaged_slot_counts_by_the_record_of_its_run(state, content):
    run = one(1, db="x")
    lock = enter(state, run)
    (RunsDir(state.path).slots / run.run_id).write_bytes(content)
    assert counting(state) == [run.run_id]
    record = RunRecord(
        run_id=run.run_id,
        pipeline="p",
        location="main",
        mode="default",
        created_at=NOW,
        trigger=Trigger(),
        tags={"db": "x"},
    )
    RunsDir(state.path).run(run.run_id).run_json.write_bytes(msgspec.json.encode(record))
    assert isinstance(enter(state, one(2, db="x")), admission.Blocked)
    lock.release()


def test_foreign_things_in_the_directories_disturb_nobody(state):
    for directory in (RunsDir(state.path).slots, RunsDir(state.path).waiting):
        directory.mkdir()
        (directory / "notes.txt").write_text("hello")
        (directory / "folder").mkdir()
    lock = enter(state, one(1, db="x"))
    assert counting(state) == [one(1).run_id]
    assert tickets.tickets(state) == []
    lock.release()


def test_a_ticket_is_void_once_its_command_is_dead(state):
    run = one(1, db="x")
    ticket = tickets.HeldTicket(state, run, Trigger())
    ticket.note("for something long, very long")
    ticket.note("short")
    assert [(one.run, one.reason) for one in tickets.tickets(state)] == [(run, "short")]
    ticket._lock.release()  # as the kernel does when it dies
    assert tickets.tickets(state) == []
    assert list(RunsDir(state.path).waiting.iterdir()) == []


def test_who_came_first_gets_the_slot_and_who_is_suspended_holds_nobody_up(state):
    early, late = one(1, db="x"), one(2, at=NOW + timedelta(seconds=1), db="x")
    path = RunsDir(state.path).waiting / early.run_id
    waiter = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time, msgspec\n"
            "from orchestrator.runlog.tickets import HeldTicket\n"
            "from orchestrator.state_dir import prepare\n"
            "from orchestrator.model.run import Trigger\n"
            "from orchestrator.model.queued_run import QueuedRun\n"
            "from pathlib import Path\n"
            "run = msgspec.json.decode(sys.argv[2], type=QueuedRun)\n"
            "HeldTicket(prepare(Path(sys.argv[1])), run, Trigger()).note('x')\n"
            "print('ready', flush=True)\n"
            "time.sleep(60)",
            str(state.path),
            msgspec.json.encode(early).decode(),
        ],
        stdout=subprocess.PIPE,
    )
    try:
        assert waiter.stdout.readline() == b"ready\n"
        assert "come first" in enter(state, late).reason
        urgent = one(3, at=late.created_at, priority=1, db="x")
        assert admission.reason_to_wait(state, urgent, LIMITS, NOW) is None
        waiter.send_signal(signal.SIGSTOP)
        os.waitpid(waiter.pid, os.WUNTRACED)
        assert admission.reason_to_wait(state, late, LIMITS, NOW) is None
        waiter.send_signal(signal.SIGCONT)
        waiter.kill()
        waiter.wait()
        assert path.exists()
        enter(state, late).release()
        assert not path.exists()
    finally:
        waiter.kill()
        waiter.communicate()


def test_claims_of_the_queue_count_only_while_there_is_a_daemon(state):
    queued = one(1, db="x")
    mine = one(2, at=NOW + timedelta(seconds=1), db="x")
    tickets.publish_claims(state, [queued])
    assert admission.reason_to_wait(state, mine, LIMITS, NOW) is None
    daemon = try_lock(state.daemon_lock)
    daemon.write_note(str(os.getpid()).encode())
    assert "come first" in admission.reason_to_wait(state, mine, LIMITS, NOW)
    RunsDir(state.path).queue_claims.write_text("damaged")
    assert admission.reason_to_wait(state, mine, LIMITS, NOW) is None
    tickets.publish_claims(state, [])
    assert not RunsDir(state.path).queue_claims.exists()
    daemon.release()


@pytest.mark.parametrize("seed", range(20))
def test_in_any_interleaving_of_commands_no_limit_is_exceeded(state, seed):
    """Commands that try, wait, work, end, die with and without a live step, in random order. The count is kept here."""
    rng = random.Random(seed)
    coming = [one(n, at=NOW + timedelta(seconds=n), db=rng.choice("xy"), user="u") for n in range(12)]
    rules = QueueLimits(1, (TagLimitRule("db", 1, per_value=True), TagLimitRule("user", rng.choice([1, 2]))))
    working, orphans, waiting = {}, {}, {}
    done = 0
    for _ in range(400):
        run = rng.choice(coming)
        if run.run_id in working:
            lock, alive = working.pop(run.run_id)
            end = rng.choice(["ends", "is killed", "is killed, and its step goes on"])
            if end == "is killed, and its step goes on":
                orphans[run.run_id] = (run, alive)
            else:
                alive.release()
            if end == "ends":
                slots.drop_slot(state, run.run_id)
            lock.release()
            coming.remove(run)
            done += 1
        elif run.run_id in waiting and rng.random() < 0.2:
            waiting.pop(run.run_id).close()
        else:
            found = admission.start_if_admitted(state, run, rules, begin(state, run), NOW)
            if isinstance(found, admission.Blocked):
                if run.run_id not in waiting:
                    waiting[run.run_id] = tickets.HeldTicket(state, run, Trigger())
            else:
                working[run.run_id] = (found, attempt(state, run))
                if run.run_id in waiting:
                    waiting.pop(run.run_id).close()
        if orphans and rng.random() < 0.3:
            orphans.pop(rng.choice(list(orphans)))[1].release()
        going = [one for one in coming if one.run_id in working] + [run for run, _ in orphans.values()]
        for value in "xy":
            assert sum(run.tags["db"] == value for run in going) <= 1
        assert len(going) <= rules.tag_limits[1].limit
        assert sorted(counting(state)) == sorted(run.run_id for run in going)
        if not coming:
            break
    assert done == 12, "everybody had a turn"
    for _, alive in orphans.values():
        alive.release()
