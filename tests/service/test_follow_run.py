"""Waiting for a run and following it: one that begins at the very moment somebody looks, one that has not begun."""

from datetime import UTC, datetime

from orchestrator.layout import RunsDir
from orchestrator.locks import try_lock
from orchestrator.model.events import RunFinished, encode_line
from orchestrator.model.states import RunState
from orchestrator.runlog.run_log import RunLog
from orchestrator.service import follow_run
from orchestrator.service.queued_runs import is_worth_a_look
from orchestrator.state_dir import prepare


def test_a_run_that_begins_between_two_looks_of_its_follower_is_followed_to_its_end(tmp_path, monkeypatch):
    state = prepare(tmp_path / "state")
    run_dir = RunsDir(state.path).run("0123456789ab")
    run_dir.path.mkdir()
    real = RunLog.lines

    def begins_after_the_first_look(run_log, offset=0):
        found = real(run_log, offset)
        if not run_dir.journal.exists():
            end = RunFinished(at=datetime(2026, 1, 1, tzinfo=UTC), status=RunState.SUCCESS)
            run_dir.journal.write_bytes(encode_line(end))
        return found

    monkeypatch.setattr(RunLog, "lines", begins_after_the_first_look)
    assert [type(event) for event in follow_run.follow_events(RunLog(state, run_dir.run_id))] == [RunFinished]


def test_a_run_that_has_begun_and_has_no_owner_is_not_waited_for(tmp_path):
    state = prepare(tmp_path / "state")
    run_dir = RunsDir(state.path).run("0123456789ab")
    run_dir.path.mkdir()
    run_dir.journal.touch()
    assert list(follow_run.follow_events(RunLog(state, run_dir.run_id))) == []
    assert list(follow_run.follow_log_lines(RunLog(state, run_dir.run_id), None)) == []


def test_a_run_that_waits_is_looked_for_in_the_database_only_when_that_can_tell_anything(tmp_path):
    state = prepare(tmp_path / "state")
    assert not is_worth_a_look(state, "0123456789ab", 1.9)
    assert is_worth_a_look(state, "0123456789ab", 2.0), "it may have been canceled"
    daemon = try_lock(state.daemon_lock)
    assert not is_worth_a_look(state, "0123456789ab", 60.0), "the daemon that starts needs the database"
    state.daemon_sock.touch()
    assert is_worth_a_look(state, "0123456789ab", 0.0), "it answers, so that nothing is opened"
    daemon.release()
    assert not is_worth_a_look(state, "0123456789ab", 0.0), "a socket that a dead daemon has left"
    RunsDir(state.path).run("0123456789ab").path.mkdir()
    assert is_worth_a_look(state, "0123456789ab", 0.0), "it has begun"
