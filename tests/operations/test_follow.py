"""Following a run that begins at the very moment somebody looks."""

from datetime import UTC, datetime

from orchestrator.events import RunFinished, encode_line
from orchestrator.operations import follow
from orchestrator.state_dir import prepare
from orchestrator.states import RunState


def test_a_run_that_begins_between_two_looks_of_its_follower_is_followed_to_its_end(tmp_path, monkeypatch):
    run_dir = prepare(tmp_path / "state").run("0123456789ab")
    run_dir.path.mkdir()
    real = follow.read_journal

    def begins_after_the_first_look(where, offset=0):
        found = real(where, offset)
        if not run_dir.journal.exists():
            end = RunFinished(at=datetime(2026, 1, 1, tzinfo=UTC), status=RunState.SUCCESS)
            run_dir.journal.write_bytes(encode_line(end))
        return found

    monkeypatch.setattr(follow, "read_journal", begins_after_the_first_look)
    assert [type(event) for event in follow.follow_events(run_dir)] == [RunFinished]


def test_a_run_that_has_begun_and_has_no_owner_is_not_waited_for(tmp_path):
    run_dir = prepare(tmp_path / "state").run("0123456789ab")
    run_dir.path.mkdir()
    run_dir.journal.touch()
    assert list(follow.follow_events(run_dir)) == []
    assert list(follow.follow_log_lines(run_dir, None)) == []
