"""The public tables say what the journals say: random runs by the thousand, read by an interpretation written apart."""

import json
import random

import pytest

from orchestrator.catalog.schema import statement_of
from orchestrator.catalog.session import open_store
from orchestrator.state_dir import prepare
from tests.catalog import oracle
from tests.catalog.histories import History
from tests.catalog.journals import a_run

HISTORIES = [250, pytest.param(1000, marks=pytest.mark.long)]
FIRST_SEED = 20_261_126
JSON = {"tags", "trigger_json", "asset_key", "metadata", "selection"}


@pytest.fixture(scope="module", params=HISTORIES)
def taken_in(request, tmp_path_factory):
    """The state, and of each run its record, its journal and the history that it comes from. The journals were taken
    in in pieces that end anywhere, in the middle of a line too."""
    state = prepare(tmp_path_factory.mktemp("oracle") / "state")
    runs = []
    for number in range(request.param):
        history = History(random.Random(FIRST_SEED + number))
        more = {"tags": {"n": str(number)}, "selection": ("a*",)} if number % 3 else {"parent_run_id": "0" * 12}
        runs.append((a_run(state, seconds=number, **more), history.lines, history))
    cuts = random.Random(1)
    rest = {run_dir.run_id: b"".join(line + b"\n" for line in lines) for run_dir, lines, _ in runs}
    for piece in range(4):
        for number, (run_dir, _, _) in enumerate(runs):
            if number % 5 and piece < 3:
                continue  # four of five are taken in at once: each piece costs statements of its own
            left = rest[run_dir.run_id]
            size = len(left) if piece == 3 else cuts.randint(0, len(left))
            with run_dir.journal.open("ab") as file:
                file.write(left[:size])
            rest[run_dir.run_id] = left[size:]
        with open_store(state):
            pass
    return state, runs


def table(state, name):
    with open_store(state, ingest=False) as store:
        columns = [
            row[0]
            for row in store.database.rows("SELECT column_name FROM duckdb_columns() WHERE table_name = ?", [name])
        ]
        found = store.database.rows(f"SELECT * FROM {name}")
    return [
        {key: json.loads(value) if key in JSON and value else value for key, value in zip(columns, row, strict=True)}
        for row in found
    ]


def expected(runs, rows_of):
    return [row for run_dir, lines, _ in runs for row in rows_of(json.loads(run_dir.run_json.read_bytes()), lines)]


def by(rows, *keys):
    return {tuple(row[key] for key in keys): row for row in rows}


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for key, row in wanted.items():
        assert found[key] == row


def test_every_column_of_runs_is_what_the_journal_says(taken_in):
    state, runs = taken_in
    wanted = expected(runs, lambda record, lines: [oracle.run_row(record, lines)])
    assert_same(by(table(state, "runs"), "run_id"), by(wanted, "run_id"))
    assert {row["status"] for row in wanted} >= {"SUCCESS", "FAILURE", "CANCELED", "CANCELING", "STARTED"}


def test_every_column_of_steps_is_what_the_journal_says(taken_in):
    state, runs = taken_in
    wanted = expected(runs, lambda record, lines: oracle.step_rows(record, lines).values())
    assert_same(by(table(state, "steps"), "run_id", "step"), by(wanted, "run_id", "step"))
    states = {row["status"] for row in wanted}
    assert states >= {"SUCCESS", "FAILURE", "CANCELED", "SKIPPED", "ABANDONED", "REUSED", "RETRYING", "RUNNING"}


def test_every_column_of_events_is_what_the_journal_says(taken_in):
    state, runs = taken_in
    wanted = expected(runs, oracle.event_rows)
    assert_same(by(table(state, "events"), "run_id", "seq"), by(wanted, "run_id", "seq"))


def test_every_column_of_materializations_is_what_the_journal_says(taken_in):
    state, runs = taken_in
    found = table(state, "materializations")
    ordinals = [row.pop("ordinal") for row in found]
    assert sorted(ordinals) == list(range(1, len(ordinals) + 1))
    assert_same(by(found, "id"), by(expected(runs, oracle.materialization_rows), "id"))


def test_the_states_of_steps_are_those_that_the_engine_went_by(taken_in):
    state, runs = taken_in
    found = by(table(state, "steps"), "run_id", "step")
    compared = 0
    for run_dir, _, history in runs:
        for key, wanted in history.life.states().items():
            row = found.get((run_dir.run_id, key))
            has_hooks = history.life.run.network.steps[key].planned.hooks  # an attempt for those looks like any other
            if history.life.run.is_finished and row is not None and not has_hooks:
                assert row["status"] == wanted, (run_dir.run_id, key)
                compared += 1
    assert compared > len(runs)


def test_a_state_of_an_older_version_gets_the_times_that_it_lacks(taken_in):
    state, _ = taken_in
    before = by(table(state, "steps"), "run_id", "step")
    with open_store(state, ingest=False) as store:
        store.database.execute("UPDATE steps SET started_at = NULL")
        store.database.execute("UPDATE steps SET finished_at = NULL, duration_s = NULL WHERE status <> 'SUCCESS'")
        store.database.execute(statement_of("0005_step_times"))
    assert_same(by(table(state, "steps"), "run_id", "step"), before)
