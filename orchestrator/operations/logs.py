"""What attempts have printed and logged, as lines of text that are safe to show. Colours nothing."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from orchestrator.layout import AttemptDir, RunDir
from orchestrator.run_files import packed_logs

_TAIL_BYTES = 64 << 10
# Longer lines are cut when they are shown; the file has all of it.
LONGEST_LINE = 2000
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")

# Lines of faulthandler's report that say nothing of the user's code.
_PACKAGE = re.escape(str(Path(__file__).resolve().parent.parent))
_OUR_FRAME = re.compile(rf'  File "({_PACKAGE}|<frozen runpy>)|$|Extension modules:')


@dataclass(frozen=True)
class LogFile:
    """One of the files that an attempt's output goes to; in an archive once its run is packed."""

    step: str
    attempt: int
    stream: str  # stdout or stderr
    path: Path
    archive: Path | None = None

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """The file for reading. Raises FileNotFoundError."""
        if self.archive is None:
            with self.path.open("rb") as file:
                yield file
            return
        with tarfile.open(self.archive) as archive:
            member = archive.extractfile(str(self.path))
            if member is None:
                raise FileNotFoundError(str(self.path))
            yield member


def log_files(run_dir: RunDir, step: str | None = None) -> list[LogFile]:
    """The log files of a run, or of one step of it, in the order of steps and attempts."""
    found = _packed_log_files(run_dir) if packed_logs(run_dir).exists() else _open_log_files(run_dir)
    wanted = [file for file in found if step is None or file.step == step]
    return sorted(wanted, key=lambda file: (file.step, file.attempt, file.stream != "stdout"))


def last_lines(run_dir: RunDir, step: str, attempt: int, count: int) -> list[str]:
    """The last lines an attempt wrote, stderr after stdout, as text that cannot disturb a terminal."""
    lines: list[str] = []
    for file in log_files(run_dir, step):
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

    def new_lines(self, *, final: bool = False) -> Iterator[str]:
        """The lines added; with `final`, also what stands behind the last newline."""
        try:
            with self.source.open() as file:
                file.seek(self._offset)
                while chunk := file.read(1 << 20):
                    self._offset += len(chunk)
                    *complete, self._rest = (self._rest + chunk).split(b"\n")
                    for line in complete:
                        yield printable(line)
                    if len(self._rest) > (1 << 20):
                        # A line of many megabytes is shown by its beginning, and never held whole.
                        self._rest = self._rest[: 1 << 16]
        except FileNotFoundError:
            return
        if final and self._rest:
            yield printable(self._rest)
            self._rest = b""


def printable(line: bytes) -> str:
    """A line of any bytes as text without control characters, cut when it is very long."""
    text = _CONTROL.sub("", line[: 4 * LONGEST_LINE].decode("utf-8", errors="replace").rstrip("\r"))
    if len(line) > 4 * LONGEST_LINE or len(text) > LONGEST_LINE:
        return f"{text[:LONGEST_LINE]}… ({len(line):,} bytes)"
    return text


def _tail(source: LogFile) -> list[str]:
    try:
        with source.open() as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            data = file.read()
    except FileNotFoundError:
        return []
    lines = data.rstrip(b"\n").split(b"\n") if data.strip() else []
    if size > _TAIL_BYTES and len(lines) > 1:
        lines = lines[1:]  # the first one lost its beginning
    return [printable(line) for line in lines]
