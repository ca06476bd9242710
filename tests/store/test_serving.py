"""The daemon's side of the socket: what it tells of the operations it has served."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from orchestrator.store.instigators import list_instigators, save_instigators
from orchestrator.store.query import query
from orchestrator.store.remote import connect
from orchestrator.store.runs import RunFilter, list_runs
from orchestrator.store.serving import StoreServer
from orchestrator.store.session import hold_store
from orchestrator.ticks import Instigator

SENSOR = Instigator(
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
    [(list_runs, RunFilter()), (query, "SELECT count(*) FROM ticks"), (list_instigators, None)],
    ids=["a list", "a question in SQL", "what is remembered"],
)
def test_whoever_only_reads_makes_nobody_look_again(serve, operation, argument):
    assert serve(operation, *(() if argument is None else (argument,))) == 0


def test_whoever_writes_makes_others_look_again(serve):
    assert serve(save_instigators, [SENSOR]) == 1
