"""The state directory: which files it has, how it is created, and when it is refused."""

from __future__ import annotations

import errno
import json
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from orchestrator.errors import DISK_FULL, SchemaTooNew, StoreError
from orchestrator.ids import new_run_id
from orchestrator.layout import RunsDir
from orchestrator.private_file import DIR_MODE, write_atomically
from orchestrator.regular import NotRegular, read_regular, why
from orchestrator.trust import is_private_group, user_name

# The layout of the directory, in format.json. A newer one is refused.
LAYOUT_FORMAT = 1
# With less than this left on the disk, no attempt is started. A failed one costs a few kilobytes.
MUST_BE_FREE = 256 << 10


class StateDir(Struct, frozen=True):
    """A state directory: the files in it that do not belong to runs. Those of runs are for `runlog` and `attempts`."""

    path: Path

    @property
    def format_file(self) -> Path:
        return self.path / "format.json"

    @property
    def database(self) -> Path:
        return self.path / "state.duckdb"

    @property
    def lock(self) -> Path:
        return self.path / "state.lock"

    @property
    def storage(self) -> Path:
        return self.path / "storage"

    @property
    def backups(self) -> Path:
        return self.path / "backups"

    @property
    def daemon_lock(self) -> Path:
        return self.path / "daemon.lock"

    @property
    def daemon_sock(self) -> Path:
        return self.path / "daemon.sock"

    @property
    def daemon_json(self) -> Path:
        return self.path / "daemon.json"

    @property
    def daemon_log(self) -> Path:
        return self.path / "daemon.log"

    @property
    def daemon_err(self) -> Path:
        """The standard error of a detached daemon: what it says before it has a log, and traces of crashes."""
        return self.path / "daemon.err"


def prepare(path: Path, tell: Callable[[str], None] = lambda _: None) -> StateDir:
    """The state directory at `path`, created if need be, private to its user. Raises StoreError with the reason.

    `tell` is given a sentence when its permissions had to be tightened.
    """
    state = StateDir(path)
    try:
        _require_own(state, tell)
        if not os.path.lexists(state.format_file):
            _create(state)
        found = int(json.loads(read_regular(state.format_file, 4096))["format"])
        _complete(state)
    except NotRegular:
        raise _damaged_format(state) from None
    except OSError as error:
        raise unusable(path, error) from error
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _damaged_format(state) from None
    if found > LAYOUT_FORMAT:
        raise SchemaTooNew(
            f"{path} was made by a newer version of orchestrator (layout {found}; this one knows {LAYOUT_FORMAT}).",
            hint="Upgrade orchestrator, or use another state_dir.",
        )
    if not os.access(path, os.W_OK | os.X_OK):
        raise StoreError(f"The state directory {path} is not writable.", hint="Correct its owner or permissions.")
    return state


def _require_own(state: StateDir, tell: Callable[[str], None] | None) -> None:
    """Refuses a directory that another user owns or could have filled: it holds values that steps unpickle. Closes an
    empty or merely readable one to others; without `tell` nothing is changed."""
    path = state.path
    if path.is_symlink():
        _require_own_link(state)
    try:
        found = path.stat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode):
        return  # refused where it is used
    uid, mode = os.geteuid(), stat.S_IMODE(found.st_mode)
    if found.st_uid != uid:
        raise StoreError(
            f"The state directory {path} belongs to {user_name(found.st_uid)}, and you are {user_name(uid)}.",
            hint=f"Work as {user_name(found.st_uid)}, give the directory to {user_name(uid)} with `chown -R`, or set"
            " another state_dir in the workspace file.",
        )
    can_write = mode & stat.S_IWOTH or (mode & stat.S_IWGRP and not is_private_group(found.st_gid, uid))
    if can_write and (any(path.iterdir()) if tell is None else not _closed_while_empty(path, mode)):
        raise StoreError(
            f"Other users can write into the state directory {path} (mode {mode:04o}).",
            hint=f"It holds values that your steps load. Look at what is in it, then `chmod 700 {path}`.",
        )
    # What is not ours is refused as it is, and what is created is private from the start.
    if mode & 0o077 and tell is not None and os.path.lexists(state.format_file):
        path.chmod(DIR_MODE)
        tell(f"The state directory {path} was open to others (mode {mode:04o}); it is now 0700.")


def _closed_while_empty(path: Path, mode: int) -> bool:
    """Closes a directory to others; whether it was empty then. If it was not, it is opened again: what is in it may be
    theirs. A new volume is often open to everybody."""
    path.chmod(DIR_MODE)
    if any(path.iterdir()):
        path.chmod(mode)
        return False
    return True


def _require_own_link(state: StateDir) -> None:
    """A link may lead to a state directory. One that leads elsewhere would fill a directory that another user chose."""
    owner = state.path.lstat().st_uid
    if owner not in (os.geteuid(), 0):
        raise StoreError(
            f"{state.path} is a symbolic link that {user_name(owner)} made.",
            hint="Remove it, or set another state_dir in the workspace file.",
        )
    if not state.format_file.exists():
        raise StoreError(
            f"{state.path} is a symbolic link to {state.path.readlink()}, which is not a state directory.",
            hint="Set state_dir in the workspace file to that directory itself.",
        )


def check_usable(path: Path) -> None:
    """Raises StoreError with the reason where `prepare` would; makes nothing."""
    state = StateDir(path)
    try:
        if state.format_file.exists():
            prepare(path)
            return
        _require_own(state, None)
        _refuse_foreign(state)
        nearest = next(directory for directory in (path, *path.parents) if directory.exists())
        # Asking for permission is not enough: root has every permission, on a read-only file system too.
        Path(tempfile.mkdtemp(prefix=".orchestrator-check-", dir=nearest)).rmdir()
    except OSError as error:
        raise unusable(path, error) from error


def repair_layout(path: Path) -> list[str]:
    """Puts back what a state directory cannot be used without: its directories, and the file that says which layout it
    has. What has their names is renamed. What was done, a sentence each; nothing where there is no state directory."""
    state = StateDir(path)
    if not path.is_dir() or not any(os.path.lexists(one) for one in (state.format_file, state.database)):
        return []
    runs = RunsDir(path)
    directories = (runs.pending, runs.runs, state.storage, runs.slots, runs.waiting, state.backups)
    wrong = [one for one in directories if os.path.lexists(one) and not one.is_dir()]
    done = [f"{one} was no directory. It is called {renamed(one).name} now." for one in wrong]
    try:
        int(json.loads(read_regular(state.format_file, 4096))["format"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        if not os.path.lexists(state.format_file):
            return done
        done.append(f"{state.format_file} was damaged. It is called {renamed(state.format_file).name} now.")
        _write_format(state)
    return done


def renamed(path: Path) -> Path:
    """Renames what is in the place of one of our files, for a person to look at; what it is called now."""
    return path.rename(path.with_name(f"{path.name}.damaged-{new_run_id()}"))


def unused(path: Path) -> Path:
    """The path, or one beside it with a number when there is such a file already."""
    candidate, count = path, 1
    while os.path.lexists(candidate):
        count += 1
        candidate = path.with_stem(f"{path.stem}-{count}")
    return candidate


def _damaged_format(state: StateDir) -> StoreError:
    return StoreError(
        f"{state.format_file} is damaged.",
        hint=f'It should hold {{"format": {LAYOUT_FORMAT}}}. `orchestrator state check --repair` writes it again.',
    )


def _complete(state: StateDir) -> None:
    """Makes directories again that were removed."""
    for directory in _required(state):
        if not directory.is_dir():
            try:
                directory.mkdir(mode=DIR_MODE)
            except FileExistsError:
                if not directory.is_dir():
                    raise StoreError(
                        f"{directory} should be a directory, and is not.",
                        hint="`orchestrator state check --repair` puts what is there aside.",
                    ) from None


def unusable(path: Path, error: OSError) -> StoreError:
    """The error for a state directory that the operating system refuses us."""
    hint = "Correct its owner or permissions, or set another state_dir in the workspace file."
    if error.errno in DISK_FULL:
        return StoreError(f"The disk is full: {path} cannot be written.", hint="Free some space and try again.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreError(f"The state directory {path} is not writable: {error.strerror}.", hint=hint)
    return StoreError(f"The state directory {path} cannot be used: {error.strerror or error}.", hint=hint)


def in_the_way(path: Path, error: OSError) -> StoreError:
    """The error for one of our files, other than those of a run, in whose place is something that cannot be used."""
    if error.errno in DISK_FULL:
        return unusable(path, error)
    return StoreError(f"{path} cannot be used: {why(error)}.", hint=hint_for(error))


def hint_for(error: OSError) -> str:
    """What to do about a file that cannot be used."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "Correct its owner or permissions."
    return "`orchestrator state check --repair` puts what is there aside."


def require_space(path: Path) -> None:
    """Raises StoreError when the disk is as good as full: what is started there could not even say how it ended."""
    try:
        disk = os.statvfs(path)
    except OSError as error:
        raise unusable(path, error) from error
    if disk.f_blocks and disk.f_bavail * disk.f_frsize < MUST_BE_FREE:
        raise unusable(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))


def make_private(directory: Path) -> None:
    """Creates a directory, and those above it that are missing, for their owner alone, whatever the umask."""
    try:
        directory.mkdir(mode=DIR_MODE, exist_ok=True)
    except FileNotFoundError:
        make_private(directory.parent)
        directory.mkdir(mode=DIR_MODE, exist_ok=True)


def _create(state: StateDir) -> None:
    _refuse_foreign(state)
    state.path.mkdir(mode=DIR_MODE, parents=True, exist_ok=True)
    state.path.chmod(DIR_MODE)
    for directory in _required(state):
        directory.mkdir(mode=DIR_MODE, exist_ok=True)
    _write_format(state)  # last: the directory is complete once this file is there


def _required(state: StateDir) -> tuple[Path, ...]:
    """The directories that are there from the beginning."""
    runs = RunsDir(state.path)
    return (runs.pending, runs.runs, state.storage)


def _write_format(state: StateDir) -> None:
    write_atomically(state.format_file, json.dumps({"format": LAYOUT_FORMAT}).encode())


def _refuse_foreign(state: StateDir) -> None:
    """Refuses a directory that has something else in it: it would be made private, and filled with our files."""
    ours = {directory.name for directory in _required(state)}
    if not state.path.is_dir() or (os.path.lexists(state.database) and RunsDir(state.path).runs.is_dir()):
        return  # the latter: one of ours, whose file that says so was removed
    others = [entry.name for entry in state.path.iterdir() if entry.name not in ours and entry.suffix != ".tmp"]
    if others:
        raise StoreError(
            f"{state.path} is no state directory, and is not empty (it has {', '.join(sorted(others)[:3])}).",
            hint="Set state_dir in the workspace file to a directory that does not exist yet.",
        )
