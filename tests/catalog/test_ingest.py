"""The index is made from journals, as often as one likes."""

import os

import pytest

from orchestrator.catalog.runs import get_run, list_runs
from orchestrator.catalog.session import open_store
from orchestrator.layout import RunsDir
from orchestrator.locks import try_lock
from orchestrator.model import events as ev
from orchestrator.model.error_info import ErrorInfo
from orchestrator.model.filters import RunFilter
from orchestrator.model.states import RunState
from tests.catalog.journals import OWNER, a_finished_run, a_run, a_step, an_asset, append, at, finished, started


def rows(state, statement):
    with open_store(state) as store:
        return store.database.rows(statement)


def test_a_finished_run_is_taken_in_and_no_longer_pending(state, ask):
    run = a_finished_run(state)
    (summary,) = ask(list_runs, RunFilter())
    assert (summary.run_id, summary.status) == (run.run_id, RunState.SUCCESS)
    assert (summary.started_at, summary.finished_at) == (at(1), at(9))
    assert list(RunsDir(state.path).pending.iterdir()) == []


def test_a_run_that_goes_on_is_taken_in_as_far_as_it_is(state, ask):
    run = append(a_run(state), started(), *a_step()[:2])
    assert ask(get_run, run.run_id).summary.status is RunState.STARTED
    assert rows(state, "SELECT step, status FROM steps") == [("load", "RUNNING")]
    append(run, *a_step()[2:], finished())
    assert ask(get_run, run.run_id).summary.status is RunState.SUCCESS
    assert rows(state, "SELECT step, status, attempts, duration_s FROM steps") == [("load", "SUCCESS", 1, 1.0)]


def test_ingesting_twice_changes_nothing(state):
    a_finished_run(state, an_asset("a"))
    everything = "SELECT * FROM events ORDER BY seq"
    before = rows(state, everything)
    for run in RunsDir(state.path).runs.iterdir():
        RunsDir(state.path).pending_marker(run.name).touch()
    assert rows(state, everything) == before
    assert rows(state, "SELECT count(*) FROM materializations") == [(1,)]
    assert rows(state, "SELECT count(*) FROM runs") == [(1,)]


@pytest.mark.parametrize("pieces", [1, 2, 5, 7])
def test_however_a_journal_is_cut_into_pieces_the_rows_are_the_same(state, pieces):
    events = (started(), *a_step("a"), *a_step("b", attempt=2), an_asset("x"), finished())
    whole, parts = a_run(state, run_id="00000000000a"), a_run(state, run_id="00000000000b")
    append(whole, *events)
    for start in range(0, len(events), pieces):
        append(parts, *events[start : start + pieces])
        rows(state, "SELECT 1")
    for table in ("runs", "events", "steps", "materializations"):
        differ = "run_id, id, ordinal" if table == "materializations" else "run_id"
        found = rows(state, f"SELECT * EXCLUDE ({differ}) FROM {table} ORDER BY ALL")
        assert found[0::2] == found[1::2]


def test_a_torn_last_line_is_taken_in_once_it_is_whole(state, ask):
    run = append(a_run(state), started())
    line = ev.encode_line(finished())
    with run.journal.open("ab") as file:
        file.write(line[:10])
    assert ask(get_run, run.run_id).summary.status is RunState.STARTED
    with run.journal.open("ab") as file:
        file.write(line[10:])
    assert ask(get_run, run.run_id).summary.status is RunState.SUCCESS


def test_a_run_stays_pending_while_its_owner_lives(state, ask):
    run = append(a_run(state), started())
    owner = try_lock(run.owner_lock)
    append(run, finished())
    ask(list_runs, RunFilter())
    assert RunsDir(state.path).pending_marker(run.run_id).exists()
    owner.release()
    ask(list_runs, RunFilter())
    assert not RunsDir(state.path).pending_marker(run.run_id).exists()


def test_a_damaged_line_is_kept_and_keeps_nothing_else_out(state, ask):
    run = append(a_run(state), started())
    with run.journal.open("ab") as file:
        file.write(b'{"event": "from_the_future", "at": 1}\n\xff\xfe\n')
    append(run, finished())
    assert ask(get_run, run.run_id).summary.status is RunState.SUCCESS
    assert rows(state, "SELECT seq FROM events WHERE event = 'unreadable' ORDER BY 1") == [(1,), (2,)]


def test_lines_that_a_power_cut_took_away_are_forgotten(state, ask):
    run = append(a_run(state), started(), *a_step())
    ask(list_runs, RunFilter())
    os.truncate(run.journal, 50)
    append(run, ev.RunStarted(at=at(5), owner=OWNER), finished())
    assert ask(get_run, run.run_id).summary.status is RunState.SUCCESS
    assert rows(state, "SELECT count(*), count(DISTINCT seq) FROM events") == [(2, 2)]


def test_a_mark_without_a_run_goes_unless_its_creator_is_at_work(state, ask):
    dead, alive = RunsDir(state.path).pending_marker("00000000000a"), RunsDir(state.path).pending_marker("00000000000b")
    dead.touch()
    creator = try_lock(alive)
    ask(list_runs, RunFilter())
    assert (dead.exists(), alive.exists()) == (False, True)
    creator.release()


def test_many_events_go_in_by_the_bulk_way_and_come_out_the_same(state, ask):
    run = append(a_run(state), started())
    events = [
        ev.LogEmitted(at=at(i), step="load", attempt=1, n=i, level="INFO", message=f"line {i} ü") for i in range(25_000)
    ]
    append(run, *events, finished())
    ask(get_run, run.run_id)
    found = rows(state, "SELECT count(*), min(seq), max(seq), max(occurred_at) FROM events")
    assert found[0][:3] == (25_002, 0, 25_001)
    assert rows(state, "SELECT json_extract_string(body, '$.message') FROM events WHERE seq = 25000") == [
        ("line 24999 ü",)
    ]


def test_a_cancelled_run_leaves_no_step_running_in_the_index(state):
    launched = a_step()[:2]
    append(a_run(state), started(), *launched, finished(RunState.CANCELED))
    assert rows(state, "SELECT status FROM steps") == [("CANCELED",)]


def test_an_attempt_for_hooks_does_not_bring_a_failed_step_back(state):
    error = ErrorInfo("ProcessKilled", "killed", signal=9)
    append(
        a_run(state),
        started(),
        *a_step()[:2],
        ev.AttemptDied(at=at(3), step="load", attempt=1, error=error),
        ev.StepFailed(at=at(3), step="load", attempt=1, error=error),
        *a_step(attempt=2, seconds=4),
        finished(RunState.FAILURE),
    )
    assert rows(state, "SELECT status, attempts, error FROM steps") == [("FAILURE", 1, "ProcessKilled: killed")]
