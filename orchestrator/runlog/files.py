"""Reads a run's files, whether they lie open or packed, and says what is wrong with them. Writes nothing.

A run that is over may be packed: `packed.jsonl.gz` then holds run.json as its first line and the journal behind it,
and `logs.tar.gz` what its attempts printed. Only runs without an owner are packed.

A file that cannot be read raises RunDamaged here, whatever is wrong with it, so that a caller has one error to expect.
"""

from __future__ import annotations

import errno
import os
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.errors import RunDamaged
from orchestrator.journal import Lines, read_lines
from orchestrator.layout import RunDir
from orchestrator.model.run import RUN_FORMAT, RunRecord, Trigger
from orchestrator.regular import PASSING, open_regular, read_regular, why

PACKED = "packed.jsonl.gz"
PACKED_LOGS = "logs.tar.gz"
# What stands for the name of a pipeline that is not known any more.
UNKNOWN_PIPELINE = "(unreadable)"
# The line that ends a run is shorter, unless its reason is very long: then the run counts as unfinished.
_TAIL_BYTES = 8192
REPAIR = "`orchestrator state check --repair` sets aside what is damaged and repairs what it can."


def packed_file(run_dir: RunDir) -> Path:
    """Where the record and the journal of a packed run are; there if and only if it is packed."""
    return run_dir.path / PACKED


def packed_logs(run_dir: RunDir) -> Path:
    """Where its logs are; there only if it has printed anything."""
    return run_dir.path / PACKED_LOGS


def seems_finished(run_dir: RunDir) -> bool:
    """Whether the last line of the run's journal ends it, by a look at the end of the file; also of a packed run."""
    try:
        descriptor = open_regular(run_dir.journal)
    except OSError:
        return is_packed(run_dir)
    try:
        end = os.fstat(descriptor).st_size
        tail = os.pread(descriptor, _TAIL_BYTES, max(0, end - _TAIL_BYTES))
    except OSError:
        return False
    finally:
        os.close(descriptor)
    *_, last, rest = (b"\n", *tail.split(b"\n"))
    return not rest and b'"event":"run_finished"' in last


def read_record(run_dir: RunDir) -> RunRecord:
    """The run as it was requested. Raises FileNotFoundError when its files are gone, and RunDamaged."""
    data = _record_bytes(run_dir)
    try:
        record = msgspec.json.decode(data, type=RunRecord)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _unreadable_record(run_dir, data, error) from error
    if record.format > RUN_FORMAT:
        raise _newer(run_dir, record.format)
    if record.run_id != run_dir.run_id:
        raise damaged(run_dir.run_id, "its record is that of another run", record.run_id[:40])
    return record


def read_journal(run_dir: RunDir, offset: int = 0) -> Lines:
    """The complete lines of the journal from byte `offset` on; none when there is no journal. Raises RunDamaged when
    it cannot be read at all; single lines that are damaged are for their decoder to find."""
    try:
        if not is_packed(run_dir):
            return read_lines(run_dir.journal, offset)
    except OSError as error:
        raise _unreadable(run_dir, "its journal cannot be read", error) from error
    # Looked for again: between our looking and reading, the run may just have been packed.
    lines = _packed_lines(run_dir)[1:]
    skipped = 0
    while lines and skipped < offset:
        skipped += len(lines.pop(0)) + 1
    return Lines(lines, skipped + sum(len(line) + 1 for line in lines))


def is_packed(run_dir: RunDir) -> bool:
    """Whether the run is packed."""
    return os.path.lexists(packed_file(run_dir))


def has_files(run_dir: RunDir) -> bool:
    """Whether anything is there of the run: not when its directory was removed, is empty, or is something else."""
    try:
        with os.scandir(run_dir.path) as entries:
            return any(True for _ in entries)
    except (FileNotFoundError, NotADirectoryError):
        return False


def damaged(run_id: str, what: str, reason: str) -> RunDamaged:
    """The error for a run whose files cannot be read."""
    return RunDamaged(f"Run {run_id} is damaged: {what} ({reason}).", hint=REPAIR)


def salvaged_record(run_dir: RunDir) -> RunRecord:
    """As much of a record that cannot be read as can be made out, for showing: there is no plan in it."""
    fields: dict[str, Any] = {}
    try:
        found = msgspec.json.decode(_record_bytes(run_dir))
    except (OSError, RunDamaged, msgspec.MsgspecError, ValueError, RecursionError):
        found = {}
    wanted = {"pipeline": str, "location": str, "mode": str, "created_at": datetime, "tags": dict[str, str]}
    for name, kind in {**wanted, "trigger": Trigger, "parent_run_id": str, "root_run_id": str}.items():
        try:
            fields[name] = msgspec.convert(found[name], kind)
        except (LookupError, TypeError, msgspec.ValidationError):
            pass
    if fields.get("created_at") is None or fields["created_at"].tzinfo is None:
        fields["created_at"] = _changed_at(run_dir)
    unknown = {"pipeline": UNKNOWN_PIPELINE, "location": "", "mode": "", "trigger": Trigger()}
    return RunRecord(run_id=run_dir.run_id, **{**unknown, **fields})


def _record_bytes(run_dir: RunDir) -> bytes:
    try:
        return read_regular(run_dir.run_json)
    except (FileNotFoundError, NotADirectoryError):
        if is_packed(run_dir):
            return _packed_lines(run_dir)[0]
        if run_dir.path.is_dir() and any(run_dir.path.iterdir()):
            raise damaged(run_dir.run_id, "its record is missing", str(run_dir.run_json)) from None
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(run_dir.run_json)) from None
    except OSError as error:
        raise _unreadable(run_dir, "its record cannot be read", error) from error


def _packed_lines(run_dir: RunDir) -> list[bytes]:
    """The lines of a packed run, the record first. Of a file that is cut or damaged, those before the damage."""
    try:
        data = read_regular(packed_file(run_dir))
    except OSError as error:
        raise _unreadable(run_dir, "its packed files cannot be read", error) from error
    lines, problem = unpacked(data)
    if not lines:
        raise damaged(run_dir.run_id, "its packed files cannot be read", problem or "nothing is in them")
    return lines


def unpacked(data: bytes) -> tuple[list[bytes], str | None]:
    """The lines in compressed data, as far as it is whole, and what is wrong with the rest."""
    text, problem = _inflated(data)
    complete = text.rfind(b"\n") + 1
    lines = text[:complete].rstrip(b"\n").split(b"\n") if complete else []
    return lines, problem


def _inflated(data: bytes) -> tuple[bytes, str | None]:
    inflate = zlib.decompressobj(wbits=31)
    try:
        text = inflate.decompress(data)
        return text, None if inflate.eof else "its end is missing"
    except zlib.error as error:
        problem = str(error)
    # Again, byte by byte: what stands before the damage is good.
    inflate, parts = zlib.decompressobj(wbits=31), bytearray()
    try:
        for position in range(len(data)):
            parts += inflate.decompress(data[position : position + 1])
    except zlib.error:
        pass
    return bytes(parts), problem


def _unreadable(run_dir: RunDir, what: str, error: OSError) -> Exception:
    """The error for a file that the operating system does not give us; `error` itself when the file is not to blame."""
    return error if error.errno in PASSING else damaged(run_dir.run_id, what, why(error))


def _unreadable_record(run_dir: RunDir, data: bytes, error: Exception) -> RunDamaged:
    """Damaged, or of a newer version: that one says so in its first field."""
    try:
        stated = msgspec.json.decode(data, type=_Format).format
    except (msgspec.MsgspecError, ValueError, RecursionError):
        stated = 0
    if stated > RUN_FORMAT:
        return _newer(run_dir, stated)
    return damaged(run_dir.run_id, "its record cannot be read", why(error) or "nested too deep")


def _newer(run_dir: RunDir, stated: int) -> RunDamaged:
    error = RunDamaged(
        f"Run {run_dir.run_id} was written by a newer version of orchestrator (format {stated}, this one knows"
        f" {RUN_FORMAT}).",
        hint="Upgrade orchestrator to look at it or to go on with it.",
    )
    error.is_newer = True
    return error


class _Format(msgspec.Struct):
    format: int = 0


def _changed_at(run_dir: RunDir) -> datetime:
    try:
        return datetime.fromtimestamp(run_dir.path.stat().st_mtime, UTC)
    except OSError:
        return datetime.fromtimestamp(0, UTC)
