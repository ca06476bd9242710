"""The daemon's side of the socket: what it tells of the operations it has served, and that nobody waits for anybody
else's question.
"""

import importlib
import inspect
import json
import select
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from orchestrator.catalog import kinds, memory, rpc_server
from orchestrator.catalog.automations import list_automations, save_automations
from orchestrator.catalog.database import Database
from orchestrator.catalog.kinds import kind_of
from orchestrator.catalog.maintenance import back_up, scan
from orchestrator.catalog.query import query
from orchestrator.catalog.readers import Readers
from orchestrator.catalog.rpc_client import connect
from orchestrator.catalog.rpc_server import StoreServer
from orchestrator.catalog.runs import list_runs
from orchestrator.catalog.session import hold_store
from orchestrator.errors import StoreError
from orchestrator.model.automation import Automation
from orchestrator.model.filters import RunFilter

SENSOR = Automation(
    id="main/s", location="main", name="s", kind="sensor", is_on=True, changed_at=datetime(2026, 1, 1, tzinfo=UTC)
)


@pytest.fixture
def serve(state):
    """Serves one operation asked for over the socket; how many changes that is said to have been."""
    with hold_store(state) as store, ThreadPoolExecutor(1) as client:
        server = StoreServer(state, store.database)
        server.open()

        def ask(operation, arguments):
            remote = connect(state)
            try:
                return remote(operation, *arguments)
            finally:
                remote.close()

        def serve(operation, *arguments):
            asked = client.submit(ask, operation, arguments)
            changes = 0
            while not asked.done():
                changes += server.serve_ready()
            asked.result()
            return changes

        yield serve
        server.close()


@pytest.mark.parametrize(
    ("operation", "argument"),
    [(list_runs, RunFilter()), (query, "SELECT count(*) FROM ticks"), (list_automations, None)],
    ids=["a list", "a question in SQL", "what is remembered"],
)
def test_whoever_only_reads_makes_nobody_look_again(serve, operation, argument):
    assert serve(operation, *(() if argument is None else (argument,))) == 0


def test_whoever_writes_makes_others_look_again(serve):
    assert serve(save_automations, [SENSOR]) == 1


# It never comes to its end by itself.
ENDLESS = "SELECT count(*) FROM range(100000000000000) WHERE range % 7 = 3"


class Serving:
    """A server whose loop turns in a thread, as the daemon's does, and clients that ask it."""

    def __init__(self, state):
        self.state = state
        self.turns = 0
        self._ready, self._stopping = threading.Event(), threading.Event()
        self._loop = ThreadPoolExecutor(1)
        self._clients = ThreadPoolExecutor(8)
        self._running = self._loop.submit(self._serve)
        assert self._ready.wait(20)

    def _serve(self):
        with hold_store(self.state) as store:
            self.server = StoreServer(self.state, store.database)
            self.server.open()
            self._ready.set()
            while not self._stopping.is_set():
                poll = select.poll()
                for descriptor in self.server.descriptors():
                    poll.register(descriptor, select.POLLIN)
                for descriptor in self.server.writable():
                    poll.register(descriptor, select.POLLIN | select.POLLOUT)
                poll.poll(20)
                self.server.serve_ready()
                self.turns += 1
            self.server.close()

    def ask(self, operation, *arguments, **more):
        remote = connect(self.state)
        try:
            return remote(operation, *arguments, **more)
        finally:
            remote.close()

    def asking(self, operation, *arguments):
        return self._clients.submit(self.ask, operation, *arguments)

    def until(self, condition):
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def stop(self):
        self._stopping.set()
        self._running.result(20)
        self._loop.shutdown()
        self._clients.shutdown()


@pytest.fixture
def served(state):
    made = Serving(state)
    yield made
    made.stop()


def test_questions_without_end_keep_nobody_from_asking_reading_and_writing(served):
    endless = [served.asking(query, ENDLESS) for _ in range(3)]  # more than there are threads for them
    served.until(lambda: served.server.is_busy)
    before = served.turns
    assert served.ask(list_runs, RunFilter()) == []
    served.ask(save_automations, [SENSOR])
    assert served.ask(list_automations) == [SENSOR]
    served.until(lambda: served.turns > before + 3)
    assert not any(one.done() for one in endless)


def test_a_question_whose_asker_has_left_is_stopped(served):
    remote = connect(served.state)
    asked = json.dumps({"statement": ENDLESS}).encode()
    remote._channel.send(rpc_server.Call(rpc_server.PROTOCOL, "orchestrator.catalog.query:query", asked))
    served.until(lambda: served.server.is_busy)
    task = served.server._clients[0].task
    remote.close()
    served.until(lambda: task.is_over)
    assert not served.server.is_busy


def test_a_question_that_takes_too_long_is_stopped_and_told_so(served, monkeypatch):
    monkeypatch.setitem(rpc_server.LIMITS_S, "question", 0.2)
    with pytest.raises(StoreError, match=r"took longer than 0\.20s and was stopped"):
        served.ask(query, ENDLESS)
    assert served.ask(query, "SELECT 1").rows == [(1,)]


def test_stopping_ends_what_is_being_read_and_says_so(state):
    served = Serving(state)
    endless = served.asking(query, ENDLESS)
    served.until(lambda: served.server.is_busy)
    served.stop()
    with pytest.raises(StoreError, match="stopped"):
        endless.result(20)


def test_a_backup_is_of_one_moment_whatever_is_written_meanwhile(served):
    """Each write changes a thousand rows together; none of them is ever half in a backup."""
    rows = [Automation(**{**_fields(SENSOR), "id": f"main/s{n}", "name": f"s{n}"}) for n in range(1000)]
    served.ask(save_automations, rows)
    backups = []
    while len(backups) < 3:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        copying = served._clients.submit(served.ask, back_up, served.state, "test", now=now)
        written = 0
        while not copying.done():
            rows = [Automation(**{**_fields(one), "cursor": f"{len(backups)}.{written}"}) for one in rows]
            served.ask(save_automations, rows)
            written += 1
        backups.append(copying.result())
    for path in backups:
        copy = Database(path)
        try:
            assert len({one.cursor for one in list_automations(copy)}) == 1
            assert copy.row("SELECT count(*) FROM automations") == (1000,)
        finally:
            copy.close()


def _fields(one):
    return {name: getattr(one, name) for name in one.__struct_fields__}


def test_several_long_operations_at_once_do_not_meet(served):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    asked = [served._clients.submit(served.ask, back_up, served.state, "test", now=now) for _ in range(4)]
    asked += [served.asking(scan) for _ in range(4)]
    results = [one.result(30) for one in asked]
    assert len({str(one) for one in results[:4]}) == 4
    assert len({str(one) for one in results[4:]}) == 1


def test_what_is_declared_to_read_cannot_write(served, monkeypatch):
    monkeypatch.setitem(kinds._KINDS, save_automations, "reads")
    with pytest.raises(StoreError):
        served.ask(save_automations, [SENSOR])
    monkeypatch.undo()
    assert served.ask(list_automations) == []


def test_every_operation_that_is_served_is_declared():
    for name in rpc_server.SERVED:
        module = importlib.import_module(f"orchestrator.catalog.{name}")
        for found, function in inspect.getmembers(module, inspect.isfunction):
            first = next(iter(inspect.signature(function).parameters), None)
            if function.__module__ == module.__name__ and first == "database" and not found.startswith("_"):
                assert kind_of(function) or found in rpc_server._REFUSED, f"{name}.{found}"


@pytest.mark.parametrize(
    "operation",
    ["orchestrator.catalog.queue:priority_of", "orchestrator.catalog.query:slow", "os:system", "runs:list_runs"],
)
def test_what_is_not_declared_cannot_be_called(served, operation):
    remote = connect(served.state)
    with pytest.raises(Exception, match="knows no operation"):
        remote.ask(operation, {})
    remote.close()


def test_silent_connections_make_room_for_those_who_ask(served, monkeypatch):
    monkeypatch.setattr(rpc_server, "MOST_CLIENTS", 4)
    silent = [connect(served.state) for _ in range(30)]
    assert served.ask(list_runs, RunFilter()) == []
    served.until(lambda: len(served.server._clients) <= 4)
    for one in silent:  # whoever was sent away comes again when there is something to ask
        assert one(list_runs, RunFilter()) == []
        one.close()


def test_a_connection_that_is_silent_for_long_is_closed_and_its_owner_connects_again(served, monkeypatch):
    remote = connect(served.state)
    assert remote(list_runs, RunFilter()) == []
    monkeypatch.setattr(rpc_server, "SILENT_S", 0.0)
    served.until(lambda: not served.server._clients)
    monkeypatch.undo()
    assert remote(list_runs, RunFilter()) == []
    remote.close()


@pytest.mark.parametrize("announced", [rpc_server.LARGEST_CALL + 1, 900 << 20, 0xFFFFFFFF])
def test_a_peer_that_announces_too_much_is_sent_away(served, announced):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.connect(str(served.state.daemon_sock))
        peer.sendall(struct.pack(">I", announced) + b"x" * 100_000)
        peer.settimeout(20)
        with pytest.raises((ConnectionError, AssertionError)):
            assert peer.recv(1) != b""
    assert served.ask(list_runs, RunFilter()) == []


def test_an_answer_that_is_larger_than_the_socket_takes_arrives(served):
    assert len(served.ask(query, "SELECT repeat('x', 1000) FROM range(5000)").rows) == 5000


def test_what_cannot_have_a_thread_is_refused_in_words_and_answered_once_it_can(state, monkeypatch):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    with hold_store(state) as store:
        readers = Readers(store.database)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(StoreError, match="no more threads"):
                readers.submit("reads", lambda _: b"1", seconds=60)
        task = readers.submit("reads", lambda _: b"2", seconds=60)
        select.select([readers.fileno()], [], [], 30)
        assert task.result == b"2"
        readers.close("over")


GREEDY = [
    "SELECT len(list(range)) FROM range(400000000)",
    "SELECT count(DISTINCT a.range * 65536 + b.range) FROM range(40000) a, range(10000) b",
    "SELECT string_agg(range::VARCHAR, '') FROM range(400000000)",
]


@pytest.mark.parametrize("statement", GREEDY)
def test_a_question_gets_so_much_memory_and_leaves_the_rest_to_the_daemon(state, monkeypatch, statement):
    monkeypatch.setattr(rpc_server, "allowance", lambda _: 100 << 20)
    with hold_store(state) as store, ThreadPoolExecutor(1) as client:
        store.database.execute("SET memory_limit = '2GB'")
        server = StoreServer(state, store.database)
        server.open()

        def ask():
            remote = connect(state)
            try:
                return remote(query, statement)
            finally:
                remote.close()

        asked = client.submit(ask)
        writes = 0
        while not asked.done():
            server.serve_ready()
            save_automations(store.database, [SENSOR])  # what the daemon does meanwhile never fails
            writes += 1
        with pytest.raises(StoreError, match="100 MB of memory"):
            asked.result()
        assert writes > 0
        server.close()


def test_a_small_machine_leaves_less_to_a_question(state):
    with hold_store(state) as store:
        store.database.execute("SET memory_limit = '1GB'")
        assert 0 < memory.allowance(store.database) <= 500_000_000
        store.database.execute("SET memory_limit = '200MB'")
        assert 0 < memory.allowance(store.database) <= 100_000_000
