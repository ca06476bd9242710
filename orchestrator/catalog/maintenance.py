"""Copies the database, restores a copy, and rebuilds the index. The caller has the database to itself."""

from __future__ import annotations

import os
import threading
from datetime import datetime
from pathlib import Path

import msgspec

from orchestrator.catalog.automations import list_automations
from orchestrator.catalog.codec import from_json, from_timestamp
from orchestrator.catalog.database import Database
from orchestrator.catalog.ingest import delete_index, ingest
from orchestrator.catalog.kinds import reads, slow, writes
from orchestrator.catalog.schema import VERSION, schema_version
from orchestrator.errors import RunDamaged, StoreError
from orchestrator.ids import new_run_id
from orchestrator.model.run import Trigger
from orchestrator.model.tick import dedupe_key
from orchestrator.runlog.deleted import Used, read_deleted
from orchestrator.runlog.inventory import run_ids_on_disk
from orchestrator.runlog.run_log import RunLog
from orchestrator.state_dir import StateDir, unused

TABLES = (
    "meta",
    "runs",
    "events",
    "steps",
    "materializations",
    "wiped_assets",
    "automations",
    "tick_rows",
    "run_keys",
    "queue",
    "plans",
    "run_endings",
    "acknowledged_runs",
    "deliveries",
    "damage",
)

_REMEMBERED = ("meta", "runs", "steps", "materializations", "automations", "run_keys", "run_endings")

_naming = threading.Lock()


@slow
def back_up(database: Database, state: StateDir, label: str, *, now: datetime) -> Path:
    """Copies the database into the backups; the path of the copy. What has that name is whole: on a full disk there is
    none rather than half a one."""
    state.backups.mkdir(mode=0o700, exist_ok=True)
    path = state.backups / f"{now:%Y%m%dT%H%M%S}-{label}.duckdb"
    # Several may be made at once, by threads of the daemon.
    unfinished = path.with_suffix(f".{new_run_id()}.unfinished")
    try:
        database.copy_to(unfinished)
        unfinished.chmod(0o600)
        with _naming:
            return unfinished.rename(unused(path))
    finally:
        # A copy that failed also leaves a write-ahead log, which would be replayed into the next one of that name.
        for left_over in (unfinished, unfinished.with_name(f"{unfinished.name}.wal")):
            left_over.unlink(missing_ok=True)


@slow
def copy_remembered(database: Database, path: str) -> None:
    """Writes a new database that holds what schedules and sensors go by: what is remembered of them, their keys, the
    runs and how they ended, the assets. Its other tables are empty."""
    with database.attached(Path(path)) as copied:
        with database.transaction():  # all tables as they are at one moment, whatever is written meanwhile
            for table in TABLES:
                condition = "" if table in _REMEMBERED else " WHERE false"
                database.execute(f"CREATE TABLE {copied}.{table} AS SELECT * FROM {table}{condition}")
        database.execute(f"CHECKPOINT {copied}")


def compact(database: Database, state: StateDir) -> None:
    """Rewrites the database without its holes. The caller holds the lock; `database` is closed afterwards.

    A small database is larger when it is written anew, because each table that has rows takes whole blocks: it stays.
    """
    fresh = state.database.with_suffix(".compacted")
    fresh.unlink(missing_ok=True)
    database.copy_to(fresh)
    old = [path.stat().st_size for path in (state.database, _write_ahead_log(state)) if path.exists()]
    if fresh.stat().st_size >= sum(old):
        fresh.unlink()
        return
    put_in_place(database, state, fresh)


def put_in_place(database: Database, state: StateDir, fresh: Path) -> None:
    """Replaces the database by a file beside it, and closes the old one. The caller holds the lock.

    The old write-ahead log is folded in first: found beside the new file, it would be replayed into it.
    """
    database.checkpoint()
    database.close()
    fresh.chmod(0o600)
    descriptor = os.open(fresh, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    _write_ahead_log(state).unlink(missing_ok=True)
    fresh.replace(state.database)


def copy_of_backup(state: StateDir, backup: Path) -> Path:
    """A copy of a backup beside the database, checked to be one of ours. Raises StoreError."""
    if not backup.is_file():
        raise StoreError(f"There is no backup {backup}.", hint=f"Backups are in {state.backups}.")
    fresh = state.database.with_suffix(".restored")
    fresh.unlink(missing_ok=True)
    source = Database(backup)
    try:
        version = schema_version(source)
        if not 0 < version <= VERSION:
            raise StoreError(f"{backup} is not a backup that this version can use (schema version {version}).")
        source.copy_to(fresh)
    finally:
        source.close()
    return fresh


@writes
def rebuild(
    database: Database,
    state: StateDir,
    run_ids: list[str],
    ordinals: list[tuple[str, int]] | None = None,
    used: Used | None = None,
) -> int:
    """Makes the index of these runs from their journals; how many lines those have. All or nothing. Others wait for it
    in a daemon: ask for a handful of runs at a time there.

    A materialization that was known keeps its place in the order of its asset, so that cursors stay right; what was
    wiped from the catalog stays wiped. What runs that were not known here were asked for with counts as used, and what
    was deleted stays deleted: after an older backup was restored, nothing is asked for a second time. `ordinals` are
    known places of materializations that are not in this database.
    """
    used = used or Used(read_deleted(state))
    with database.transaction():
        known_runs = {row[0] for row in database.rows("SELECT run_id FROM runs")}
        known = ordinals or database.rows(
            "SELECT id, ordinal FROM materializations WHERE run_id IN (SELECT unnest(?))", [run_ids]
        )
        row = database.row("SELECT max(ordinal) FROM materializations")
        highest = max([int(row[0]) if row and row[0] is not None else 0, *(place for _, place in known)])
        _stay_deleted(database, used, set(run_ids_on_disk(state)))
        # Of a run that cannot be read any more the index is all there is.
        kept = {run_id for run_id in run_ids if run_id in known_runs and not _is_readable(RunLog(state, run_id))}
        run_ids = [run_id for run_id in run_ids if run_id not in kept]
        delete_index(database, run_ids)
        _count_from(database, highest + 1)
        lines = ingest(database, state, run_ids)
        _use_keys(database, set(run_ids) - known_runs, used)
        if known:
            database.execute(
                "UPDATE materializations SET ordinal = known.ordinal FROM"
                " (SELECT unnest(?) AS id, unnest(?) AS ordinal) AS known WHERE materializations.id = known.id",
                [[row[0] for row in known], [row[1] for row in known]],
            )
        database.execute(
            "DELETE FROM materializations USING wiped_assets"
            " WHERE materializations.asset_key = wiped_assets.asset_key AND materialized_at <= wiped_at"
        )
        _catch_up_with_cursors(database)
    return lines


def _is_readable(run_log: RunLog) -> bool:
    try:
        run_log.record()
        run_log.lines()
    except (RunDamaged, FileNotFoundError):
        return False
    return True


def _stay_deleted(database: Database, used: Used, with_files: set[str]) -> None:
    """Removes runs that were deleted after this database was written, and counts their keys as used."""
    gone = sorted(used.runs - with_files)
    delete_index(database, gone)
    over = sorted(used.listed - with_files)
    database.execute(
        "UPDATE runs SET status = 'CANCELED', reason = 'canceled while it was queued'"
        " WHERE status = 'QUEUED' AND run_id IN (SELECT unnest(?))",
        [over],
    )
    database.execute("DELETE FROM queue WHERE run_id IN (SELECT unnest(?))", [[*gone, *over]])
    _insert_keys(database, used.keys)


def _use_keys(database: Database, run_ids: set[str], used: Used) -> None:
    """Counts as used what the triggers of these runs say they were asked for with, unless it was forgotten since."""
    rows = database.rows(
        "SELECT run_id, trigger_json, created_at FROM runs WHERE run_id IN (SELECT unnest(?)) ORDER BY created_at",
        [list(run_ids)],
    )
    keys: dict[tuple[str, str], str] = {}
    for run_id, text, created_at in rows:
        key = key_of(from_json(text, Trigger))
        at = from_timestamp(created_at)
        if key is not None and at is not None and not used.was_forgotten(*key, at):
            keys.setdefault(key, run_id)
    _insert_keys(database, keys)


def key_of(trigger: Trigger) -> tuple[str, str] | None:
    """The schedule or sensor that asked for a run, and the key that it used by that; None when there is none."""
    key = dedupe_key(trigger.run_key, trigger.scheduled_at) if trigger.kind in ("schedule", "sensor") else None
    return None if key is None or trigger.name is None else (trigger.name, key)


def _insert_keys(database: Database, keys: dict[tuple[str, str], str]) -> None:
    database.execute(
        "INSERT INTO run_keys (automation, run_key, run_id) SELECT unnest(?), unnest(?), unnest(?)"
        " ON CONFLICT DO NOTHING",
        [[name for name, _ in keys], [key for _, key in keys], list(keys.values())],
    )


def _count_from(database: Database, least: int) -> None:
    """Lets new materializations get ordinals from `least` on, or from where they have got to already."""
    start = max(least, int(database.meta("next_ordinal") or 1))
    database.execute("DELETE FROM meta WHERE name = 'next_ordinal'")
    database.execute("INSERT INTO meta VALUES ('next_ordinal', ?)", [str(start)])


def _catch_up_with_cursors(database: Database) -> None:
    """Moves ordinals up that were given out anew and lie below what a sensor has got to: it would see nothing that
    comes now. The order stays as it is."""
    for table, kind in (("materializations", "asset_sensor"), ("run_endings", "run_status_sensor")):
        cursors = [one.cursor for one in list_automations(database) if one.kind == kind and one.cursor]
        furthest = max((place for cursor in cursors for place in _places(cursor)), default=0)
        row = database.row(f"SELECT max(ordinal) FROM {table}")
        newest = int(row[0]) if row and row[0] is not None else 0
        if 0 < newest < furthest:
            database.execute(f"UPDATE {table} SET ordinal = ordinal + ?", [furthest - newest])
        if table == "materializations":
            _count_from(database, furthest + 1)


def _places(cursor: str) -> list[int]:
    try:
        return list(msgspec.json.decode(cursor, type=dict[str, int]).values())
    except (msgspec.MsgspecError, ValueError):
        return []


@slow
def indexed_runs(database: Database) -> dict[str, tuple[str, int]]:
    """What the index knows of each run: its status, and how many lines of its journal."""
    return {row[0]: (row[1], row[2]) for row in database.rows("SELECT run_id, status, journal_lines FROM runs")}


@reads
def indexed_lines(database: Database, run_id: str) -> list[str]:
    """The lines of a journal as they were taken in."""
    return [row[0] for row in database.rows("SELECT body FROM events WHERE run_id = ? ORDER BY seq", [run_id])]


@slow
def scan(database: Database) -> dict[str, int]:
    """How many rows each table has, found by reading all of them."""
    counts = {}
    for table in TABLES:
        # The hash has every block of every column read; counting alone reads none.
        row = database.row(f"SELECT count(*), bit_xor(hash(everything)) FROM {table} AS everything")
        counts[table] = int(row[0]) if row else 0
    return counts


def _write_ahead_log(state: StateDir) -> Path:
    return state.path / f"{state.database.name}.wal"
