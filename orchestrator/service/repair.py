"""Repairs a damaged state directory. Nothing is deleted: damaged files move below the backups, and each change is
reported in a sentence.
"""

from __future__ import annotations

import os
import tarfile
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from orchestrator import clock
from orchestrator.catalog import maintenance
from orchestrator.catalog.damage import forget_damage, list_damage
from orchestrator.catalog.session import Store, open_store
from orchestrator.errors import NotPossible, RunDamaged
from orchestrator.event_lines import LONG_AGO, Undecodable, decode_line, decode_lines
from orchestrator.events import AttemptEvent, encode_line
from orchestrator.ids import RUN_ID
from orchestrator.journal import read_lines
from orchestrator.layout import STATE_DIR_MODE, RunDir, StateDir
from orchestrator.locks import is_locked
from orchestrator.private_file import write_atomically
from orchestrator.regular import read_regular
from orchestrator.run_files import has_files, is_packed, packed_file, packed_logs, read_record, unpacked
from orchestrator.service.cancel_run import log_deletion
from orchestrator.service.driver import own_run
from orchestrator.service.history import replayed
from orchestrator.service.maintenance import differing, leftovers, rebuild_damaged, refuse_beside_daemon

_DAMAGED_ARCHIVE = (OSError, EOFError, tarfile.TarError, zlib.error, ValueError)


class Aside:
    """Where damaged files are moved to: a directory below the backups, made when the first one comes."""

    def __init__(self, state: StateDir, now: datetime) -> None:
        self._state = state
        self._directory = state.backups / f"{now:%Y%m%dT%H%M%S}-damaged"

    def take(self, path: Path) -> Path:
        """Moves a file or directory there; where it is now."""
        place = maintenance.unused(self._directory / path.relative_to(self._state.path))
        place.parent.mkdir(mode=STATE_DIR_MODE, parents=True, exist_ok=True)
        return path.rename(place)


def repair_state(state: StateDir) -> list[str]:
    """Mends what can be mended; what was done, a sentence each. Raises DaemonError beside a daemon."""
    refuse_beside_daemon(state)
    aside = Aside(state, clock.now())
    done = list(_mend_names(state, aside))
    rebuilt = rebuild_damaged(state)
    if rebuilt is not None:
        done.append(f"The database could not be read. It is in {rebuilt.damaged} now, and a new one was made.")
        done += [f"Of the {one.what}, {one.rows:,} could be read." for one in rebuilt.saved if one.lost != 0]
    with open_store(state) as store:
        for name in sorted(os.listdir(state.runs)):  # noqa: PTH208
            if RUN_ID.fullmatch(name):
                done += _mend_run(store, state.run(name), aside)
        done += _index_again(store, state)
        done += _forget_lost(store)
        store(forget_damage, [""])  # what is said of the state as a whole has been read
    done += _remove_leftovers(state)
    with open_store(state):
        pass  # takes in what was mended
    return done


def _mend_names(state: StateDir, aside: Aside) -> Iterator[str]:
    """Moves away what has the name of one of our files and is something else."""
    for path in (state.lock, state.daemon_lock, state.daemon_sock, state.daemon_json, state.deleted):
        if os.path.lexists(path) and (path.is_symlink() or not (path.is_file() or path.is_socket())):
            yield f"{path} was no file of ours. It is in {aside.take(path)} now."
    for path in (state.admission_lock, state.daemon_log, state.daemon_err):
        if os.path.lexists(path) and not path.is_file():  # a link to a file may be intended
            yield f"{path} was no file. It is in {aside.take(path)} now."
    for name in sorted(os.listdir(state.pending)):  # noqa: PTH208
        path = state.pending / name
        if not RUN_ID.fullmatch(name) or path.is_symlink() or not path.is_file():
            yield f"{path} was no mark of a run. It is in {aside.take(path)} now."


def _forget_lost(store: Store) -> Iterator[str]:
    """Takes back what is said of runs whose files are gone: there is nothing left to mend."""
    lost = sorted({run_id for run_id, _ in store(list_damage) if run_id and not has_files(store.state.run(run_id))})
    yield from (f"The files of run {run_id} are gone. What the index knows of it stays." for run_id in lost)
    store(forget_damage, lost)


def _index_again(store: Store, state: StateDir) -> Iterator[str]:
    """Takes in again the runs that the index lacks, or has otherwise than their journals."""
    for run_id in differing(state, store(maintenance.indexed_runs)):
        store(maintenance.rebuild, state, [run_id])
        yield f"What the index had of run {run_id} differed from its journal. It was taken in again."


def _mend_run(store: Store, run_dir: RunDir, aside: Aside) -> Iterator[str]:
    if run_dir.path.is_symlink() or not run_dir.path.is_dir():
        yield f"{run_dir.path} was no directory of a run. It is in {aside.take(run_dir.path)} now."
        return
    if os.path.lexists(run_dir.owner_lock) and (run_dir.owner_lock.is_symlink() or not run_dir.owner_lock.is_file()):
        yield f"{run_dir.owner_lock} was no file of ours. It is in {aside.take(run_dir.owner_lock)} now."
    try:
        lock = own_run(run_dir)
    except NotPossible:
        return  # it is being driven: its owner goes by what it has read
    try:
        changed = list(_mend_files(store, run_dir, aside))
    finally:
        lock.release()
    if changed and run_dir.path.exists():
        store(maintenance.rebuild, store.state, [run_dir.run_id])
    elif changed:
        store(forget_damage, [run_dir.run_id])
    yield from changed


def _mend_files(store: Store, run_dir: RunDir, aside: Aside) -> Iterator[str]:
    try:
        record = read_record(run_dir)
        yield from _mend_journal(store, run_dir, aside)
        replayed(run_dir, record, ())
    except FileNotFoundError:
        yield f"{run_dir.path} held no run. It is in {aside.take(run_dir.path)} now."
        return
    except RunDamaged as error:
        if not error.is_newer:
            log_deletion(store, run_dir.run_id, clock.now(), is_listed=True)
            yield f"{error.message} Its files are in {aside.take(run_dir.path)} now; its events stay in the index."
        return
    if is_packed(run_dir):
        yield from _check_packed_logs(run_dir, aside)
    elif not run_dir.steps.is_dir() and _has_attempts(run_dir):
        if os.path.lexists(run_dir.steps):
            aside.take(run_dir.steps)
        run_dir.steps.mkdir(mode=STATE_DIR_MODE)
        yield f"What the steps of run {run_dir.run_id} printed is gone: its directory `steps` was missing."


def _mend_journal(store: Store, run_dir: RunDir, aside: Aside) -> Iterator[str]:
    """Puts a journal together from what is on disk and from what the index has of it."""
    found, is_whole = _lines_on_disk(run_dir)
    indexed = [line.encode() for line in store(maintenance.indexed_lines, run_dir.run_id)]
    wanted, replaced = mended_lines(found, indexed)
    if is_whole and wanted == found:
        return
    original = packed_file(run_dir) if is_packed(run_dir) else run_dir.journal
    if original == packed_file(run_dir):
        write_atomically(run_dir.run_json, unpacked(read_regular(original))[0][0] + b"\n", sync=True)
    where = aside.take(original) if os.path.lexists(original) else None
    write_atomically(run_dir.journal, b"".join(line + b"\n" for line in wanted), sync=True)
    lost = f" {replaced} of its lines could not be read and are marked as such." if replaced else ""
    restored = len(wanted) - len(found)
    back = f" {restored} lines came back from the index." if restored > 0 else ""
    kept = f" The original is in {where}." if where else ""
    yield f"The journal of run {run_dir.run_id} was mended.{lost}{back}{kept}"


def mended_lines(found: list[bytes], indexed: list[bytes]) -> tuple[list[bytes], int]:
    """The lines of a journal with each one that cannot be read replaced: by what the index has in its place, or by an
    event that says so; and how many of the latter there are. Lines that the index has beyond the end come back."""
    wanted, replaced, at = [], 0, LONG_AGO
    for number, line in enumerate(found):
        good = next((one for one in (line, *indexed[number : number + 1]) if _is_event(one)), None)
        if good is None:
            good = encode_line(decode_lines([line], at)[0])[:-1]
            replaced += 1
        at = decode_line(good).at
        wanted.append(good)
    if wanted == indexed[: len(wanted)]:
        wanted += [line for line in indexed[len(wanted) :] if _is_event(line)]
    return wanted, replaced


def _is_event(line: bytes) -> bool:
    try:
        decode_line(line)
    except Undecodable:
        return False
    return True


def _lines_on_disk(run_dir: RunDir) -> tuple[list[bytes], bool]:
    """The lines that can be read, and whether that is all of the file."""
    try:
        if is_packed(run_dir):
            lines, problem = unpacked(read_regular(packed_file(run_dir)))
            return lines[1:], problem is None
        return read_lines(run_dir.journal).lines, True
    except OSError:
        return [], False


def _check_packed_logs(run_dir: RunDir, aside: Aside) -> Iterator[str]:
    path = packed_logs(run_dir)
    if not os.path.lexists(path):
        return
    try:
        with tarfile.open(path) as archive:
            archive.getnames()
    except _DAMAGED_ARCHIVE:
        yield f"What run {run_dir.run_id} printed could not be read. It is in {aside.take(path)} now."


def _has_attempts(run_dir: RunDir) -> bool:
    return any(isinstance(event, AttemptEvent) for event in decode_lines(read_lines(run_dir.journal).lines))


def _remove_leftovers(state: StateDir) -> Iterator[str]:
    aside = Aside(state, clock.now())
    for path in leftovers(state):
        if not is_locked(path):
            yield f"{path} was left by a run that never came into being. It is in {aside.take(path)} now."
