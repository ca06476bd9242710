"""Reading a run's files, whether they lie open or packed. Writes nothing: `operations.packing` packs.

A run that is over may be packed: `packed.jsonl.gz` then holds run.json as its first line and the journal behind it,
and `logs.tar.gz` what its attempts printed. Only runs that nobody drives are ever packed.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import msgspec

from orchestrator.journal import Lines, read_lines
from orchestrator.layout import RunDir
from orchestrator.records import RunRecord

PACKED = "packed.jsonl.gz"
PACKED_LOGS = "logs.tar.gz"


def packed_file(run_dir: RunDir) -> Path:
    """Where the record and the journal of a packed run are; there if and only if it is packed."""
    return run_dir.path / PACKED


def packed_logs(run_dir: RunDir) -> Path:
    """Where its logs are; there only if it has printed anything."""
    return run_dir.path / PACKED_LOGS


def read_record(run_dir: RunDir) -> RunRecord:
    """The run as it was requested. Raises FileNotFoundError when its files are gone."""
    try:
        data = run_dir.run_json.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        data = _packed_lines(run_dir)[0]
    return msgspec.json.decode(data, type=RunRecord)


def read_journal(run_dir: RunDir, offset: int = 0) -> Lines:
    """The complete lines of the journal from byte `offset` on; none when there is no journal."""
    if not packed_file(run_dir).exists():
        return read_lines(run_dir.journal, offset)
    # Looked for again: between our looking and reading, the run may just have been packed.
    lines = _packed_lines(run_dir)[1:]
    skipped = 0
    while lines and skipped < offset:
        skipped += len(lines.pop(0)) + 1
    return Lines(lines, skipped + sum(len(line) + 1 for line in lines))


def _packed_lines(run_dir: RunDir) -> list[bytes]:
    with gzip.open(packed_file(run_dir), "rb") as file:
        return file.read().rstrip(b"\n").split(b"\n")
