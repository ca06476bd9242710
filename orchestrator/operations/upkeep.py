"""Looking after the state directory: backups, compaction, rebuilding the index, finding damage. Knows no table: those
are known to the store only.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from orchestrator import clock
from orchestrator.errors import DaemonError, OrchestratorError
from orchestrator.ids import RUN_ID
from orchestrator.layout import RunDir, StateDir
from orchestrator.locks import is_locked
from orchestrator.operations.history import is_driven, progress_of
from orchestrator.operations.packing import pack, size_on_disk
from orchestrator.run_files import read_journal, run_ids_on_disk
from orchestrator.store import maintenance
from orchestrator.store.damage import list_damage
from orchestrator.store.salvage import Salvaged, known_ordinals, salvage
from orchestrator.store.session import open_store, set_aside_damaged


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
    with open_store(state, ingest=False) as store:
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
    packed = sum(pack(run_dir) for run_dir in run_dirs(state) if not state.pending_marker(run_dir.run_id).exists())
    with open_store(state) as store:
        maintenance.compact(store.database, state)
    return Compacted(packed, before, _size(state))


def refuse_beside_daemon(state: StateDir) -> None:
    """Refuses what needs the database file for itself while a daemon has it."""
    if is_locked(state.daemon_lock):
        raise DaemonError(
            "A daemon has the state, and this needs it for itself.",
            hint="Stop it with `orchestrator daemon stop`, and start it again afterwards.",
        )


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
    run_ids = run_ids_on_disk(state)
    with open_store(state, ingest=False) as store:
        if damaged is None:
            return Rebuilt(len(run_ids), store(maintenance.rebuild, state, run_ids), is_new=is_new)
        path, problem = damaged
        saved = salvage(path, store.database, run_ids)
        lines = maintenance.rebuild(store.database, state, run_ids, known_ordinals(path))
        return Rebuilt(len(run_ids), lines, path, problem, tuple(saved))


def newest_backup(state: StateDir) -> Path | None:
    """The newest backup that may be restored."""
    found = [path for path in state.backups.glob("*.duckdb") if "-damaged" not in path.name]
    return max(found, key=lambda path: path.name, default=None)


def check_state(state: StateDir) -> list[str]:
    """Everything that is not as it should be, each in a sentence; nothing is changed but the usual ingestion."""
    problems = list(_private(state))
    try:
        with open_store(state) as store:
            store(maintenance.scan)
            indexed = store(maintenance.indexed_runs)
            damage = store(list_damage)
    except OrchestratorError as error:
        return [*problems, str(error)]
    problems += [problem for _, problem in damage]
    for run_dir in run_dirs(state):
        problems += _run_problems(state, run_dir, indexed)
    problems += _leftovers(state)
    return problems


def run_dirs(state: StateDir) -> list[RunDir]:
    """The directories of all runs."""
    return [RunDir(Path(entry.path)) for entry in os.scandir(state.runs) if RUN_ID.fullmatch(entry.name)]


def _run_problems(state: StateDir, run_dir: RunDir, indexed: dict[str, tuple[str, int]]) -> Iterator[str]:
    run_id = run_dir.run_id
    try:
        progress = progress_of(run_dir)
        lines = len(read_journal(run_dir).lines)
    except Exception as error:  # whatever a damaged file leads to: that is what is being looked for
        yield f"the files of run {run_id} cannot be read: {type(error).__name__}: {error}"
        return
    if is_driven(run_dir) or state.pending_marker(run_id).exists():
        return  # it grows: what the index has of it is behind by nature
    if run_id not in indexed:
        yield f"run {run_id} is not in the index (`orchestrator state rebuild` puts it there)"
    elif indexed[run_id] != (str(progress.status), lines):
        yield f"the index has run {run_id} as {indexed[run_id]}, its journal as {(str(progress.status), lines)}"


def _private(state: StateDir) -> Iterator[str]:
    mode = stat.S_IMODE(state.path.stat().st_mode)
    if mode & 0o077:
        yield f"{state.path} can be read by others (mode {mode:04o}); `chmod 700` makes it private"


def _leftovers(state: StateDir) -> Iterator[str]:
    for entry in os.scandir(state.runs):
        if entry.name.startswith(".") and clock.now().timestamp() - entry.stat().st_mtime > 3600:
            yield f"{entry.path} was left by a run that never came into being; it can be deleted"


def _size(state: StateDir) -> int:
    return size_on_disk(str(state.path)) - (size_on_disk(str(state.storage)) if state.storage.exists() else 0)
