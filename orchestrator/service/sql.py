"""Runs a SQL query of a person against the state without holding it up for other processes."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from orchestrator.catalog.database import Database
from orchestrator.catalog.query import QueryResult, query
from orchestrator.catalog.session import LocalStore, open_store
from orchestrator.clock import monotonic
from orchestrator.errors import StoreError
from orchestrator.state_dir import StateDir

# Other commands wait for this long at most for a question that is asked without a daemon, and for a copy to be made.
QUICK_S = 2.0


def ask_sql(
    state: StateDir, statement: str, *, tell: Callable[[str], None] | None = None, quick_s: float = QUICK_S
) -> QueryResult:
    """The answer to one statement that reads. `tell` is called with a sentence when it takes noticeably long.

    The daemon answers in a thread of its own. Without a daemon, a question that is not answered soon is asked again of
    a copy of the state, which is gone afterwards.
    """
    with ExitStack() as later:
        with open_store(state, tell=tell) as store:
            if not isinstance(store, LocalStore):
                return store(query, statement)
            found = _quick(store, statement, quick_s)
            if found is not None:
                return found
            if tell is not None:
                tell("This takes a while. It goes on with a copy of the state, so that nothing else has to wait.")
            copy = later.enter_context(_copied(store))
        return query(copy, statement)


def _quick(store: LocalStore, statement: str, seconds: float) -> QueryResult | None:
    """The answer, if it comes within that time."""
    until = monotonic() + seconds
    over = threading.Event()

    def stop() -> None:
        over.wait(seconds)
        while not over.wait(0.05):
            store.database.interrupt()

    timer = threading.Thread(target=stop, daemon=True)
    timer.start()
    try:
        return query(store.database, statement)
    except StoreError:
        if monotonic() < until:
            raise
        return None
    finally:
        over.set()
        timer.join()


@contextmanager
def _copied(store: LocalStore) -> Iterator[Database]:
    """A copy of the database in a directory of its own; both are gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="orchestrator-sql-"))
    try:
        store.database.copy_to(directory / "state.duckdb")
        copy = Database(directory / "state.duckdb")
        try:
            yield copy
        finally:
            copy.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
