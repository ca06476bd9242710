"""Opens the state database. Only one process may have it open; keep sessions short.

`flock` on `state.lock` decides who may open the file, and not DuckDB's own lock: that one is a POSIX lock, which
silently vanishes when its owner opens and closes the file elsewhere, and then a second writer's rows are lost.
"""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from orchestrator.catalog import maintenance
from orchestrator.catalog.damage import LOST_WITH_DATABASE, note_damage
from orchestrator.catalog.database import Database
from orchestrator.catalog.ingest import ingest_pending
from orchestrator.catalog.rpc_client import RemoteStore, connect
from orchestrator.catalog.schema import migrate
from orchestrator.clock import monotonic, now
from orchestrator.errors import DaemonError, SchemaTooNew, StoreBusy, StoreDamaged, StoreError
from orchestrator.heartbeat import is_alive, is_suspended
from orchestrator.locks import HeldLock, read_note, try_lock
from orchestrator.private_file import DIR_MODE
from orchestrator.runlog.deleted import Used, read_deleted
from orchestrator.runlog.inventory import pending_runs, require_access, run_ids_on_disk
from orchestrator.state_dir import StateDir, in_the_way, unused

# How long a command waits for another one to be done with the database. Holders need milliseconds; what takes longer
# is a large ingest, a compaction, or a program that is not ours.
PATIENCE_S = 10.0
# One of ours that is at work is worth waiting for: a backup, a rebuild or a compaction of a large state takes minutes.
WORKING_PATIENCE_S = 600.0
# From when on waiting is worth a word.
NOTICE_S = 1.0
# Beyond this the write-ahead log is folded into the file when the store is closed.
_CHECKPOINT_BYTES = 4 << 20

P = ParamSpec("P")
R = TypeVar("R")


class Store(Protocol):
    """An open store, in this process or in the daemon. Calling it with an operation and its arguments carries the
    operation out: `store(list_runs, RunFilter())`."""

    @property
    def state(self) -> StateDir: ...

    def __call__(self, operation: Callable[Concatenate[Any, P], R], *args: P.args, **kwargs: P.kwargs) -> R: ...


class LocalStore:
    """The store of a process that has the database open."""

    def __init__(self, database: Database, state: StateDir) -> None:
        self.database = database
        self.state = state

    def __call__(self, operation: Callable[Concatenate[Any, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        return operation(self.database, *args, **kwargs)


class BriefStore:
    """A store that is opened for each operation: in between, whatever else its user does, others have it."""

    def __init__(self, state: StateDir, tell: Callable[[str], None] | None = None) -> None:
        self.state = state
        self._tell = tell

    def __call__(self, operation: Callable[Concatenate[Any, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        with open_store(self.state, tell=self._tell) as store:
            return store(operation, *args, **kwargs)


class Patience:
    """How long to wait for the process that has the database, and how to report a long wait."""

    def __init__(self, seconds: float | None, tell: Callable[[str], None] | None) -> None:
        self._started = monotonic()
        self._seconds = seconds
        self._tell = tell

    @property
    def tell(self) -> Callable[[str], None] | None:
        return self._tell

    def wait(self, busy: StoreBusy, holder: int = 0) -> None:
        """Waits a little. Raises `busy` once that was done for long enough. For `holder`, a process of ours that is
        at work, that is longer than for one that is suspended, or for another program."""
        waited = monotonic() - self._started
        if waited > (patience_with(holder) if self._seconds is None else self._seconds):
            raise busy
        if self._tell is not None and waited > NOTICE_S:
            self._tell(f"waiting: {busy.message}")
            self._tell = None
        time.sleep(random.uniform(0.002, 0.02))


def patience_with(holder: int) -> float:
    """For how long to wait for that process; 0 stands for one that is not known."""
    return WORKING_PATIENCE_S if holder and is_alive(holder) and not is_suspended(holder) else PATIENCE_S


@contextmanager
def open_store(
    state: StateDir, *, patience: float | None = None, ingest: bool = True, tell: Callable[[str], None] | None = None
) -> Iterator[Store]:
    """The store of a state directory, with everything that journals have taken in. Raises StoreBusy, StoreError.

    `tell` is called once, with a sentence, when another process has the database for noticeably long.
    """
    waiting = Patience(patience, tell)
    lock = _lock(state, waiting)
    if isinstance(lock, RemoteStore):
        try:
            yield lock
        finally:
            lock.close()
        return
    mask = os.umask(0o077)  # what DuckDB creates beside its file is as private as the rest
    try:
        database = _open(state, waiting, rebuild=ingest)
        try:
            if ingest:
                ingest_pending(database, state, now())
            yield LocalStore(database, state)
            _checkpoint_if_large(database, state)
        finally:
            database.close()
    finally:
        os.umask(mask)
        lock.release()


@contextmanager
def open_local(state: StateDir, *, ingest: bool = True) -> Iterator[LocalStore]:
    """As `open_store`, for what needs the database file itself. Raises DaemonError when a daemon has it."""
    with open_store(state, ingest=ingest) as store:
        if not isinstance(store, LocalStore):
            raise needs_state_alone()
        yield store


def needs_state_alone() -> DaemonError:
    """The error for what cannot be done beside a daemon."""
    return DaemonError(
        "A daemon has the state, and this needs it for itself.",
        hint="Stop it with `orchestrator daemon stop`, and start it again afterwards.",
    )


@contextmanager
def hold_store(state: StateDir, *, tell: Callable[[str], None] | None = None) -> Iterator[LocalStore]:
    """Opens the store for the daemon, which holds it until it ends and ingests journals itself. Waits without a limit
    for another process that has it; `tell` is called once, with a sentence about that."""
    require_access(state)
    waiting = Patience(math.inf, tell)
    lock = _lock(state, waiting, ask=False)
    assert isinstance(lock, HeldLock)
    mask = os.umask(0o077)
    try:
        database = _open(state, waiting)
        try:
            yield LocalStore(database, state)
        finally:
            database.close()
    finally:
        os.umask(mask)
        lock.release()


def _lock(state: StateDir, waiting: Patience, *, ask: bool = True) -> HeldLock | RemoteStore:
    """The lock, or the store of the daemon that has it. A daemon that is just starting or ending is waited for."""
    try:
        while True:
            if ask and (remote := connect(state, tell=waiting.tell)) is not None:
                return remote
            if (lock := try_lock(state.lock)) is not None:
                break
            holder = read_note(state.lock) or "unknown"
            pid = int(holder) if holder.isdigit() else 0
            waiting.wait(
                StoreBusy(
                    f"The state in {state.path} is in use by process {holder}.",
                    hint="Try again, or look at what that process does.",
                ),
                pid,
            )
    except OSError as error:
        raise in_the_way(state.lock, error) from error
    lock.write_note(str(os.getpid()).encode())
    return lock


def _open(state: StateDir, waiting: Patience, *, rebuild: bool = True) -> Database:
    """Opens the file and brings it up to date. A program that is not ours may have it open: we wait for that too."""
    is_new = not os.path.lexists(state.database)
    if is_new:
        _create(state)
    database = None
    while database is None:
        try:
            database = Database(state.database)
        except StoreBusy as busy:
            waiting.wait(busy)
    opened = database

    def reopen() -> Database:
        opened.close()
        return Database(state.database)

    database = migrate(opened, lambda: _back_up_first(opened, state), reopen)
    if is_new and rebuild:
        _rebuild_missing(database, state, waiting)
    return database


def _rebuild_missing(database: Database, state: StateDir, waiting: Patience) -> None:
    """There are runs and no database: it was removed. Without the keys that the runs have used,
    schedules and sensors would ask for them again."""
    run_ids = run_ids_on_disk(state)
    entries = read_deleted(state)
    if not run_ids and not entries:
        return
    # A run that is marked as pending may never have been in any database: the first run of all is not.
    is_loss = bool(entries) or not set(run_ids) <= set(pending_runs(state))
    try:
        maintenance.rebuild(database, state, run_ids, used=Used(entries))
        if not is_loss:
            return
        count = f"{len(run_ids):,} run{'' if len(run_ids) == 1 else 's'}"
        note_damage(
            database,
            "",
            f"The database was missing and was made again from {count} on {now():%Y-%m-%d %H:%M}"
            f" UTC: {LOST_WITH_DATABASE}",
        )
    except BaseException:
        database.close()
        state.database.unlink(missing_ok=True)  # the next one begins from the beginning, too
        _write_ahead_log(state).unlink(missing_ok=True)
        raise
    if waiting.tell is not None:
        waiting.tell(f"The database was missing. It was made again from {count}; {LOST_WITH_DATABASE}")


def _create(state: StateDir) -> None:
    """Creates a database that is complete when it gets its name: a process that dies of a full disk before that leaves
    none, rather than one that cannot be opened."""
    fresh = state.database.with_suffix(".fresh")
    # A write-ahead log without its database would be replayed into the new one.
    for left_over in (fresh, fresh.with_name(f"{fresh.name}.wal"), _write_ahead_log(state)):
        left_over.unlink(missing_ok=True)
    try:
        database = Database(fresh)
        try:
            migrate(database, lambda: None, lambda: database)
        finally:
            database.close()
        fresh.rename(state.database)
    except StoreError:
        fresh.unlink(missing_ok=True)
        raise


def set_aside_damaged(state: StateDir, *, newer_too: bool = False) -> tuple[Path, str] | None:
    """Moves a database that cannot be read into the backups; where it is now, and what is wrong with it. None when all
    of it can be read, or there is none: nothing is changed then. With `newer_too`, also one of a newer version."""
    waiting = Patience(PATIENCE_S, None)
    lock = _lock(state, waiting, ask=False)
    assert isinstance(lock, HeldLock)
    try:
        problem = _problem(state, waiting, newer_too=newer_too)
        return None if problem is None else (_move_to_backups(state), problem)
    finally:
        lock.release()


def _problem(state: StateDir, waiting: Patience, *, newer_too: bool) -> str | None:
    if not os.path.lexists(state.database) and not os.path.lexists(_write_ahead_log(state)):
        return None
    try:
        database = _open(state, waiting, rebuild=False)
        try:
            maintenance.scan(database)
        finally:
            database.close()
    except StoreDamaged as error:
        return error.message
    except SchemaTooNew as error:
        if newer_too:
            return error.message
        raise
    return None


def _move_to_backups(state: StateDir) -> Path:
    state.backups.mkdir(mode=DIR_MODE, exist_ok=True)
    aside = unused(state.backups / f"{now():%Y%m%dT%H%M%S}-damaged.duckdb")
    log = _write_ahead_log(state)
    if os.path.lexists(log):
        log.rename(aside.with_name(f"{aside.name}.wal"))
    if os.path.lexists(state.database):
        state.database.rename(aside)
    return aside


def _back_up_first(database: Database, state: StateDir) -> None:
    maintenance.back_up(database, state, "before-migration", now=now())


def _checkpoint_if_large(database: Database, state: StateDir) -> None:
    try:
        if _write_ahead_log(state).stat().st_size > _CHECKPOINT_BYTES:
            database.checkpoint()
    except OSError:
        pass


def _write_ahead_log(state: StateDir) -> Path:
    return state.path / f"{state.database.name}.wal"
