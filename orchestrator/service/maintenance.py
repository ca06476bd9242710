"""Maintains the state directory: backups, compaction, rebuilding the index, finding damage."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from orchestrator import clock
from orchestrator.catalog import maintenance
from orchestrator.catalog.damage import list_damage
from orchestrator.catalog.rpc_client import RemoteStore
from orchestrator.catalog.salvage import known_ordinals, salvage
from orchestrator.catalog.session import needs_state_alone, open_local, open_store, set_aside_damaged
from orchestrator.errors import OrchestratorError, RunDamaged, StoreError
from orchestrator.locks import is_locked
from orchestrator.model.event_lines import decode_lines
from orchestrator.model.events import AnyEvent, OutputStored
from orchestrator.model.run import RunRecord
from orchestrator.model.salvaged import Salvaged
from orchestrator.runlog.archive import size_on_disk
from orchestrator.runlog.check import unreadable_parts
from orchestrator.runlog.inventory import all_runs, leftovers, run_ids_on_disk, strange_marks
from orchestrator.runlog.run_log import RunLog
from orchestrator.service.history import progress_of, replayed
from orchestrator.state_dir import StateDir

# What a daemon takes in at once: some tens of milliseconds of work.
_HANDFUL = 50
_HANDFUL_BYTES = 1 << 20


class Compacted(msgspec.Struct, frozen=True):
    """What a compaction came to. Sizes are of the whole state directory, the stored values left out."""

    packed: int
    bytes_before: int
    bytes_after: int


def back_up_state(state: StateDir) -> Path:
    """Copies the database; the path of the copy. The journals lie in `runs/` and are not copied."""
    with open_store(state) as store:
        return store(maintenance.back_up, state, "manual", now=clock.now())


def restore_state(state: StateDir, backup: Path) -> Path:
    """Puts a backup in the database's place and takes all journals in again; where the old database was saved."""
    refuse_beside_daemon(state)
    fresh = maintenance.copy_of_backup(state, backup)  # before anything is touched: it may not be one
    damaged = set_aside_damaged(state, newer_too=True)
    with open_local(state, ingest=False) as store:
        if damaged is not None:
            saved = damaged[0]
        else:
            saved = maintenance.back_up(store.database, state, "before-restore", now=clock.now())
        maintenance.put_in_place(store.database, state, fresh)
    rebuild_index(state)
    return saved


def compact_state(state: StateDir) -> Compacted:
    """Packs what can be packed and rewrites the database. Safe at any time, and beside running runs."""
    refuse_beside_daemon(state)
    before = _size(state)
    with open_store(state):
        pass  # a run is packed only once all of it is in the index
    packed = sum(_pack(run_log) for run_log in all_runs(state) if not run_log.is_pending())
    with open_local(state) as store:
        maintenance.compact(store.database, state)
    return Compacted(packed, before, _size(state))


def _pack(run_log: RunLog) -> bool:
    return run_log.pack(lambda: progress_of(run_log).is_finished)


def refuse_beside_daemon(state: StateDir) -> None:
    """Refuses what needs the database file for itself while a daemon has it."""
    if is_locked(state.daemon_lock):
        raise needs_state_alone()


class Rebuilt(msgspec.Struct, frozen=True):
    """What making the index anew came to. When there was a database that cannot be read: `damaged` is where it is now,
    `problem` what is wrong with it, and `saved` what could be read of it, table by table. `is_new`: there was none."""

    runs: int
    lines: int
    damaged: Path | None = None
    problem: str = ""
    saved: tuple[Salvaged, ...] = ()
    is_new: bool = False


def rebuild_index(state: StateDir) -> Rebuilt:
    """Makes the index anew from the journals. A database that cannot be read is set aside first, and what can still be
    read of it is kept."""
    beside_daemon = is_locked(state.daemon_lock)
    damaged = None if beside_daemon else set_aside_damaged(state)
    is_new = damaged is None and not os.path.lexists(state.database)
    if damaged is not None:
        return _from_damaged(state, *damaged)
    run_ids = run_ids_on_disk(state)
    with open_store(state, ingest=False) as store:
        parts = _handfuls(state, run_ids) if isinstance(store, RemoteStore) else [run_ids]
        lines = sum(store(maintenance.rebuild, state, part) for part in parts)
        return Rebuilt(len(run_ids), lines, is_new=is_new)


def _handfuls(state: StateDir, run_ids: list[str]) -> Iterator[list[str]]:
    """The runs in parts that a daemon takes in within a moment each, so that it does its own work in between. Each part
    is all or nothing; a process that dies on the way has lost nothing, and repeats it."""
    part: list[str] = []
    size = 0
    for run_id in run_ids:
        part.append(run_id)
        size += RunLog(state, run_id).size() or 0
        if len(part) == _HANDFUL or size > _HANDFUL_BYTES:
            yield part
            part, size = [], 0
    yield part  # also when it is empty: what was deleted is looked at in any case


def rebuild_damaged(state: StateDir) -> Rebuilt | None:
    """As `rebuild_index`, when the database cannot be read; None when it can."""
    damaged = set_aside_damaged(state)
    return None if damaged is None else _from_damaged(state, *damaged)


def _from_damaged(state: StateDir, path: Path, problem: str) -> Rebuilt:
    run_ids = run_ids_on_disk(state)
    with open_local(state, ingest=False) as store:
        saved = salvage(path, store.database, run_ids)
        lines = maintenance.rebuild(store.database, state, run_ids, known_ordinals(path))
    return Rebuilt(len(run_ids), lines, path, problem, tuple(saved))


def newest_backup(state: StateDir) -> Path | None:
    """The newest backup that may be restored."""
    return next(iter(backups(state)), None)


def find_backup(state: StateDir, wanted: Path) -> Path:
    """The backup at that path, or with that name among the backups. Raises StoreError."""
    for path in (wanted, state.backups / wanted):
        if path.is_file():
            return path
    raise StoreError(
        f"There is no backup {wanted}.", hint=f"`orchestrator state restore` lists those in {state.backups}."
    )


def backups(state: StateDir) -> list[Path]:
    """The backups that may be restored, the newest first."""
    found = (path for path in state.backups.glob("*.duckdb") if "-damaged" not in path.name and path.is_file())
    return sorted(found, key=lambda path: path.name, reverse=True)


def check_state(state: StateDir) -> list[str]:
    """Everything that is not as it should be, each in a sentence; nothing is changed but the usual ingestion."""
    problems = [*_private(state), *(f"{path} is no mark of a run" for path in strange_marks(state))]
    try:
        with open_store(state) as store:
            store(maintenance.scan)
            indexed = store(maintenance.indexed_runs)
            damage = store(list_damage)
    except OrchestratorError as error:
        return [*problems, str(error)]
    problems += [problem for _, problem in damage]
    known = {run_id for run_id, _ in damage}
    stored = _Stored(state)
    for run_log in all_runs(state):
        if run_log.run_id not in known:
            problems += _run_problems(run_log, indexed, stored)
    problems += stored.problems()
    return problems + [f"{path} was left by a run that never came into being" for path in leftovers(state)]


class _Stored:
    """Which runs have stored values, and which should have: a run that stored something, of a pipeline whose other
    runs have their values here. Managers that keep values elsewhere are not checked."""

    def __init__(self, state: StateDir) -> None:
        self._state = state
        self._storing: dict[tuple[str, str, str], list[str]] = {}

    def take(self, record: RunRecord, events: list[AnyEvent]) -> None:
        if any(isinstance(event, OutputStored) for event in events):
            self._storing.setdefault((record.location, record.pipeline, record.mode), []).append(record.run_id)

    def problems(self) -> Iterator[str]:
        there = self._there()  # looked for after the journals were read: a run may have stored its first value since
        for run_ids in self._storing.values():
            if there.isdisjoint(run_ids):
                continue
            for run_id in run_ids:
                if run_id not in there:
                    yield f"the stored values of run {run_id} are gone; a run that continues it cannot read them"

    def _there(self) -> set[str]:
        try:
            return {entry.name for entry in os.scandir(self._state.storage)}
        except OSError:
            return set()


def differing(state: StateDir, indexed: dict[str, tuple[str, int]]) -> list[str]:
    """Readable runs without an owner whose journals differ from the index."""
    found = []
    for run_log in all_runs(state):
        try:
            lines = run_log.lines().lines
            progress = replayed(run_log, run_log.record(), decode_lines(lines))
        except (RunDamaged, OSError):
            continue
        if not _grows(run_log) and indexed.get(run_log.run_id) != (str(progress.status), len(lines)):
            found.append(run_log.run_id)
    return found


def _grows(run_log: RunLog) -> bool:
    """Whether what the index has of the run is behind by nature."""
    return run_log.is_owned() or run_log.is_pending()


def _run_problems(run_log: RunLog, indexed: dict[str, tuple[str, int]], stored: _Stored) -> Iterator[str]:
    run_id = run_log.run_id
    try:
        record = run_log.record()
        lines = run_log.lines().lines
        events = decode_lines(lines)
        progress = replayed(run_log, record, events)
    except FileNotFoundError:
        yield f"{run_log.directory} holds no run"
        return
    except (RunDamaged, OSError) as error:
        yield getattr(error, "message", str(error))
        return
    stored.take(record, events)
    if _grows(run_log):
        return
    yield from unreadable_parts(run_log, events)
    if run_id not in indexed:
        yield f"run {run_id} is not in the index (`orchestrator state rebuild` puts it there)"
    elif indexed[run_id] != (str(progress.status), len(lines)):
        yield (
            f"the index has run {run_id} as {indexed[run_id]}, its journal as {(str(progress.status), len(lines))}"
            " (`orchestrator state check --repair` puts both together)"
        )


def _private(state: StateDir) -> Iterator[str]:
    mode = stat.S_IMODE(state.path.stat().st_mode)
    if mode & 0o077:
        yield f"{state.path} can be read by others (mode {mode:04o}); `chmod 700` makes it private"


def _size(state: StateDir) -> int:
    return size_on_disk(str(state.path)) - (size_on_disk(str(state.storage)) if state.storage.exists() else 0)
