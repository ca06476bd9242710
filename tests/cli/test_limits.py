"""Tag limits and foreground runs, with real processes: who waits, what it says, and that a slot is never given out
twice. The ledger that the steps write tells how many ran at a time.
"""

import signal

import pytest

from orchestrator.layout import RunsDir
from orchestrator.locks import try_lock
from tests.daemon.held import HELD, begun, ended, enqueue, go, statuses

POINTS = ("slot.taken",)
LIMITED = """
    locations: [{name: main, file: pipelines.py}]
    run_queue: {tag_limits: [{key: db, value: x, limit: 1}]}
"""


@pytest.fixture
def limited(bench):
    bench.write(HELD)
    return bench.settings(LIMITED)


def run(bench, what, *more, **environment):
    """A foreground run in the pool, left running."""
    arguments = ["run", "held", "--tag", "db=x", "--set", f"steps.hold.config.what={what}", *more]
    return bench.start(*arguments, to=bench.path / f"{what}.out", **environment)


def said(bench, what):
    return (bench.path / f"{what}.out").read_text()


def holds(bench, what):
    bench.wait_until(lambda: what in begun(bench), f"the beginning of {what}: {bench.ledger()}")


def waits(bench, what):
    bench.wait_until(lambda: "waiting: " in said(bench, what), f"{what} waits")


def most_at_a_time(bench):
    """How many steps the ledger says ran at once."""
    going = most = 0
    for line in bench.ledger():
        going += (":begin:" in line) - (":end:" in line)
        most = max(most, going)
    return most


def left_behind(bench):
    """What waits or holds a slot."""
    return [path.name for name in ("waiting", "slots") for path in (bench.state / name).glob("*")]


def test_many_commands_without_a_daemon_go_one_after_another(limited):
    """Each step is held until all the others say that they wait: none of them may have begun by then."""
    names = [f"r{number}" for number in range(5)]
    commands = [run(limited, name) for name in names]
    for done in range(5):
        limited.wait_until(lambda done=done: len(begun(limited)) > done, "the next one")
        going = begun(limited)[-1]
        for name in set(names) - set(begun(limited)):
            waits(limited, name)
        assert len(begun(limited)) == done + 1, "one began beside another"
        go(limited, going)
    assert [command.wait(timeout=60) for command in commands] == [0] * 5
    assert sorted(begun(limited)) == sorted(ended(limited)) == names
    assert most_at_a_time(limited) == 1
    assert left_behind(limited) == []


@pytest.mark.long
def test_reading_the_limits_and_taking_the_slot_is_one_step(limited):
    """A command is stopped when it has its slot and no run yet: another one must neither start nor give up."""
    reached = f"{POINTS[0]}@{limited.path}/reached"
    first = run(limited, "first", ORCHESTRATOR_CRASH_AT=reached, ORCHESTRATOR_CRASH_SIGNAL="SIGSTOP")
    limited.wait_until(lambda: (limited.path / "reached").exists(), "the first one has its slot")
    second = run(limited, "second")
    busy = f"another run is just being let in (by process {first.pid})"
    limited.wait_until(lambda: busy in said(limited, "second"), "the reason")
    assert begun(limited) == []
    first.send_signal(signal.SIGCONT)
    holds(limited, "first")
    limited.wait_until(lambda: "1 of 1 runs with db=x are going" in said(limited, "second"), "the new reason")
    assert begun(limited) == ["first"]
    go(limited)
    assert (first.wait(timeout=30), second.wait(timeout=30)) == (0, 0)
    assert most_at_a_time(limited) == 1


@pytest.mark.long
def test_a_run_that_waits_says_for_what_and_is_seen_everywhere(limited):
    first = run(limited, "first")
    holds(limited, "first")
    second = run(limited, "second")
    waits(limited, "second")
    (holder,) = [one["run_id"] for one in limited.json("runs", "list") if one["status"] == "STARTED"]
    (waiter,) = [one["run_id"] for one in limited.json("runs", "list") if one["status"] == "QUEUED"]
    reason = f"1 of 1 runs with db=x are going ({holder})"
    assert f"waiting: {reason}\n" in said(limited, "second")
    assert "--ignore-limits starts at once" in said(limited, "second")
    assert f"{waiter} waits: {reason}" in limited.here("runs", "list").ok().out
    assert f"{waiter}  {reason}" in limited.here("status").out
    assert f"It waits: {reason}" in limited.here("runs", "show", waiter[:8]).ok().out
    assert limited.json("runs", "show", waiter)["waits_for"].startswith(reason)
    assert limited.json("status")["waiting_in_terminals"][waiter].startswith(reason)
    assert limited.json("runs", "list", "--tag", "db=y") == []
    assert len(limited.json("runs", "list", "--status", "QUEUED", "--pipeline", "held", "--tag", "db=x")) == 1
    go(limited)
    assert (first.wait(timeout=30), second.wait(timeout=30)) == (0, 0)
    assert most_at_a_time(limited) == 1
    assert limited.json("runs", "show", waiter)["status"] == "SUCCESS"


@pytest.mark.long
def test_no_wait_exits_with_4_and_leaves_nothing(limited):
    holder = run(limited, "first")
    holds(limited, "first")
    refused = limited("run", "held", "--tag", "db=x", "--no-wait")
    assert refused.code == 4
    assert "A run of held cannot start now: 1 of 1 runs with db=x are going" in refused.err
    assert "--ignore-limits" in refused.err
    assert len(limited.json("runs", "list")) == 1
    assert list((limited.state / "waiting").glob("*")) == []
    outside = limited("run", "held", "--no-wait", "--set", "steps.hold.config.what=free", "--tag", "db=y", "--detach")
    assert outside.code == 2
    for other in (["--tag", "db=y"], []):
        (limited.path / "go-free").touch()
        limited("run", "held", "--no-wait", "--set", "steps.hold.config.what=free", *other).ok()
    go(limited)
    assert holder.wait(timeout=30) == 0


@pytest.mark.long
def test_ignoring_the_limits_starts_at_once_and_is_on_record(limited):
    holder = run(limited, "first")
    holds(limited, "first")
    (first,) = limited.json("runs", "list")
    beside = run(limited, "beside", "--ignore-limits")
    holds(limited, "beside")
    assert most_at_a_time(limited) == 2
    tag = {"orchestrator/ignored-limits": f"1 of 1 runs with db=x are going ({first['run_id']})"}
    shown = limited.json("runs", "show", "last")
    assert shown["tags"] == {"db": "x", **tag}
    assert "orchestrator/ignored-limits" in limited.here("runs", "show", "last").ok().out
    go(limited, "beside")
    assert beside.wait(timeout=30) == 0
    go(limited)
    assert holder.wait(timeout=30) == 0
    again = limited.json("run", "--rerun", shown["run_id"])
    assert again["tags"] == {"db": "x"}, "a later run of it obeys the limits again"
    assert limited("run", "held", "--ignore-limits").ok()
    assert limited.json("runs", "show", "last")["tags"] == {"orchestrator/ignored-limits": "nothing was in the way"}
    assert limited("run", "held", "--ignore-limits", "--no-wait").code == 2


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "runs cancel"])
@pytest.mark.sample(1)
def test_a_wait_that_is_interrupted_leaves_nothing(limited, how):
    holder = run(limited, "first")
    holds(limited, "first")
    waiter = run(limited, "second")
    waits(limited, "second")
    if how == "runs cancel":
        (waiting,) = [one["run_id"] for one in limited.json("runs", "list") if one["status"] == "QUEUED"]
        limited("runs", "cancel", waiting[:9]).ok()
    else:
        waiter.send_signal(signal.Signals[how])
    assert waiter.wait(timeout=30) == 130
    assert "Nothing was started." in said(limited, "second")
    assert "Traceback" not in said(limited, "second")
    assert [one["status"] for one in limited.json("runs", "list")] == ["STARTED"]
    assert len(left_behind(limited)) == 1
    go(limited)
    assert holder.wait(timeout=30) == 0


@pytest.mark.long
def test_a_killed_holder_frees_its_slot_as_soon_as_its_step_is_dead_too(limited):
    holder = run(limited, "first")
    holds(limited, "first")
    waiter = run(limited, "second")
    waits(limited, "second")
    killed = run(limited, "third")
    waits(limited, "third")
    killed.kill()
    killed.wait()
    holder.kill()
    holder.wait()
    assert limited("run", "held", "--tag", "db=x", "--no-wait").code == 4, "its step still writes"
    refused = limited("runs", "delete", limited.json("sql", "SELECT run_id FROM runs")[0]["run_id"], "--yes")
    assert refused.code == 4
    assert "orchestrator runs cancel" in refused.err
    go(limited, "first")
    go(limited, "second")
    assert waiter.wait(timeout=30) == 0
    assert begun(limited) == ["first", "second"]
    assert most_at_a_time(limited) == 1


@pytest.mark.long
def test_an_interrupted_run_needs_its_slot_again(limited):
    """Its step ended by itself after its owner had died: nothing of it is alive, and it is not over."""
    first = ["run", "chain", "--tag", "db=x", "--set", "steps.hold.config.what=first"]
    holder = limited.start(*first)
    holds(limited, "first")
    holder.kill()
    holder.wait()
    (interrupted,) = limited.json("sql", "SELECT run_id FROM runs")
    second = run(limited, "second")
    waits(limited, "second")
    go(limited, "first")
    holds(limited, "second")
    refused = limited("runs", "resume", interrupted["run_id"], "--no-wait")
    assert refused.code == 4
    assert "1 of 1 runs with db=x are going" in refused.err
    resumed = limited.start("runs", "resume", interrupted["run_id"], to=limited.path / "resumed.out")
    waits(limited, "resumed")
    assert "first:after" not in limited.ledger()
    go(limited)
    assert second.wait(timeout=30) == 0
    assert resumed.wait(timeout=30) == 0
    assert begun(limited) == ["first", "second"]
    assert limited.ledger()[-1] == "first:after"
    assert limited.json("runs", "show", interrupted["run_id"])["status"] == "SUCCESS"


def test_one_killed_between_taking_its_slot_and_creating_its_run_holds_nothing(limited):
    go(limited)
    run(limited, "first", ORCHESTRATOR_CRASH_AT=f"{POINTS[0]}@{limited.path}/reached").wait(timeout=30)
    assert (limited.path / "reached").exists()
    assert len(left_behind(limited)) == 1
    limited("run", "held", "--tag", "db=x", "--no-wait").ok()
    assert left_behind(limited) == []
    assert len(limited.json("runs", "list")) == 1


def test_whoever_waits_sees_that_the_limit_was_raised(limited):
    holder = run(limited, "first")
    holds(limited, "first")
    waiter = run(limited, "second")
    waits(limited, "second")
    limited.settings("locations: nonsense")
    limited.settings(LIMITED.replace("limit: 1", "limit: 2"))
    holds(limited, "second")
    go(limited)
    assert (holder.wait(timeout=30), waiter.wait(timeout=30)) == (0, 0)


class TestBesideADaemon:
    @pytest.fixture
    def daemon(self, limited):
        process = limited.start("daemon", "start", to=limited.path / "daemon.out")
        limited.wait_until(lambda: limited.here("daemon", "status").code == 0, "a daemon that answers")
        return process

    def queue(self, bench, what, **tags):
        return enqueue(bench, what, tags={what: {"db": "x", **tags}})[0]

    def reason(self, bench, run_id):
        return bench.json("runs", "show", run_id).get("waits_for") or ""

    def test_a_queued_run_waits_for_a_foreground_one_and_the_other_way_round(self, limited, daemon):
        holder = run(limited, "first")
        holds(limited, "first")
        queued = self.queue(limited, "queued")
        limited.wait_until(lambda: "1 of 1 runs with db=x are going" in self.reason(limited, queued), "the reason")
        later = run(limited, "later")
        waits(limited, "later")
        go(limited, "first")
        assert holder.wait(timeout=30) == 0
        holds(limited, "queued")
        limited.wait_until(lambda: queued in said(limited, "later"), "the reason says who came first")
        go(limited, "queued")
        holds(limited, "later")
        go(limited)
        assert later.wait(timeout=30) == 0
        assert begun(limited) == ["first", "queued", "later"]
        assert most_at_a_time(limited) == 1

    def test_who_is_next_in_line_stays_so_while_another_run_is_let_in(self, limited, daemon):
        holder = run(limited, "first")
        holds(limited, "first")
        queued = self.queue(limited, "queued")
        claims = RunsDir(limited.state).queue_claims
        limited.wait_until(lambda: claims.exists() and queued in claims.read_text(), "its place in the line")
        lock = try_lock(RunsDir(limited.state).admission_lock)
        while lock is None:  # the daemon has it for a moment, again and again
            lock = try_lock(RunsDir(limited.state).admission_lock)
        limited.wait_until(
            lambda: "is just being let in" in self.reason(limited, queued), "a look that came to nothing"
        )
        assert queued in claims.read_text()
        lock.release()
        go(limited)
        assert holder.wait(timeout=30) == 0
        holds(limited, "queued")

    @pytest.mark.long
    def test_priority_decides_between_them(self, limited, daemon):
        holder = run(limited, "first")
        holds(limited, "first")
        queued = self.queue(limited, "queued")
        limited.wait_until(lambda: "db=x" in self.reason(limited, queued), "the reason")
        urgent = run(limited, "urgent", "--tag", "priority=5")
        waits(limited, "urgent")
        go(limited, "first")
        assert holder.wait(timeout=30) == 0
        holds(limited, "urgent")
        go(limited)
        assert urgent.wait(timeout=30) == 0
        holds(limited, "queued")
        assert begun(limited) == ["first", "urgent", "queued"]

    @pytest.mark.long
    def test_the_daemon_may_die_and_come_back_while_runs_wait_and_hold(self, limited, daemon):
        queued = self.queue(limited, "queued")
        holds(limited, "queued")
        waiter = run(limited, "waiter")
        waits(limited, "waiter")
        daemon.kill()
        daemon.wait()
        assert limited("run", "held", "--tag", "db=x", "--no-wait").code == 4, "the step of the queued run goes on"
        go(limited, "queued")
        holds(limited, "waiter")
        again = limited.start("daemon", "start", to=limited.path / "again.out")
        limited.wait_until(lambda: limited.here("daemon", "status").code == 0, "a daemon that answers")
        limited.wait_until(lambda: statuses(limited)[queued] in ("SUCCESS", "STARTED"), "the queued run")
        go(limited)
        assert waiter.wait(timeout=30) == 0
        limited.wait_until(lambda: statuses(limited)[queued] == "SUCCESS", "the end of the queued run")
        limited.here("daemon", "stop").ok()
        assert again.wait(timeout=30) == 0
        assert most_at_a_time(limited) == 1
        assert left_behind(limited) == []

    @pytest.mark.long
    def test_foreground_runs_do_not_wait_for_room_in_the_queue_and_take_none(self, limited):
        limited.settings("locations: [{name: main, file: pipelines.py}]\nrun_queue: {max_concurrent_runs: 0}")
        go(limited)
        queued = self.queue(limited, "queued")
        daemon = limited.start("daemon", "start", to=limited.path / "daemon.out")
        limited.wait_until(lambda: "paused" in self.reason(limited, queued), "the reason")
        run(limited, "mine").wait(timeout=30)
        assert ended(limited) == ["mine"]
        status = limited.here("status")
        assert status.code == 1
        assert (
            "the queue is paused, and a run waits in it: raise run_queue.max_concurrent_runs, which is 0" in status.out
        )
        limited.here("runs", "cancel", queued).ok()
        status = limited.here("status").ok()
        assert "paused: run_queue.max_concurrent_runs is 0" in status.out
        limited.here("daemon", "stop").ok()
        daemon.wait(timeout=30)
