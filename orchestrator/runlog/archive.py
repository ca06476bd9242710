"""Packs the files of a finished run: from a dozen small files to one or two."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrator.errors import RunDamaged
from orchestrator.layout import MARKS, RunDir
from orchestrator.locks import try_lock
from orchestrator.private_file import FILE_MODE
from orchestrator.regular import read_regular
from orchestrator.runlog.files import is_packed, packed_file, packed_logs, unpacked
from orchestrator.runlog.logs import log_files


def pack(run_dir: RunDir, is_over: Callable[[], bool]) -> bool:
    """Packs a run; False when it is not over by `is_over`, is being driven, or is packed already. `is_over` may raise
    RunDamaged and FileNotFoundError.

    Whatever the moment at which this is interrupted, the run stays readable: the open files go only once the packed
    ones are complete.
    """
    if is_packed(run_dir):
        if run_dir.run_json.exists() and _is_whole(run_dir):
            _remove_open_files(run_dir)  # of a packing that was cut short
        return False
    lock = try_lock(run_dir.owner_lock)
    if lock is None:
        return False
    try:
        try:
            if not is_over():
                return False
        except (RunDamaged, FileNotFoundError):
            return False  # it is left as it is, for `state check` to find
        _pack_logs(run_dir)
        _pack_journal(run_dir)
        _remove_open_files(run_dir)
        return True
    finally:
        lock.release()


def _is_whole(run_dir: RunDir) -> bool:
    try:
        return unpacked(read_regular(packed_file(run_dir)))[1] is None
    except OSError:
        return False


def size_on_disk(path: str) -> int:
    """Bytes that a directory takes up, in whole blocks, as the file system counts them."""
    total = 0
    for directory, _, files in os.walk(path):
        for name in ["", *files]:
            try:
                total += os.lstat(os.path.join(directory, name)).st_blocks * 512  # noqa: PTH118
            except FileNotFoundError:
                pass
    return total


def _pack_journal(run_dir: RunDir) -> None:
    unfinished = packed_file(run_dir).with_suffix(".tmp")
    with gzip.GzipFile(unfinished, "wb", compresslevel=9, mtime=0) as file:
        file.write(run_dir.run_json.read_bytes() + b"\n")
        file.write(run_dir.journal.read_bytes())
    unfinished.chmod(FILE_MODE)
    unfinished.replace(packed_file(run_dir))


def _pack_logs(run_dir: RunDir) -> None:
    if packed_logs(run_dir).exists():
        return  # by a packing that was cut short
    files = [source.path for source in log_files(run_dir) if source.path.exists() and source.path.stat().st_size]
    if not files:
        return
    files += run_dir.steps.glob(f"*/*/{MARKS}")
    unfinished = packed_logs(run_dir).with_suffix(".tmp")
    with tarfile.open(unfinished, "w:gz") as archive:
        for path in files:
            archive.add(path, arcname=str(path.relative_to(run_dir.path)))
    unfinished.chmod(FILE_MODE)
    unfinished.replace(packed_logs(run_dir))


def _remove_open_files(run_dir: RunDir) -> None:
    shutil.rmtree(run_dir.steps, ignore_errors=True)
    for path in _loose(run_dir):
        path.unlink(missing_ok=True)


def _loose(run_dir: RunDir) -> Iterator[Path]:
    yield run_dir.run_json
    yield run_dir.journal
    yield run_dir.cancel
    yield run_dir.owner_lock
