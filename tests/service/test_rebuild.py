"""Making the index again beside a daemon: in parts, with the same result."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.catalog.maintenance import TABLES
from orchestrator.catalog.rpc_client import connect
from orchestrator.catalog.rpc_server import StoreServer
from orchestrator.catalog.runs import list_runs
from orchestrator.catalog.session import hold_store
from orchestrator.layout import RunsDir
from orchestrator.locks import try_lock
from orchestrator.model.filters import RunFilter
from orchestrator.service import maintenance
from orchestrator.service.maintenance import rebuild_index
from orchestrator.state_dir import prepare
from tests.catalog.journals import a_finished_run, an_asset


@pytest.fixture
def state(tmp_path):
    return prepare(tmp_path / "state")


def contents(database):
    return {table: sorted(map(repr, database.rows(f"SELECT * FROM {table}"))) for table in TABLES if table != "meta"}


def test_a_rebuild_beside_a_daemon_leaves_it_time_and_everything_in_its_place(state, monkeypatch):
    monkeypatch.setattr(maintenance, "_HANDFUL", 5)
    for number in range(23):
        a_finished_run(state, an_asset("days", str(number % 3)), seconds=number)
    with hold_store(state) as store, ThreadPoolExecutor(2) as clients:
        before = contents(store.database)
        lock = try_lock(state.daemon_lock)
        server = StoreServer(state, store.database)
        server.open()
        rebuilt = threading.Event()

        def rebuild():
            try:
                return rebuild_index(state)
            finally:
                rebuilt.set()

        def look():
            """What somebody sees who looks again and again meanwhile: never a run missing."""
            seen = set()
            remote = connect(state)
            while not rebuilt.is_set():
                seen.add(len(remote(list_runs, RunFilter(limit=100))))
            remote.close()
            return seen

        rebuilding, looking = clients.submit(rebuild), clients.submit(look)
        changes = 0
        while not (rebuilding.done() and looking.done()):
            changes += server.serve_ready()
        assert rebuilding.result().runs == 23
        assert rebuilding.result().lines == 23 * 6
        assert changes == 5
        assert looking.result() == {23}
        assert contents(store.database) == before
        server.close()
        lock.release()


def test_parts_are_small_in_runs_and_in_bytes(state, monkeypatch):
    monkeypatch.setattr(maintenance, "_HANDFUL", 3)
    runs = [a_finished_run(state).run_id for _ in range(7)]
    assert [*maintenance._handfuls(state, runs)] == [runs[:3], runs[3:6], runs[6:]]
    monkeypatch.setattr(maintenance, "_HANDFUL_BYTES", RunsDir(state.path).run(runs[0]).journal.stat().st_size + 1)
    assert [len(part) for part in maintenance._handfuls(state, runs)] == [2, 2, 2, 1]
    assert [*maintenance._handfuls(state, [])] == [[]]  # what was deleted is looked at in any case
