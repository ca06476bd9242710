"""Reads what attempts have printed and logged, as lines of text that are safe to show."""

from __future__ import annotations

import os
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.layout import MARKS, AttemptDir, RunDir
from orchestrator.model.log_lines import Lines, Logged
from orchestrator.output_order import Mark, decode_marks, in_order
from orchestrator.regular import open_regular
from orchestrator.runlog.files import packed_logs

_TAIL_BYTES = 64 << 10
_CHUNK = 1 << 20
# Longer lines are cut when they are shown; the file has all of it.
LONGEST_LINE = 2000
# What a terminal would act on: escape sequences (also those that set a title or the clipboard), control characters, and
# those that change the direction of writing.
_ESCAPES = r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x9b|\x9d|[\u202a-\u202e\u2066-\u2069]"
_CONTROL = re.compile(rf"{_ESCAPES}|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# The characters that any of it begins with: looking for these is ten times faster.
_SUSPECT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# What reading a log file may come to; in an archive also that it is damaged.
UNREADABLE = (OSError, KeyError, EOFError, tarfile.TarError, zlib.error)

# Lines of faulthandler's report that say nothing of the user's code.
_PACKAGE = re.escape(str(Path(__file__).resolve().parent.parent))
_OUR_FRAME = re.compile(rf'  File "({_PACKAGE}|<frozen runpy>)|$|Extension modules:')


class LogFile(Struct, frozen=True):
    """One of the files that an attempt's output goes to; in an archive once its run is packed."""

    step: str
    attempt: int
    stream: str  # stdout or stderr
    path: Path
    archive: Path | None = None

    def marks(self) -> list[Mark]:
        """The notes about the order of this file and its twin; none when only one of them was written to."""
        try:
            with replace(self, path=self.path.with_name(MARKS)).open() as file:
                return decode_marks(file.read())
        except UNREADABLE:
            return []

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """The file for reading, at any place of it. Raises one of `UNREADABLE`."""
        if self.archive is None:
            with os.fdopen(open_regular(self.path), "rb") as file:
                yield file
            return
        with tarfile.open(self.archive) as archive, tempfile.TemporaryFile() as copy:
            member = archive.extractfile(str(self.path))
            if member is None:
                raise FileNotFoundError(str(self.path))
            shutil.copyfileobj(member, copy)  # going back in an archive means reading it from its beginning
            copy.seek(0)
            yield copy


def attempt_lines(step: str, files: Sequence[LogFile], logged: Sequence[Logged]) -> Iterator[Lines]:
    """Everything that one attempt printed and logged, in the order of writing."""
    with ExitStack() as stack:
        readers: dict[str, tuple[LogReader, IO[bytes], int]] = {}
        for file in files:
            try:
                opened = stack.enter_context(file.open())
            except UNREADABLE as error:
                if not isinstance(error, (FileNotFoundError, KeyError)):
                    yield Lines(step, file.stream, [f"({file.path.name} cannot be read: {error})"])
                continue
            readers[file.stream] = LogReader(file), opened, opened.seek(0, os.SEEK_END)
        sizes = [readers[stream][2] if stream in readers else 0 for stream in ("stdout", "stderr")]
        marks = files[0].marks() if files else []
        for part in in_order(marks, [line.at for line in logged], *sizes):
            if isinstance(part, int):
                yield as_lines(step, logged[part])
                continue
            reader, opened, size = readers[part.stream]
            for lines in reader.read(opened, upto=part.end, final=part.end == size):
                yield Lines(step, part.stream, lines, at=part.at)


def as_lines(step: str, logged: Logged) -> Lines:
    """A logged message, of which each line is shown."""
    text = _CONTROL.sub("", logged.text)
    return Lines(step, "log", text.split("\n"), logged.level, logged.logger, logged.at)


def log_files(run_dir: RunDir, step: str | None = None) -> list[LogFile]:
    """The log files of a run, or of one step of it, in the order of steps and attempts."""
    found = _packed_log_files(run_dir) if packed_logs(run_dir).exists() else _open_log_files(run_dir)
    wanted = [file for file in found if step is None or file.step == step]
    return sorted(wanted, key=lambda file: (file.step, file.attempt, file.stream != "stdout"))


def last_lines(files: Iterable[LogFile], attempt: int, count: int) -> list[str]:
    """The last lines that an attempt of one step wrote, stderr after stdout, as text that cannot disturb a terminal."""
    lines: list[str] = []
    for file in files:
        if file.attempt == attempt:
            lines += _without_our_frames(_tail(file))[-count:]
    return lines[-count:]


def _open_log_files(run_dir: RunDir) -> Iterator[LogFile]:
    if not run_dir.steps.is_dir():
        return
    for directory in run_dir.steps.glob("*/*"):
        if directory.name.isdigit():
            attempt = AttemptDir(directory)
            for stream, path in (("stdout", attempt.stdout), ("stderr", attempt.stderr)):
                yield LogFile(directory.parent.name, int(directory.name), stream, path)


def _packed_log_files(run_dir: RunDir) -> Iterator[LogFile]:
    with tarfile.open(packed_logs(run_dir)) as archive:
        for name in archive.getnames():
            path = Path(name)  # steps/<step>/<attempt>/stdout.log
            if path.suffix == ".log":
                yield LogFile(path.parts[1], int(path.parts[2]), path.stem, path, packed_logs(run_dir))


def _without_our_frames(lines: list[str]) -> list[str]:
    """Of what faulthandler wrote when the process crashed, the part that is about the user's code."""
    return [line for line in lines if not _OUR_FRAME.match(line)]


class LogReader:
    """Reads the lines that a log file has gained since the last time. A line counts once it is complete."""

    def __init__(self, source: LogFile) -> None:
        self.source = source
        self._offset = 0
        self._rest = b""

    def new_lines(self, *, final: bool = False) -> Iterator[list[str]]:
        """The lines added, in batches; with `final`, also what stands behind the last newline."""
        try:
            with self.source.open() as file:
                yield from self.read(file, final=final)
        except UNREADABLE:
            return

    def read(self, file: IO[bytes], *, upto: int | None = None, final: bool = False) -> Iterator[list[str]]:
        """The same, from the file that is open already; only what stands before byte `upto`, if that is given."""
        file.seek(self._offset)
        while chunk := file.read(_CHUNK if upto is None else min(_CHUNK, max(0, upto - self._offset))):
            self._offset += len(chunk)
            complete, newline, rest = chunk.rpartition(b"\n")
            if newline:
                yield printable_lines(self._rest + complete)
                self._rest = rest
            else:
                self._rest = _shortened(self._rest + chunk)
        if final and self._rest:
            yield [printable(self._rest)]
            self._rest = b""


def _shortened(rest: bytes) -> bytes:
    """A line of many megabytes is shown by its beginning, a progress bar by its last state: neither is held whole."""
    if len(rest) <= _CHUNK:
        return rest
    last = _last_state(rest)
    return last if len(last) < len(rest) else rest[: 1 << 16]


def printable_lines(data: bytes) -> list[str]:
    """Lines of any bytes as text that is safe to show."""
    text = data.decode("utf-8", errors="replace")
    if _SUSPECT.search(text):
        return [printable(line) for line in data.split(b"\n")]
    lines = text.split("\n")
    if len(data) > LONGEST_LINE and max(map(len, lines)) > LONGEST_LINE:
        return [printable(line) for line in data.split(b"\n")]
    return lines


def printable(line: bytes) -> str:
    """A line of any bytes as text without control characters, cut when it is very long."""
    line = _last_state(line)
    text = _CONTROL.sub("", line[: 4 * LONGEST_LINE].decode("utf-8", errors="replace"))
    if len(line) > 4 * LONGEST_LINE or len(text) > LONGEST_LINE:
        return f"{text[:LONGEST_LINE]}… ({len(line):,} bytes)"
    return text


def _last_state(line: bytes) -> bytes:
    """What a terminal shows of a line in which carriage returns have begun it anew (a progress bar)."""
    states = line.rstrip(b"\r").split(b"\r") if b"\r" in line else [line]
    return next((state for state in reversed(states) if state.strip()), b"")


def _tail(source: LogFile) -> list[str]:
    try:
        with source.open() as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            data = file.read()
    except UNREADABLE:
        return []
    lines = data.rstrip(b"\n").split(b"\n") if data.strip() else []
    if size > _TAIL_BYTES and len(lines) > 1:
        lines = lines[1:]  # the first one lost its beginning
    return [printable(line) for line in lines]
