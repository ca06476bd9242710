"""Reads and writes one run by its id."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from orchestrator.errors import NotPossible, RunDamaged
from orchestrator.journal import JournalWriter, Lines
from orchestrator.layout import RunDir, RunsDir
from orchestrator.locks import HeldLock, is_locked, try_lock
from orchestrator.model.event_lines import decode_lines
from orchestrator.model.events import AnyEvent, Event, RunFinished, encode_line
from orchestrator.model.run import RunRecord
from orchestrator.private_file import FILE_MODE
from orchestrator.regular import NotRegular, read_regular, why
from orchestrator.runlog import archive, files, logs
from orchestrator.state_dir import StateDir, require_space, unusable


class RunWriter:
    """Appends to the journal of a run. For the run's owner only."""

    def __init__(self, directory: RunDir) -> None:
        self._directory = directory
        try:
            self._journal = JournalWriter(directory.journal)
        except NotRegular as error:
            raise files.damaged(directory.run_id, "its journal cannot be written", why(error)) from error
        except OSError as error:
            raise unusable(directory.path, error) from error

    def append(self, lines: Iterable[bytes]) -> None:
        """Appends complete lines, each with its newline: all of them, or none and a StoreError."""
        try:
            self._journal.append(lines)
        except OSError as error:
            raise unusable(self._directory.path, error) from error

    def sync(self) -> None:
        """Returns once everything appended so far would survive a power cut. Raises StoreError."""
        try:
            self._journal.sync()
        except OSError as error:
            raise unusable(self._directory.path, error) from error

    def close(self) -> None:
        self._journal.close()


class RunLog(Struct, frozen=True):
    """One run of a state directory. Making one reads nothing: the run need not exist.

    Any process may read. Only the holder of the lock that `own` returns may use `writer`.
    """

    state: StateDir
    run_id: str

    # --- what there is ---

    @property
    def directory(self) -> Path:
        """Where the files are, to show to a person or to move away as a whole."""
        return self.paths.path

    def exists(self) -> bool:
        """Whether the run was created and not removed."""
        return self.paths.path.exists()

    def has_files(self) -> bool:
        """Whether anything is left of the run: not when its directory is missing, empty, or something else."""
        return files.has_files(self.paths)

    def has_begun(self) -> bool:
        """Whether an owner has written to its journal. Not known of a packed run."""
        return self.paths.journal.exists()

    def is_packed(self) -> bool:
        return files.is_packed(self.paths)

    def is_being_created(self) -> bool:
        """Whether the run exists and no owner has begun it yet."""
        return self.exists() and not self.has_begun() and not self.is_packed()

    def is_lost(self) -> bool:
        """Whether its record is gone, and no process is creating or driving it."""
        if os.path.lexists(self.paths.run_json) or self.is_packed():
            return False
        return not self.is_owned() and not is_locked(self._marker)

    # --- reading ---

    def record(self) -> RunRecord:
        """The run as it was requested. Raises FileNotFoundError when its files are gone, and RunDamaged."""
        return files.read_record(self.paths)

    def salvaged_record(self) -> RunRecord:
        """As much of a damaged record as can be read, for showing. It has no plan."""
        return files.salvaged_record(self.paths)

    def damaged(self, what: str, reason: str) -> RunDamaged:
        """The error for a run whose files cannot be used."""
        return files.damaged(self.run_id, what, reason)

    def lines(self, offset: int = 0) -> Lines:
        """The complete lines of the journal from byte `offset` on; none without a journal. Raises RunDamaged when it
        cannot be read at all; single damaged lines are for their decoder to find."""
        return files.read_journal(self.paths, offset)

    def events(self) -> list[AnyEvent]:
        """All events so far, with an EventUnreadable for each line that is not an event. Raises RunDamaged."""
        return decode_lines(self.lines().lines)

    def size(self) -> int | None:
        """Bytes in the journal, 0 without one. None for a packed run, and when it cannot be looked at."""
        if self.is_packed():
            return None
        try:
            return self.paths.journal.stat().st_size
        except FileNotFoundError:
            return 0
        except OSError:
            return None

    def seems_finished(self) -> bool:
        """Whether the last line of the journal ends the run, by a look at the end of the file; True when packed."""
        return files.seems_finished(self.paths)

    def log_files(self, step: str | None = None) -> list[logs.LogFile]:
        """The files that attempts printed to, of all steps or of one, in the order of steps and attempts."""
        return logs.log_files(self.paths, step)

    # --- owning and writing ---

    def is_owned(self) -> bool:
        """Whether some process drives the run at this moment."""
        return is_locked(self.paths.owner_lock)

    def has_live_attempt(self) -> bool:
        """Whether a step is being carried out, with or without an owner."""
        return any(is_locked(path) for path in self.paths.steps.rglob("alive.lock"))

    def own(self) -> HeldLock:
        """The lock that makes its holder the run's owner; the kernel releases it when the process dies. Raises
        NotPossible when the run is owned already, and StoreError."""
        try:
            lock = try_lock(self.paths.owner_lock)
        except OSError as error:
            raise unusable(self.paths.path, error) from error
        if lock is None:
            raise NotPossible(
                f"Run {self.run_id} is being driven by another process.",
                hint=f"Follow it with `orchestrator runs logs {self.run_id} --follow`, or end it with"
                f" `orchestrator runs cancel {self.run_id}`.",
            )
        lock.write_note(str(os.getpid()).encode())
        return lock

    def writer(self) -> RunWriter:
        """Opens the journal for the run's owner. Raises RunDamaged and StoreError."""
        return RunWriter(self.paths)

    def add(self, event: Event) -> None:
        """Appends one event to the journal of a run without an owner. Raises NotPossible when it has one, or when it
        is over: it may have ended since it was last looked at."""
        lock = self.own()
        try:
            if any(isinstance(one, RunFinished) for one in self.events()):
                raise NotPossible(f"Run {self.run_id} is over.")
            writer = self.writer()
            try:
                writer.append([encode_line(event)])
            finally:
                writer.close()
        finally:
            lock.release()

    def require_space(self) -> None:
        """Raises StoreError when the disk is as good as full, so that an attempt could not even say how it ended."""
        require_space(self.paths.path)

    # --- canceling ---

    def request_cancel(self, by: str) -> None:
        """Asks the run's owner, or the next one, to cancel it. Idempotent. Raises StoreError."""
        try:
            self.paths.cancel.write_text(by)
        except OSError as error:
            raise unusable(self.state.path, error) from error

    def is_cancel_requested(self) -> bool:
        return os.path.lexists(self.paths.cancel)

    def canceled_by(self) -> str:
        """Who asked for the run to be canceled, empty when that cannot be read: that the file exists is enough."""
        try:
            return read_regular(self.paths.cancel, 4096).decode(errors="replace").strip()
        except OSError:
            return ""

    # --- who watches it as it goes ---

    def mark_followed(self) -> None:
        """Has the run's owner fetch what running steps print, for a while. One whose files cannot be written is watched
        without that."""
        with suppress(OSError):
            os.close(os.open(self.paths.followed, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))
            os.utime(self.paths.followed)

    def followed_at(self) -> float:
        """When a process last watched the run as it goes, in seconds since 1970; 0 if none has."""
        try:
            return self.paths.followed.stat().st_mtime
        except OSError:
            return 0.0

    # --- what the index still lacks ---

    def mark_pending(self) -> None:
        """Marks the run as one whose journal may hold lines that the index lacks. Idempotent. Raises StoreError."""
        try:
            self._marker.touch(FILE_MODE)
        except OSError as error:
            raise unusable(self.paths.path, error) from error

    def is_pending(self) -> bool:
        return self._marker.exists()

    def pending_since(self) -> int:
        """When the run was marked, in nanoseconds since 1970; 0 when that is not known."""
        try:
            return self._marker.stat().st_mtime_ns
        except OSError:
            return 0

    def settle(self, offset: int | None) -> None:
        """Removes the mark of a finished run whose lines up to byte `offset` are in the index, or, with None, of one
        that cannot be read. Does nothing while the run has an owner or more lines: some may just have been written."""
        if self.is_owned():
            return
        if offset is None or self.is_packed() or self.size() == offset:
            _remove_mark(self._marker)

    def forget_unborn(self) -> None:
        """Removes what is left of a run whose creator died before the run existed. Creators lock the mark."""
        if not self._marker.is_file():
            _remove_mark(self._marker)
            return
        held = try_lock(self._marker)
        if held is not None:
            shutil.rmtree(self._runs.unfinished(self.run_id), ignore_errors=True)
            _remove_mark(self._marker)
            held.release()

    # --- the end ---

    def pack(self, is_over: Callable[[], bool]) -> bool:
        """Packs the files of a run if it has no owner and `is_over` says so under its lock; whether it did."""
        return archive.pack(self.paths, is_over)

    def own_for_removal(self) -> HeldLock:
        """As `own`, and also raises NotPossible while a step still runs without an owner."""
        hint = f"Cancel it first: orchestrator runs cancel {self.run_id}"
        try:
            lock = self.own()
        except NotPossible as error:
            raise NotPossible(error.message, hint=hint) from None
        if self.has_live_attempt():
            lock.release()
            raise NotPossible(f"A step of run {self.run_id} is still running, though its owner is gone.", hint=hint)
        return lock

    def remove(self) -> None:
        """Deletes the run's files and its mark. The caller owns the run, or nothing is there to own."""
        if not self.paths.path.is_dir():
            self.paths.path.unlink(missing_ok=True)  # something else that has its name
            return
        self._marker.unlink(missing_ok=True)
        shutil.rmtree(self.paths.path, ignore_errors=True)

    # --- inside ---

    @property
    def _runs(self) -> RunsDir:
        return RunsDir(self.state.path)

    @property
    def paths(self) -> RunDir:
        """The files of the run, for the other modules of this package."""
        return self._runs.run(self.run_id)

    @property
    def _marker(self) -> Path:
        return self._runs.pending_marker(self.run_id)


def _remove_mark(marker: Path) -> None:
    """Removes a mark, whatever was put in its place. A directory with something in it stays: it is not ours."""
    try:
        marker.unlink(missing_ok=True)
    except IsADirectoryError:
        try:
            marker.rmdir()
        except OSError:
            pass
