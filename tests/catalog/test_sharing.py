"""One process at a time has the database, and nobody sees more of that than a short wait."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from orchestrator.catalog import session
from orchestrator.catalog.database import Database
from orchestrator.catalog.rpc_client import reachable
from orchestrator.catalog.runs import list_runs
from orchestrator.catalog.schema import VERSION
from orchestrator.catalog.session import open_store
from orchestrator.errors import SchemaTooNew, StoreBusy, StoreError
from orchestrator.model.filters import RunFilter
from orchestrator.state_dir import prepare
from tests.catalog.journals import a_finished_run

HOLD = """
import sys
from pathlib import Path
from orchestrator.state_dir import StateDir
from orchestrator.catalog.session import open_store
with open_store(StateDir(Path(sys.argv[1]))) as store:
    print("open", flush=True)
    sys.stdin.read()
"""
FOREIGN = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def hold():
    processes = []

    def start(program, path):
        process = subprocess.Popen(
            [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        assert process.stdout.readline() == "open\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            pipe.close()


def close(process):
    process.stdin.close()
    process.wait()


def test_a_second_process_waits_and_then_sees_what_the_first_did(state, hold):
    holder = hold(HOLD, state.path)
    a_finished_run(state)
    threading.Timer(0.3, close, [holder]).start()
    with open_store(state) as store:
        assert len(store(list_runs, RunFilter())) == 1


def test_whoever_holds_it_too_long_is_named(state, hold):
    holder = hold(HOLD, state.path)
    with pytest.raises(StoreBusy, match=f"in use by process {holder.pid}"), open_store(state, patience=0.1):
        pass


def test_a_program_that_is_not_ours_is_named_and_waited_for(state, hold):
    with open_store(state):
        pass
    holder = hold(FOREIGN, state.database)
    with (
        pytest.raises(StoreBusy, match=f"open in another program: .*process {holder.pid}"),
        open_store(state, patience=0.1),
    ):
        pass
    threading.Timer(0.3, close, [holder]).start()
    with open_store(state) as store:
        assert store(list_runs, RunFilter()) == []


def test_a_holder_that_was_killed_holds_nothing(state, hold):
    holder = hold(HOLD, state.path)
    os.kill(holder.pid, signal.SIGKILL)
    with open_store(state) as store:
        assert store(list_runs, RunFilter()) == []


def test_a_process_of_ours_that_is_at_work_is_waited_for_longer_than_one_that_is_not(state, hold):
    assert session.patience_with(0) == session.PATIENCE_S
    assert session.patience_with(2**22 + 1) == session.PATIENCE_S
    holder = hold(HOLD, state.path)
    assert session.patience_with(holder.pid) == session.WORKING_PATIENCE_S
    os.kill(holder.pid, signal.SIGSTOP)
    try:
        deadline = time.monotonic() + 20
        while session.patience_with(holder.pid) != session.PATIENCE_S:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        os.kill(holder.pid, signal.SIGCONT)


def test_whoever_works_for_longer_than_a_stranger_may_is_waited_for(state, hold, monkeypatch):
    monkeypatch.setattr(session, "PATIENCE_S", 0.0)
    holder = hold(HOLD, state.path)
    threading.Timer(0.5, close, [holder]).start()
    with open_store(state) as store:
        assert store(list_runs, RunFilter()) == []


def test_waiting_is_told_once(state, hold):
    hold(HOLD, state.path)
    said = []
    with pytest.raises(StoreBusy), open_store(state, patience=1.5, tell=said.append):
        pass
    assert len(said) == 1
    assert "in use by process" in said[0]


def test_a_database_of_a_newer_version_is_refused(state):
    with open_store(state) as store:
        store.database.execute("UPDATE meta SET value = ? WHERE name = 'schema_version'", [str(VERSION + 1)])
    with pytest.raises(SchemaTooNew, match="Upgrade orchestrator"), open_store(state):
        pass


def test_a_directory_of_a_newer_version_is_refused(state):
    state.format_file.write_text('{"format": 99}')
    with pytest.raises(SchemaTooNew, match="made by a newer version"):
        prepare(state.path)


def test_a_database_that_is_none_is_called_damaged(state):
    state.database.write_bytes(b"this is no database" * 1000)
    with pytest.raises(StoreError, match=r"state\.duckdb"), open_store(state):
        pass


def test_the_file_can_still_be_opened_by_the_version_before(state):
    with open_store(state) as store:
        ((tags,),) = store.database.rows("SELECT tags FROM duckdb_databases() WHERE NOT internal")
    assert tags["storage_version"].startswith("v1.4.0"), tags


def test_everything_in_the_state_directory_is_private(state):
    a_finished_run(state)
    with open_store(state) as store:
        store(list_runs, RunFilter())
        open_to_others = [path for path in state.path.rglob("*") if path.stat().st_mode & 0o077]
    assert open_to_others == []
    assert state.path.stat().st_mode & 0o777 == 0o700


def test_a_directory_with_something_else_in_it_is_not_taken_over(tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    tmp_path.chmod(0o755)
    with pytest.raises(StoreError, match="is no state directory, and is not empty"):
        prepare(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_transaction_that_fails_leaves_nothing():
    database = Database(None)
    database.execute("CREATE TABLE t (x INTEGER)")

    def insert_and_fail():
        with database.transaction():
            database.insert("t", {"x": [1]})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        insert_and_fail()
    assert database.rows("SELECT * FROM t") == []
    with database.transaction(), database.transaction():
        database.insert("t", {"x": [2]})
    assert database.rows("SELECT * FROM t") == [(2,)]


@pytest.mark.parametrize("shows_descriptors", [True, False], ids=["linux", "elsewhere"])
def test_a_socket_deep_down_is_reached_by_a_short_name(tmp_path, monkeypatch, shows_descriptors):
    if not shows_descriptors:
        monkeypatch.setattr("orchestrator.catalog.rpc_client._DESCRIPTORS", tmp_path / "no such directory")
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as caller:
        with reachable(deep / "daemon.sock") as name:
            listener.bind(name)
        listener.listen()
        with reachable(deep / "daemon.sock") as name:
            caller.connect(name)
    assert (deep / "daemon.sock").is_socket()
    assert Path.cwd() == here
